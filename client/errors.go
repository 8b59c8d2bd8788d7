package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/left4med/left4med/internal/server"
)

// ErrUnreachable is what an error is when the daemon could not be asked, or its
// answer was lost: errors.Is(err, ErrUnreachable). Whether a request whose
// answer was lost took effect is not known; all requests may be repeated.
var ErrUnreachable = errors.New("left4med cannot be reached")

// Error is what the daemon refused (RFC 9457 problem details).
type Error struct {
	Status int          // of HTTP; 0 when the client itself refused to send the request
	Code   Code         // stable; empty when the answer did not come from left4med
	Detail string       // one or two plain sentences
	Field  string       // the first field at fault, as "config.port"; empty when none is
	Fields []FieldError // all fields at fault
	Job    int64        // the job in the way, for CodeBusy; 0 when there is none

	Challenge bool // for CodeNotAuthorized: a password would do; see Options.OnChallenge
}

// FieldError is what is wrong with one part of a request: a field of the body
// as "config.port", or the name of a parameter.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// UnmarshalJSON also reads the members that RFC 9457's examples and huma use
// for the same, location and message.
func (f *FieldError) UnmarshalJSON(b []byte) error {
	var wire struct{ Field, Detail, Location, Message string }
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	f.Field = strings.TrimPrefix(cmp.Or(wire.Field, wire.Location), "body.")
	f.Detail = cmp.Or(wire.Detail, wire.Message)
	return nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Detail)
	for _, f := range e.Fields {
		if f.Detail == "" || strings.Contains(e.Detail, f.Detail) {
			continue
		}
		b.WriteString("; ")
		if f.Field != "" {
			b.WriteString(f.Field + ": ")
		}
		b.WriteString(f.Detail)
	}
	return b.String()
}

// Is makes errors.Is(err, &Error{Code: c}) compare codes alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Temporary says whether the same request may well succeed a moment later
// without anything being changed: the daemon is starting, ending or cut off
// from systemd.
func (e *Error) Temporary() bool {
	return e.Code == CodeShuttingDown || e.Code == CodeSystemdUnavailable
}

func refusedHere(err error) error {
	var e *server.Error
	if !errors.As(err, &e) {
		return err
	}
	return &Error{Code: e.Code, Field: e.Field, Detail: e.Detail}
}

// problem is problem+json on the wire.
type problem struct {
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Code   Code            `json:"code"`
	Errors []FieldError    `json:"errors"`
	Job    json.RawMessage `json:"job"` // the id, or the job itself

	Challenge bool `json:"challenge"`
}

// refused makes an Error of an answer that is not a success.
func refused(resp *http.Response, body []byte) *Error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p problem
	if !strings.HasSuffix(media, "json") || json.Unmarshal(body, &p) != nil {
		return &Error{Status: resp.StatusCode, Detail: fmt.Sprintf("the daemon answered %s: %s",
			resp.Status, server.Quote(string(bytes.TrimSpace(body)), 200))}
	}
	p.Status = resp.StatusCode
	return p.err()
}

func (p *problem) err() *Error {
	e := &Error{Status: p.Status, Code: p.Code, Fields: p.Errors, Job: jobID(p.Job), Challenge: p.Challenge}
	e.Detail = cmp.Or(p.Detail, p.Title, fmt.Sprintf("the daemon answered %d", p.Status))
	if len(p.Errors) > 0 {
		e.Field = p.Errors[0].Field
	}
	return e
}

func jobID(raw json.RawMessage) int64 {
	var id int64
	if json.Unmarshal(raw, &id) == nil {
		return id
	}
	var job struct {
		ID int64 `json:"id"`
	}
	if json.Unmarshal(raw, &job) == nil {
		return job.ID
	}
	return 0
}

// unreachableError says in plain words why the socket gave no answer, and what
// to look at. It is ErrUnreachable, and its cause.
type unreachableError struct {
	socket string
	why    string
	cause  error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("%v at %s: %s", ErrUnreachable, e.socket, e.why)
}

func (e *unreachableError) Unwrap() []error { return []error{ErrUnreachable, e.cause} }

func unreachable(socket string, err error) error {
	var op *net.OpError
	why := "the connection broke before the answer was complete: " + err.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "there is no such socket; is left4med installed, and left4med.socket started?"
	case errors.Is(err, fs.ErrPermission):
		why = "this user may not open the socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "nobody listens on the socket; is left4med.socket started?"
	case errors.As(err, &op) && op.Op == "dial":
		why = err.Error()
	}
	return &unreachableError{socket, why, err}
}

// retriable says whether asking again later can help without anybody's doing.
func retriable(err error) bool {
	if errors.Is(err, ErrUnreachable) {
		return !errors.Is(err, fs.ErrPermission)
	}
	var e *Error
	return errors.As(err, &e) && e.Temporary()
}
