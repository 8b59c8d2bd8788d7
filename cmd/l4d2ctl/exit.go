package main

import (
	"context"
	"errors"

	"github.com/left4med/left4med/client"
)

// The exit codes. Scripts depend on them.
const (
	exitDone          = 0
	exitFailed        = 1
	exitUsage         = 2
	exitNoServer      = 3
	exitNotAuthorized = 4
	exitUnreachable   = 5
	exitJobFailed     = 6
	exitTimedOut      = 7
	exitInterrupted   = 130 // as a shell reports a program that SIGINT ended
)

// errTimedOut is why a context ended whose --timeout is over.
var errTimedOut = errors.New("timed out; --timeout sets another limit")

// exitError ends the program with a code. What there is to say has been said
// when err is nil.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage makes an error of a command line that cannot be understood.
func usage(err error) error { return &exitError{exitUsage, err} }

// exitCode maps an error to the program's exit code.
func exitCode(err error) int {
	var exit *exitError
	var refused *client.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return exit.code
	case errors.Is(err, errTimedOut), errors.Is(err, context.DeadlineExceeded):
		return exitTimedOut
	case errors.Is(err, client.ErrUnreachable):
		return exitUnreachable
	case errors.As(err, &refused):
		return refusalCode(refused.Code)
	}
	return exitFailed
}

// refusalCode maps what the daemon refused to an exit code.
func refusalCode(code client.Code) int {
	switch code {
	case client.CodeServerNotFound, client.CodeOrphanNotFound:
		return exitNoServer
	case client.CodeNotAuthorized:
		return exitNotAuthorized
	case client.CodeInvalidName, client.CodeInvalidRequest:
		return exitUsage
	case client.CodeJobFailed:
		return exitJobFailed
	}
	return exitFailed
}
