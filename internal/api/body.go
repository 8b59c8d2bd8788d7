package api

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// timeouts bound what a client may take its time for.
type timeouts struct {
	body  time.Duration // sending a request's body
	write time.Duration // accepting what is written to it
}

const (
	bodyTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
)

// timedBody bounds how long reading a body takes. The deadline is taken away
// at the end: net/http goes on reading, to notice when the client leaves, and
// would take the deadline for that while a request waits for its job.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	started bool
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	if !b.started {
		b.started = true
		b.control.SetReadDeadline(time.Now().Add(b.timeout))
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// aheadLimit bounds what is kept of a body that is read before its time.
const aheadLimit = 64 << 10

// readAhead reads a body now, up to 64 KiB of it, and returns one that reads the
// same.
func readAhead(body io.ReadCloser) io.ReadCloser {
	start, err := io.ReadAll(io.LimitReader(body, aheadLimit))
	rest := io.Reader(body)
	if err != nil {
		rest = failing{err}
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), rest), body}
}

// failing is a reader that has failed.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }
