package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/mattn/go-sqlite3"
)

// Error says what could not be done with a database, why, and what to do.
type Error struct {
	Detail string // whole sentences for people
	// Fault: the program broke a rule of its own schema; no disk is to blame.
	Fault bool
	Err   error // what the driver or the file system said; nil when Detail says all
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Detail, e.Err)
	}
	return e.Detail
}

func (e *Error) Unwrap() error { return e.Err }

func errorf(format string, args ...any) *Error {
	return &Error{Detail: fmt.Sprintf(format, args...)}
}

// Fail turns what the driver or the file system said into an *Error that names
// the cure. doing completes "cannot …". An error that is one already, and a
// context's, is returned as it is.
func (d *DB) Fail(doing string, err error) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	var lite sqlite3.Error
	if errors.As(err, &lite) {
		if e := d.failSQLite(doing, lite, err); e != nil {
			return e
		}
	}
	if cure := d.cureOf(err); cure != "" {
		return d.storage(doing, cure, err)
	}
	return d.storage(doing, fmt.Sprintf("the log of %s.service has the cause", d.o.Words.Program), err)
}

func (d *DB) failSQLite(doing string, lite sqlite3.Error, err error) error {
	switch lite.Code {
	case sqlite3.ErrFull:
		return d.storage(doing, d.cureOf(syscall.ENOSPC), err)
	case sqlite3.ErrReadonly:
		return d.storage(doing, d.cureOf(syscall.EROFS), err)
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return d.damaged(doing, err)
	case sqlite3.ErrConstraint: // a rule of the schema that the callers keep
		return &Error{Fault: true, Err: err,
			Detail: fmt.Sprintf("cannot %s: the database refused it as inconsistent; this is a fault of %[2]s, and the log of %[2]s.service has the cause", doing, d.o.Words.Program)}
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return d.storage(doing, fmt.Sprintf("another process held it locked for over %v; close the programs that use it (fuser %s shows them) and try again", busyTimeout, d.o.Path), err)
	}
	if lite.SystemErrno != 0 {
		if cure := d.cureOf(lite.SystemErrno); cure != "" {
			return d.storage(doing, cure, err)
		}
	}
	switch lite.Code {
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen:
		return d.storage(doing, "the disk does not read or write it: look at the kernel's messages (journalctl -k) and at the permissions of "+filepath.Dir(d.o.Path), err)
	}
	return nil
}

// cureOf explains an error of the file system, or returns "".
func (d *DB) cureOf(err error) string {
	dir, words := filepath.Dir(d.o.Path), d.o.Words
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Sprintf("there is no space left for it; free some on the disk of %[1]s (df -h %[1]s) and try again", dir)
	case errors.Is(err, syscall.EROFS):
		return fmt.Sprintf("it cannot be written; make sure that the file system of %s is not mounted read-only and that the files there belong to %s", dir, words.Owner)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("access is denied; %s must run as %[3]s, and %[2]s must belong to %[3]s", words.Program, dir, words.Owner)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Sprintf("the directory %s does not exist; %s", dir, words.Directory)
	}
	return ""
}

func (d *DB) damaged(doing string, err error) error {
	return d.storage(doing, fmt.Sprintf("it is damaged; stop %[2]s, move %[1]s, %[1]s-wal and %[1]s-shm away and put a copy in their place, or start with a new one: %[3]s", d.o.Path, d.o.Words.Program, d.o.Words.Loss), err)
}

func (d *DB) storage(doing, cure string, err error) error {
	return &Error{Detail: fmt.Sprintf("cannot %s (%s): %s", doing, d.o.Path, cure), Err: err}
}

// InTransaction says whether a transaction is open on the connection: SQLite
// ends one by itself after some errors.
func InTransaction(conn *sql.Conn) bool {
	var auto bool
	err := conn.Raw(func(c any) error {
		auto = c.(*sqlite3.SQLiteConn).AutoCommit()
		return nil
	})
	return !auto && err == nil
}
