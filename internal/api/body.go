package api

import (
	"io"
	"net/http"
	"time"
)

// bodyTimeout is how long a request's body may take to arrive.
const bodyTimeout = 10 * time.Second

// timedBody bounds how long reading a body takes. The deadline is taken away
// at the end: net/http goes on reading, to notice when the client leaves, and
// would take the deadline for that while a request waits for its job.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	started bool
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	if !b.started {
		b.started = true
		b.control.SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
