package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/left4med/left4med/internal/server"
	"golang.org/x/sys/unix"

	_ "github.com/mattn/go-sqlite3" // registers the driver "sqlite3"
)

// applicationID marks a file as ours (https://www.sqlite.org/pragma.html#pragma_application_id):
// "L4MD".
const applicationID = 0x4c344d44

// busyTimeout is how long a connection waits for a lock that another process
// holds, a sqlite3 shell for instance.
const busyTimeout = 5 * time.Second

// checkLimit is the size in bytes up to which a file is checked whole when it
// is opened: below it the check takes well under a second.
const checkLimit = 64 << 20

func (s *Store) open(ctx context.Context, ms []migration) error {
	var err error
	if s.lock, err = lockFile(s.path); err != nil {
		return err
	}
	if s.writer, err = sql.Open("sqlite3", dsn(s.path, "_txlock=immediate", "_foreign_keys=on", "_synchronous=FULL")); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if s.conn, err = s.writer.Conn(ctx); err != nil {
		return err
	}
	if err := s.check(ctx, ms); err != nil {
		return err
	}
	if s.schema, err = migrate(ctx, s.conn, ms); err != nil {
		return err
	}
	// Only now: it changes the file, which until here might not have been ours.
	var mode string
	if err := s.conn.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return server.Errorf(server.CodeStorage, "cannot use the database %s: its file system does not allow WAL mode (it stays in mode %q); keep it on a local disk", s.path, mode)
	}
	if s.readers, err = sql.Open("sqlite3", dsn(s.path, "_query_only=on")); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(readConns)
	s.readers.SetMaxIdleConns(readConns)
	return s.readers.PingContext(ctx)
}

// dsn is the driver's name for a connection to the file. mode=rw: the file was
// created before, and one that vanished in between is an error.
func dsn(path string, options ...string) string {
	options = append(options, "mode=rw", "_stmt_cache_size=64", "_busy_timeout="+strconv.FormatInt(busyTimeout.Milliseconds(), 10))
	u := url.URL{Path: path}
	return "file:" + u.EscapedPath() + "?" + strings.Join(options, "&")
}

// lockFile creates the file when it is missing, gives it mode 0600 and takes a
// lock that keeps a second daemon out. SQLite's own locks are of another kind
// (fcntl), so a sqlite3 shell may still look at the database.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EISDIR) {
		return nil, server.Errorf(server.CodeStorage, "cannot open the database %s: it is not a plain file; move it away", path)
	}
	if err != nil {
		return nil, err
	}
	if err := prepare(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// unlock closes the file and gives its lock up, also while a child that is just
// being started shares it.
func unlock(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

func prepare(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return server.Errorf(server.CodeStorage, "cannot open the database %s: it is not a plain file; move it away", path)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return server.Errorf(server.CodeStorage, "cannot open the database %s: another left4med is using it; stop that one first (systemctl stop left4med)", path)
		}
		return fmt.Errorf("cannot lock %s: %w", path, err)
	}
	if info.Mode().Perm() != 0o600 {
		if err := f.Chmod(0o600); err != nil {
			return err
		}
	}
	if info.Size() > 0 {
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// check refuses a file that is not ours, is damaged, or comes from a newer
// version, before anything is written to it.
func (s *Store) check(ctx context.Context, ms []migration) error {
	var id, version, tables int
	err := s.conn.QueryRowContext(ctx, `SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id AS a, pragma_user_version AS v`).Scan(&id, &version, &tables)
	if err != nil {
		return err
	}
	empty := id == 0 && version == 0 && tables == 0
	switch {
	case !empty && id != applicationID:
		return server.Errorf(server.CodeStorage, "cannot use the database %s: it belongs to another program (application id %#x); move it away, and left4med will make a new one", s.path, uint32(id))
	case version > len(ms):
		return server.Errorf(server.CodeStorage, "cannot use the database %s: it has schema version %d and this left4med knows versions up to %d, so a newer left4med wrote it; install that version again, or restore a copy of the database made before the upgrade", s.path, version, len(ms))
	}
	if info, err := s.lock.Stat(); err != nil || empty || info.Size() > checkLimit {
		return err
	}
	var verdict string
	if err := s.conn.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return s.damaged("open the database", errors.New(verdict))
	}
	return nil
}
