package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/rs/zerolog"
)

// Store is an open database. Its methods may be called from many goroutines.
type Store struct {
	path   string
	schema int
	log    zerolog.Logger
	now    func() time.Time

	lock    *os.File // held while the store is open, see lockFile
	readers *sql.DB
	writer  *sql.DB
	conn    *sql.Conn // the writer's only connection, used by the writing goroutine alone

	writes  chan *write
	closing chan struct{}
	close   func() error

	commits atomic.Int64 // transactions committed
	broken  atomic.Bool  // the last transaction failed for the disk's sake
}

// readConns is how many reads run side by side.
const readConns = 4

// Open opens the database at path, creates it when there is none (mode 0600;
// its directory must exist) and brings its schema up to date. The errors say
// what is wrong with the file and what to do: not ours, from a newer version,
// damaged, in use by another left4med, not writable, no space.
func Open(ctx context.Context, path string, log zerolog.Logger) (*Store, error) {
	s := &Store{
		path: path, log: log, now: time.Now,
		writes: make(chan *write), closing: make(chan struct{}),
	}
	if err := s.open(ctx, migrations()); err != nil {
		return nil, errors.Join(s.fail("open the database", err), s.release())
	}
	done := make(chan struct{})
	go func() { defer close(done); s.writeLoop() }()
	s.close = sync.OnceValue(func() error {
		close(s.closing)
		<-done
		return s.release()
	})
	return s, nil
}

// Close waits for the writes under way and closes the database. Later calls
// return what the first one did.
func (s *Store) Close() error { return s.close() }

// release closes the file's handles. The lock is the last: closing any handle
// of a file drops the POSIX locks that SQLite holds on it.
func (s *Store) release() error {
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	if s.lock != nil {
		errs = append(errs, unlock(s.lock))
	}
	if err := errors.Join(errs...); err != nil {
		return s.fail("close the database", err)
	}
	return nil
}

// Path is where the database is.
func (s *Store) Path() string { return s.path }

// Schema is the version of the database's schema.
func (s *Store) Schema() int { return s.schema }

// Ping says whether the database can be read and, when the last write failed,
// whether one succeeds now.
func (s *Store) Ping(ctx context.Context) error {
	if s.broken.Load() {
		return s.write(ctx, "write to the database", func(ctx context.Context, q querier) error {
			_, err := q.ExecContext(ctx, `UPDATE meta SET value = value WHERE key = 'next_event'`)
			return err
		})
	}
	var n int
	err := s.readers.QueryRowContext(ctx, `SELECT count(*) FROM meta`).Scan(&n)
	return s.fail("read the database", err)
}

// querier is what both kinds of connection offer.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// micros is a time as it is stored.
func micros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

// timeOf reverses micros.
func timeOf(v sql.NullInt64) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return time.UnixMicro(v.Int64).UTC()
}

// orNow is t, or the present when t is zero, as it will be read back.
func (s *Store) orNow(t time.Time) time.Time {
	if t.IsZero() {
		t = s.now()
	}
	return t.UTC().Truncate(time.Microsecond)
}

func serverNotFound(id int64) error {
	return server.Errorf(server.CodeServerNotFound, "there is no server with the id %d", id)
}
