package api_test

import (
	"bufio"
	"io"
	"net/http"
	"time"
)

// recorder is a response without a connection.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.body = append(r.body, p...)
	return len(p), nil
}

// SetReadDeadline records whether there is one.
func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, !t.IsZero())
	return nil
}

// answers reads responses with as little work as possible, so that a benchmark
// measures the server.
type answers struct{ lines *bufio.Reader }

func newAnswers(r io.Reader) *answers { return &answers{bufio.NewReaderSize(r, 256<<10)} }

func (a *answers) skip() error {
	res, err := http.ReadResponse(a.lines, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
