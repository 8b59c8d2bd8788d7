package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "github.com/mattn/go-sqlite3" // registers the driver "sqlite3"
)

// busyTimeout is how long a connection waits for a lock that another process
// holds, a sqlite3 shell for instance.
const busyTimeout = 5 * time.Second

// checkLimit is the size in bytes up to which a file is checked whole when it
// is opened: below it the check takes well under a second.
const checkLimit = 64 << 20

// Options say which database is opened, and whose it is.
type Options struct {
	// Path is where the file is; its directory must exist.
	Path string
	// ApplicationID marks a file as this program's
	// (https://www.sqlite.org/pragma.html#pragma_application_id).
	ApplicationID int32
	// Migrations are the steps from an empty file on; the file's user_version
	// counts those that were done. A step that was released is never changed
	// again: the next change of the schema is a new step.
	Migrations []string
	// Readers is how many reads run side by side.
	Readers int
	// Alone keeps a second process of the same program out.
	Alone bool
	// Words are what the errors name.
	Words Words
}

// Words are what errors about a database name.
type Words struct {
	Program   string // whose database it is, "left4med"; its unit is PROGRAM.service
	Owner     string // the user that the program runs as and the files belong to
	Directory string // how a missing directory comes back
	Loss      string // what a new database in the place of a damaged one means
}

// DB is an open database.
type DB struct {
	// Writer has one connection, whose transactions begin immediately.
	Writer *sql.DB
	// Readers are connections that cannot write.
	Readers *sql.DB

	o      Options
	lock   *os.File // held while the database is open alone, see lockFile
	schema int
	close  func() error
}

// Open opens the database, creates it when there is none (mode 0600) and brings
// its schema up to date. The errors are *Error, or a context's.
func Open(ctx context.Context, o Options) (*DB, error) {
	d := &DB{o: o}
	d.close = sync.OnceValue(d.release)
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(d.Fail("open the database", err), d.Close())
	}
	return d, nil
}

func (d *DB) open(ctx context.Context) error {
	if err := d.takeFile(); err != nil {
		return err
	}
	var err error
	if d.Writer, err = sql.Open("sqlite3", dsn(d.o.Path, "_txlock=immediate", "_foreign_keys=on", "_synchronous=FULL")); err != nil {
		return err
	}
	d.Writer.SetMaxOpenConns(1)
	if err := d.prepare(ctx); err != nil {
		return err
	}
	if d.Readers, err = sql.Open("sqlite3", dsn(d.o.Path, "_query_only=on")); err != nil {
		return err
	}
	d.Readers.SetMaxOpenConns(d.o.Readers)
	d.Readers.SetMaxIdleConns(d.o.Readers)
	return d.Readers.PingContext(ctx)
}

// prepare looks at the file and makes it what the program wants.
func (d *DB) prepare(ctx context.Context) error {
	conn, err := d.Writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // gives it back
	if err := d.check(ctx, conn); err != nil {
		return err
	}
	if d.schema, err = d.migrate(ctx, conn); err != nil {
		return err
	}
	// Only now: it changes the file, which until here might not have been ours.
	var mode string
	if err := conn.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return errorf("cannot use the database %s: its file system does not allow WAL mode (it stays in mode %q); keep it on a local disk", d.o.Path, mode)
	}
	return nil
}

// dsn is the driver's name for a connection to the file. mode=rw: the file was
// created before, and one that vanished in between is an error.
func dsn(path string, options ...string) string {
	options = append(options, "mode=rw", "_stmt_cache_size=64", "_busy_timeout="+strconv.FormatInt(busyTimeout.Milliseconds(), 10))
	u := url.URL{Path: path}
	return "file:" + u.EscapedPath() + "?" + strings.Join(options, "&")
}

// check refuses a file that is not ours, is damaged, or comes from a newer
// version, before anything is written to it.
func (d *DB) check(ctx context.Context, conn *sql.Conn) error {
	var id, version, tables int
	err := conn.QueryRowContext(ctx, `SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id AS a, pragma_user_version AS v`).Scan(&id, &version, &tables)
	if err != nil {
		return err
	}
	empty := id == 0 && version == 0 && tables == 0
	known, program := len(d.o.Migrations), d.o.Words.Program
	switch {
	case !empty && id != int(d.o.ApplicationID):
		return errorf("cannot use the database %s: it belongs to another program (application id %#x); move it away, and %s will make a new one", d.o.Path, uint32(id), program)
	case version > known:
		return errorf("cannot use the database %[1]s: it has schema version %[2]d and this %[4]s knows versions up to %[3]d, so a newer %[4]s wrote it; install that version again, or restore a copy of the database made before the upgrade", d.o.Path, version, known, program)
	}
	if info, err := os.Stat(d.o.Path); err != nil || empty || info.Size() > checkLimit {
		return err
	}
	var verdict string
	if err := conn.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return d.damaged("open the database", errors.New(verdict))
	}
	return nil
}

// Close closes the database. Later calls return what the first one did.
func (d *DB) Close() error { return d.close() }

// release closes the file's handles. The lock is the last: closing any handle of
// a file drops the POSIX locks that SQLite holds on it.
func (d *DB) release() error {
	var errs []error
	if d.Readers != nil {
		errs = append(errs, d.Readers.Close())
	}
	if d.Writer != nil {
		errs = append(errs, d.Writer.Close())
	}
	if d.lock != nil {
		errs = append(errs, unlock(d.lock))
	}
	return d.Fail("close the database", errors.Join(errs...))
}

// Path is where the database is.
func (d *DB) Path() string { return d.o.Path }

// Schema is the version of the database's schema.
func (d *DB) Schema() int { return d.schema }

// migrate does the missing steps, each in a transaction of its own together
// with its number, and returns the version reached.
func (d *DB) migrate(ctx context.Context, conn *sql.Conn) (version int, err error) {
	for done := false; !done; {
		if version, done, err = d.step(ctx, conn); err != nil {
			return version, fmt.Errorf("cannot bring the schema to version %d: %w", version+1, err)
		}
	}
	return version, nil
}

// step does the first step that is missing. Which one that is, is asked within
// the transaction: another process may have done some in the meantime.
func (d *DB) step(ctx context.Context, conn *sql.Conn) (version int, done bool, err error) {
	if version, err = userVersion(ctx, conn); err != nil || version >= len(d.o.Migrations) {
		return version, true, err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return version, false, err
	}
	defer tx.Rollback() // after a commit it has nothing to do
	if version, err = userVersion(ctx, tx); err != nil || version >= len(d.o.Migrations) {
		return version, true, err
	}
	// PRAGMA takes no parameters; both numbers are ours.
	stamp := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", d.o.ApplicationID, version+1)
	for _, statement := range []string{d.o.Migrations[version], stamp} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return version, false, err
		}
	}
	return version, false, tx.Commit()
}

func userVersion(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (version int, err error) {
	err = q.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version)
	return version, err
}
