// Package busapi serves left4med on the system bus, as org.left4me.left4med1.
//
// The tables in interfaces.go say what there is and what each method asks. Each
// call passes dispatch.go: who is it (callers.go), is there such a thing, may it,
// and then the method's own function. model.go holds what the bus was told of the
// servers; answers are given from it, so that a client that adds the signals up
// arrives at what an answer says.
package busapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/dbussock"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/quota"
	"github.com/left4med/left4med/internal/server"
)

// Backend is what the bus serves: the orchestrator.
type Backend interface {
	List() orchestrator.Snapshot
	Get(name server.Name) (*orchestrator.Entry, uint64, error)
	Request(ctx context.Context, kind server.JobKind, names []server.Name, who server.Requester) ([]*server.Job, []orchestrator.Refusal, error)
	Job(ctx context.Context, id int64) (*server.Job, error)
	Resync(ctx context.Context) error
	// Status returns the status, and a channel that is closed when
	// SystemdConnected changes.
	Status() (orchestrator.Status, <-chan struct{})
	Watch(after uint64, resume bool) *orchestrator.Watcher
}

// Gate decides what a caller may do. Its errors are *server.Error, or ctx's.
type Gate interface {
	Check(ctx context.Context, r authz.Request) error
}

// Options is what the bus needs; all but the last two must be set.
type Options struct {
	Backend  Backend
	Gate     Gate
	Accounts *authz.Accounts // names the uids of requesters
	Log      zerolog.Logger
	Version  string

	// Socket is where the bus listens; the system bus when empty.
	Socket string
	// Calls bounds how many calls are answered at once; 256, and 32 for each uid,
	// when zero. Root is not bounded.
	Calls quota.Limit
}

// Bus is left4med on a bus. Make it with New and run it with Run.
type Bus struct {
	Options
	calls   *quota.Quota
	heavy   *quota.Quota // calls whose answers take long while signals wait
	callers *callers

	mu   sync.Mutex // held from a change of the model until its signals are sent
	told model
	conn *dbus.Conn // nil while there is none

	tried    chan struct{}
	firstTry sync.Once

	health struct {
		sync.Mutex
		since time.Time
		err   error // why there is no connection; nil when there is one
	}
}

// New makes a Bus that is not connected yet.
func New(o Options) *Bus {
	if o.Socket == "" {
		o.Socket = dbussock.SystemBus
	}
	b := &Bus{Options: o, calls: quota.New(o.Calls.Or(quota.Limit{Total: 256, PerUID: 32})), callers: newCallers(), tried: make(chan struct{})}
	b.heavy = quota.New(quota.Limit{Total: 64, PerUID: 4})
	b.health.err = errors.New("not connected yet")
	return b
}

// The pauses before the next try to connect: dbus-daemon is back within
// milliseconds after it was killed, or it is not installed.
const (
	firstPause = 20 * time.Millisecond
	maxPause   = 10 * time.Second
)

// Run serves until ctx ends and then returns nil. It connects again whenever
// the bus goes away: losing it harms nothing else.
func (b *Bus) Run(ctx context.Context) error {
	pause, quiet := firstPause, false
	for {
		served, err := b.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if served {
			pause, quiet = firstPause, false
		}
		b.setHealth(err)
		if !quiet {
			b.Log.Warn().Err(err).Msg("not on the system bus; trying again until it works, and all else goes on")
			quiet = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// Tried is closed once Run has joined the bus, or failed to for the first time.
func (b *Bus) Tried() <-chan struct{} { return b.tried }

func (b *Bus) setHealth(err error) {
	b.firstTry.Do(func() { close(b.tried) })
	b.health.Lock()
	defer b.health.Unlock()
	if (err == nil) != (b.health.err == nil) || b.health.since.IsZero() {
		b.health.since = time.Now()
	}
	b.health.err = err
}

// Check is a line for `l4d2ctl doctor`.
func (b *Bus) Check() server.Check {
	b.health.Lock()
	defer b.health.Unlock()
	c := server.Check{Name: "bus", OK: b.health.err == nil, LookedAt: "the connection to the system bus", Found: "serving " + busName + " on the system bus"}
	if !c.OK {
		c.Found = fmt.Sprintf("not on the system bus: %v; the HTTP API and the servers do not need it, but polkit does", b.health.err)
		c.Cure = "systemctl start dbus.service"
	}
	return c
}

// session is one connection: it returns when that is lost or ctx ends. served
// says whether left4med had its name.
func (b *Bus) session(ctx context.Context) (served bool, err error) {
	conn, sock, err := b.connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		b.mu.Lock()
		b.conn = nil
		b.mu.Unlock()
		b.callers.forget()
		_ = sock.Close() // first: it ends a write that is stuck
		_ = conn.Close()
	}()
	snapshot := b.start(conn)
	if err := b.claim(ctx, conn); err != nil {
		return false, err
	}
	b.setHealth(nil)
	b.Log.Info().Str("bus_name", busName).Msg("on the system bus")
	following, stop := context.WithCancel(ctx)
	defer stop()
	lost := context.AfterFunc(conn.Context(), stop)
	defer lost()
	b.follow(following, snapshot)
	if ctx.Err() != nil {
		return true, nil
	}
	if err = sock.Reason(); err == nil {
		err = errors.New("the bus sent a message that cannot be read")
	}
	return true, fmt.Errorf("the connection to the bus was lost: %w", err)
}

// helloTimeout bounds connecting; it includes a start of the bus by systemd.
const helloTimeout = 10 * time.Second

func (b *Bus) connect(ctx context.Context) (*dbus.Conn, *dbussock.Socket, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	conn, sock, err := dbussock.Connect(ctx, b.Socket, onlyCalls, dbus.WithHandler(b), dbus.WithSignalHandler(b.callers))
	if err != nil {
		return nil, nil, err
	}
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.AddMatch", 0, leavingRule).Err
	if err != nil {
		_ = sock.Close()
		_ = conn.Close()
		return nil, nil, fmt.Errorf("cannot begin with the system bus: %w", err)
	}
	return conn, sock, nil
}

func (b *Bus) claim(ctx context.Context, conn *dbus.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	var reply uint32
	err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.RequestName", 0, busName, uint32(dbus.NameFlagDoNotQueue)).Store(&reply)
	switch {
	case err != nil:
		return fmt.Errorf("cannot take the name %s: %w", busName, err)
	case dbus.RequestNameReply(reply) != dbus.RequestNameReplyPrimaryOwner:
		return fmt.Errorf("cannot take the name %s: another process has it; `busctl status %s` says which", busName, busName)
	}
	return nil
}
