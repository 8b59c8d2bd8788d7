package account

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"github.com/left4med/left4med/internal/sqlite"
	"github.com/rs/zerolog"
)

//go:embed schema/001.sql
var schema001 string

// applicationID marks a file as ours: "L4MW".
const applicationID = 0x4c344d57

// readConns is how many reads run side by side.
const readConns = 4

// Options are what a Book may be told; the zero value does.
type Options struct {
	Idle time.Duration // how long a session lasts unused, 168 h
	Max  time.Duration // how long one lasts at all, 720 h
	Log  zerolog.Logger
	Hash HashCost         // of new passwords
	Now  func() time.Time // the clock
}

// Book is an open file of users and sessions. Its methods may be called from
// many goroutines.
type Book struct {
	db        *sqlite.DB
	idle, max time.Duration
	touch     time.Duration // how old a stored time of use may grow
	log       zerolog.Logger
	now       func() time.Time

	hasher    *hasher
	limits    *limits
	deviceKey []byte
	pending   *pending

	wake    chan struct{}
	closing context.CancelFunc
	done    chan struct{}

	mu    sync.Mutex
	setup string
	onEnd []func()
}

// Open opens the file, and creates it when there is none; its directory must
// exist. Another process may have it open, too.
func Open(ctx context.Context, path string, o Options) (*Book, error) {
	db, err := sqlite.Open(ctx, sqlite.Options{
		Path: path, ApplicationID: applicationID, Migrations: []string{schema001}, Readers: readConns,
		Words: sqlite.Words{
			Program: "left4med-web", Owner: "left4med-web",
			Directory: "systemctl start left4med-web creates it",
			Loss:      "the users must then be added again (left4med-web user add), servers and games are not touched",
		},
	})
	if err != nil {
		return nil, told(err)
	}
	if o.Idle <= 0 {
		o.Idle = 168 * time.Hour
	}
	if o.Max <= 0 {
		o.Max = 720 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	run, cancel := context.WithCancel(context.Background())
	b := &Book{
		db: db, idle: o.Idle, max: o.Max, touch: min(time.Minute, o.Idle/4), log: o.Log,
		now:    func() time.Time { return o.Now().UTC().Truncate(time.Microsecond) },
		hasher: newHasher(o.Hash), limits: newLimits(o.Now), pending: newPending(),
		wake: make(chan struct{}, 1), closing: cancel, done: make(chan struct{}),
	}
	if err := b.begin(ctx); err != nil {
		cancel()
		return nil, errors.Join(told(db.Fail("open the database", err)), db.Close())
	}
	go b.settleLoop(run)
	return b, nil
}

// begin reads what a Book needs all the time.
func (b *Book) begin(ctx context.Context) (err error) {
	if b.deviceKey, err = b.key(ctx, "device"); err != nil {
		return err
	}
	empty, err := b.Empty(ctx)
	if empty {
		b.setup = secret()
	}
	return err
}

// key reads a key of ours, and makes it when there is none.
func (b *Book) key(ctx context.Context, name string) (value []byte, err error) {
	read := func() error {
		return b.db.Readers.QueryRowContext(ctx, `SELECT value FROM keys WHERE name = ?`, name).Scan(&value)
	}
	if err := read(); !errors.Is(err, sql.ErrNoRows) {
		return value, err
	}
	// Another process may be making it, too: what was first, stays.
	if _, err := b.db.Writer.ExecContext(ctx, `INSERT INTO keys (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, random(32)); err != nil {
		return nil, err
	}
	return value, read()
}

// Close stores what waits and closes the file.
func (b *Book) Close() error {
	b.closing()
	<-b.done
	return told(b.db.Close())
}

// OnEnd has a function called after sessions may have ended, or roles changed,
// in this process. Another process changes them without a call.
func (b *Book) OnEnd(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onEnd = append(b.onEnd, f)
}

func (b *Book) ended() {
	b.mu.Lock()
	fs := b.onEnd
	b.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// write carries out a change in one transaction, after what is pending. Its
// error says what could not be done; doing completes "cannot …".
func (b *Book) write(ctx context.Context, doing string, do func(tx *sql.Tx) error) error {
	err := func() error {
		tx, err := b.db.Writer.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // after a commit it has nothing to do
		// Only now: what another transaction has stored in the meantime is no
		// longer pending.
		batch := b.pending.batch()
		if err := b.store(ctx, tx, batch); err != nil {
			return err
		}
		if err := do(tx); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		b.pending.stored(batch)
		return nil
	}()
	return b.fail(doing, err)
}

// fail is an error as users are told it; one of ours stays as it is. doing
// completes "cannot …".
func (b *Book) fail(doing string, err error) error {
	var known *Error
	if errors.As(err, &known) || errors.Is(err, ErrNoSession) {
		return err
	}
	return told(b.db.Fail(doing, err))
}

// How long the disk is left alone after it refused what is pending.
const (
	firstPause = 5 * time.Second
	lastPause  = time.Minute
)

// settle stores what is pending, now. What the disk refuses is kept.
func (b *Book) settle(ctx context.Context) error {
	if b.pending.empty() {
		return nil
	}
	return b.write(ctx, "store the sessions", func(*sql.Tx) error { return nil })
}

// kick has the loop store what is pending.
func (b *Book) kick() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// settleLoop stores what is pending whenever there is something, and once more
// in the end.
func (b *Book) settleLoop(ctx context.Context) {
	defer close(b.done)
	for {
		select {
		case <-b.wake:
			b.settleAll(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), firstPause)
			defer cancel()
			if err := b.settle(last); err != nil {
				b.log.Error().Err(err).Msg("sessions could not be stored; who began one must sign in again, and who ended one may want to change the password")
			}
			return
		}
	}
}

// settleAll tries until all is stored, or ctx ends.
func (b *Book) settleAll(ctx context.Context) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := b.settle(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		b.log.Error().Err(err).Dur("again_in", pause).Msg("sessions cannot be stored and are kept in memory")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// secret is a text of 256 bits that nobody can guess.
func secret() string { return base64.RawURLEncoding.EncodeToString(random(32)) }

// micros is a time as it is stored; timeOf reverses it.
func micros(t time.Time) int64 { return t.UnixMicro() }

func timeOf(us int64) time.Time { return time.UnixMicro(us).UTC() }
