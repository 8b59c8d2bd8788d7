package account

import (
	"errors"
	"fmt"
	"time"

	"github.com/left4med/left4med/internal/sqlite"
)

// Code is the stable, machine-readable kind of an error, as in problem+json.
type Code string

// The codes.
const (
	CodeWrongCredentials Code = "wrong-credentials"
	CodeTooManyAttempts  Code = "too-many-attempts"
	CodeNameTaken        Code = "name-taken"
	CodeUserNotFound     Code = "user-not-found"
	CodeSessionNotFound  Code = "session-not-found"
	CodeLastAdmin        Code = "last-admin"
	CodeInvalidRequest   Code = "invalid-request"
	CodeSetupRefused     Code = "setup-refused"
	CodeStorage          Code = "storage"
	CodeInternal         Code = "internal"
)

// Error is an error that a user is told: what could not be done, and what to do.
type Error struct {
	Code       Code
	Detail     string        // plain sentences, without the code
	Field      string        // the request's field at fault; empty when none is
	RetryAfter time.Duration // for CodeTooManyAttempts

	Err error // the cause, for the log; never shown to a user
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Detail, e.Err)
	}
	return e.Detail
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) compare codes alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// ErrNoSession says that a session is not there, or is there no more.
var ErrNoSession = errors.New("there is no such session; sign in")

func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

func invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalidRequest, Field: field, Detail: fmt.Sprintf(format, args...)}
}

func userNotFound(name string) *Error {
	return errorf(CodeUserNotFound, "there is no user %q; `left4med-web user list` shows who there is", name)
}

// told is an error of the database as users are told it.
func told(err error) error {
	var e *sqlite.Error
	var known *Error
	if errors.As(err, &known) || !errors.As(err, &e) {
		return err
	}
	code := CodeStorage
	if e.Fault {
		code = CodeInternal
	}
	return &Error{Code: code, Detail: e.Detail, Err: e.Err}
}
