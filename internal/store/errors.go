package store

import (
	"context"
	"errors"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/sqlite"
)

// fail turns what the driver or the file system said into an error that names
// the cure. doing completes "cannot …". An error that is one already, and a
// context's, is returned as it is.
func (s *Store) fail(doing string, err error) error {
	var known *server.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return told(s.db.Fail(doing, err))
}

// told is an error of the database as clients are told it.
func told(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	code := server.CodeStorage
	if e.Fault {
		code = server.CodeInternal
	}
	return &server.Error{Code: code, Detail: e.Detail, Err: e.Err}
}
