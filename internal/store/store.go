package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/sqlite"
	"github.com/rs/zerolog"
)

// Store is an open database. Its methods may be called from many goroutines.
type Store struct {
	log zerolog.Logger
	now func() time.Time

	db      *sqlite.DB
	readers *sql.DB   // db's
	conn    *sql.Conn // the writer's only connection, used by the writing goroutine alone

	writes  chan *write
	closing chan struct{}
	close   func() error

	commits atomic.Int64 // transactions committed
	broken  atomic.Bool  // the last transaction failed for the disk's sake
}

// applicationID marks a file as ours: "L4MD".
const applicationID = 0x4c344d44

// readConns is how many reads run side by side.
const readConns = 4

// Open opens the database at path, creates it when there is none (mode 0600;
// its directory must exist) and brings its schema up to date. The errors say
// what is wrong with the file and what to do: not ours, from a newer version,
// damaged, in use by another left4med, not writable, no space.
func Open(ctx context.Context, path string, log zerolog.Logger) (*Store, error) {
	s, err := open(ctx, path, log, migrations())
	if err != nil {
		return nil, err
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

// open opens the database; nothing writes to it yet.
func open(ctx context.Context, path string, log zerolog.Logger, migrations []string) (*Store, error) {
	db, err := sqlite.Open(ctx, sqlite.Options{
		Path: path, ApplicationID: applicationID, Migrations: migrations, Readers: readConns, Alone: true,
		Words: sqlite.Words{
			Program: "left4med", Owner: "root",
			Directory: "create it (systemd-tmpfiles --create, or install the package again)",
			Loss:      "the instances' files are kept and say which servers there were",
		},
	})
	if err != nil {
		return nil, told(err)
	}
	s := &Store{
		log: log, now: time.Now, db: db, readers: db.Readers,
		writes: make(chan *write), closing: make(chan struct{}),
	}
	if s.conn, err = db.Writer.Conn(ctx); err != nil {
		return nil, errors.Join(s.fail("open the database", err), s.release())
	}
	return s, nil
}

// release closes the file's handles.
func (s *Store) release() error {
	var err error
	if s.conn != nil {
		err = s.fail("close the database", s.conn.Close())
	}
	return errors.Join(err, told(s.db.Close()))
}

// Path is where the database is.
func (s *Store) Path() string { return s.db.Path() }

// Schema is the version of the database's schema.
func (s *Store) Schema() int { return s.db.Schema() }

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
