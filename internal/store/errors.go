package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/left4med/left4med/internal/server"
	"github.com/mattn/go-sqlite3"
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
	var lite sqlite3.Error
	if errors.As(err, &lite) {
		if e := s.failSQLite(doing, lite, err); e != nil {
			return e
		}
	}
	if cure := s.cureOf(err); cure != "" {
		return s.storage(doing, cure, err)
	}
	return s.storage(doing, "the log of left4med.service has the cause", err)
}

func (s *Store) failSQLite(doing string, lite sqlite3.Error, err error) error {
	switch lite.Code {
	case sqlite3.ErrFull:
		return s.storage(doing, s.cureOf(syscall.ENOSPC), err)
	case sqlite3.ErrReadonly:
		return s.storage(doing, s.cureOf(syscall.EROFS), err)
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return s.damaged(doing, err)
	case sqlite3.ErrConstraint: // a rule of the schema that the callers keep
		return &server.Error{Code: server.CodeInternal, Err: err,
			Detail: fmt.Sprintf("cannot %s: the database refused it as inconsistent; this is a fault of left4med, and the log of left4med.service has the cause", doing)}
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return s.storage(doing, fmt.Sprintf("another process held it locked for over %v; close the programs that use it (fuser %s shows them) and try again", busyTimeout, s.path), err)
	}
	if lite.SystemErrno != 0 {
		if cure := s.cureOf(lite.SystemErrno); cure != "" {
			return s.storage(doing, cure, err)
		}
	}
	switch lite.Code {
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen:
		return s.storage(doing, "the disk does not read or write it: look at the kernel's messages (journalctl -k) and at the permissions of "+filepath.Dir(s.path), err)
	}
	return nil
}

// cureOf explains an error of the file system, or returns "".
func (s *Store) cureOf(err error) string {
	dir := filepath.Dir(s.path)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Sprintf("there is no space left for it; free some on the disk of %s (df -h %s) and try again", dir, dir)
	case errors.Is(err, syscall.EROFS):
		return fmt.Sprintf("it cannot be written; make sure that the file system of %s is not mounted read-only and that the files there belong to root", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("access is denied; left4med must run as root, and %s must belong to root", dir)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Sprintf("the directory %s does not exist; create it (systemd-tmpfiles --create, or install the package again)", dir)
	}
	return ""
}

func (s *Store) damaged(doing string, err error) error {
	return s.storage(doing, fmt.Sprintf("it is damaged; stop left4med, move %[1]s, %[1]s-wal and %[1]s-shm away and put a copy in their place, or start with a new one: the instances' files are kept and say which servers there were", s.path), err)
}

func (s *Store) storage(doing, cure string, err error) error {
	return &server.Error{
		Code:   server.CodeStorage,
		Detail: fmt.Sprintf("cannot %s (%s): %s", doing, s.path, cure),
		Err:    err,
	}
}
