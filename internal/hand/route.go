package hand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/left4med/left4med/internal/probe"
)

// turns bounds how much is done at once: what finds no turn is not done.
type turns chan struct{}

func (t turns) take() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t turns) giveBack() { <-t }

// request is what all requests have.
type request interface{ Timeout() time.Duration }

// route makes a handler of a function from a request to its answer. The function's
// context ends with the request's timeout, and when the daemon lets go.
func route[Q request, A any](t turns, most int64, answer func(context.Context, Q) (*A, *probe.Fault)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !t.take() {
			tell(w, &probe.Fault{Code: probe.FaultBusy, Detail: fmt.Sprintf("left4med-probe is at work on %d such requests already", cap(t))})
			return
		}
		defer t.giveBack()
		var q Q
		if fault := read(http.MaxBytesReader(w, r.Body, most), &q); fault != nil {
			tell(w, fault)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), q.Timeout())
		defer cancel()
		a, fault := answer(ctx, q)
		if fault != nil {
			tell(w, fault)
			return
		}
		write(w, http.StatusOK, a)
	})
}

// read takes one JSON object whose keys are all known, and nothing after it.
func read(body io.Reader, into any) *probe.Fault {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	var large *http.MaxBytesError
	switch err := d.Decode(into); {
	case errors.As(err, &large):
		return invalid("the request has more than %d bytes", large.Limit)
	case err != nil:
		return invalid("the request is not the JSON that it should be") // the error may quote it
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("something follows the request")
	}
	return nil
}

func invalid(format string, args ...any) *probe.Fault {
	return &probe.Fault{Code: probe.FaultInvalid, Detail: fmt.Sprintf(format, args...)}
}

// tell answers with a Fault.
func tell(w http.ResponseWriter, f *probe.Fault) {
	status := http.StatusBadGateway
	switch f.Code {
	case probe.FaultInvalid:
		status = http.StatusBadRequest
	case probe.FaultBusy:
		status = http.StatusServiceUnavailable
	}
	write(w, status, f)
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // six bytes for one of a game's
	_ = e.Encode(body)     // nobody is left to tell
}
