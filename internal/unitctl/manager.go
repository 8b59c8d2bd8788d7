// Package unitctl is the hand on systemd: the verbs, the snapshot and the
// signals of org.freedesktop.systemd1(5), over systemd's private socket.
//
// The private socket is a D-Bus connection to PID 1 itself, without a bus
// between: only root can open it, only PID 1 can speak on it, every signal comes
// without a subscription, and it works while dbus-daemon is dead. It closes when
// systemd re-executes itself; Manager then connects again.
//
// Manager touches no unit but instances of server.Template.
package unitctl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
)

// Options says where systemd and its files are. The zero value is right on a
// host.
type Options struct {
	// Root is where the host's file system is seen; default "/". It is not
	// "/" only when systemd is watched from outside its container.
	Root string
	// Socket is systemd's private socket; default ROOT/run/systemd/private.
	Socket string
	// UnitPath is where enablement links and masks live; default
	// ROOT/etc/systemd/system.
	UnitPath string
	// Log is for what nobody else is told: reconnections, signals that
	// cannot be read. The zero value logs nothing.
	Log zerolog.Logger
}

// Manager speaks with systemd. It has a connection only while Run runs. Its
// methods may be called from any goroutine, also from Run's handler.
type Manager struct {
	socket   string
	unitPath string
	runPath  string   // where runtime masks live
	cgroups  string   // the top of cgroup2's file system
	search   []string // systemd's search path for units, highest priority first
	log      zerolog.Logger
	dial     func(context.Context) (net.Conn, error)

	running atomic.Bool
	queue   *queue
	link    atomic.Pointer[link]        // nil while there is no connection
	down    atomic.Pointer[unreachable] // why there is none
}

type unreachable struct{ err error }

// New makes a Manager. It opens nothing: Run does.
func New(o Options) *Manager {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Socket == "" {
		o.Socket = filepath.Join(o.Root, "run/systemd/private")
	}
	if o.UnitPath == "" {
		o.UnitPath = filepath.Join(o.Root, "etc/systemd/system")
	}
	m := &Manager{
		socket:   o.Socket,
		unitPath: o.UnitPath,
		runPath:  filepath.Join(o.Root, "run/systemd/system"),
		cgroups:  filepath.Join(o.Root, "sys/fs/cgroup"),
		log:      o.Log,
		queue:    newQueue(o.Log),
	}
	m.dial = func(ctx context.Context) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout}
		return d.DialContext(ctx, "unix", m.socket)
	}
	for _, dir := range searchPath {
		if dir == unitDir {
			m.search = append(m.search, o.UnitPath)
			continue
		}
		m.search = append(m.search, filepath.Join(o.Root, dir))
	}
	m.down.Store(&unreachable{errors.New("no connection was made yet")})
	return m
}

// Connected says whether there is a connection to systemd now.
func (m *Manager) Connected() bool { return m.link.Load() != nil }

// Run keeps a connection to systemd and hands every event to handle, in the
// order in which systemd spoke, one at a time and none left out, from the
// goroutine that called Run. Events wait in an unbounded queue while handle
// works. Run returns nil when ctx ends, with everything that it started ended;
// it fails only when it runs already.
func (m *Manager) Run(ctx context.Context, handle func(Event)) error {
	if !m.running.CompareAndSwap(false, true) {
		return errors.New("cannot run the connection to systemd twice at a time")
	}
	defer m.running.Store(false)

	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { m.keepConnected(ctx) })
	group.Go(func() { m.watchFiles(ctx) })
	m.queue.drain(ctx, handle)
	cancel()
	group.Wait()
	m.queue.clear()
	return nil
}

// keepConnected connects, waits for the connection to end, and connects again.
func (m *Manager) keepConnected(ctx context.Context) {
	var (
		retry  backoff
		outage bool // told that there is no connection
	)
	for gen := uint64(1); ctx.Err() == nil; gen++ {
		began := time.Now()
		l, err := m.connect(ctx, gen)
		if err == nil {
			m.log.Info().Str("socket", m.socket).Uint64("connection", gen).Msg("connected to systemd")
			err = l.wait(ctx)
			outage = false
		}
		if ctx.Err() != nil {
			return
		}
		m.down.Store(&unreachable{err})
		if !outage {
			outage = true
			m.log.Warn().Err(err).Str("socket", m.socket).Msg("no connection to systemd, trying again")
			m.queue.push(Event{Kind: Disconnected, Stamp: endOf(gen), At: time.Now(), Err: err})
		}
		if !sleep(ctx, retry.next(time.Since(began))) {
			return
		}
	}
}

// live is the connection, or the error that a caller gets when there is none.
func (m *Manager) live() (*link, error) {
	if l := m.link.Load(); l != nil {
		return l, nil
	}
	return nil, &server.Error{
		Code:   server.CodeSystemdUnavailable,
		Detail: "There is no connection to systemd (" + m.socket + ") at the moment; left4med keeps trying to connect, so try again shortly.",
		Err:    fmt.Errorf("%w: %w", ErrNoConnection, m.down.Load().err),
	}
}

const (
	backoffFirst = 10 * time.Millisecond
	backoffCap   = 2 * time.Second
)

// backoff doubles the pause between attempts up to backoffCap. A connection
// that lived longer than the cap begins anew; one that breaks at once does not,
// so that a peer that hangs up on us is not hammered.
type backoff struct{ pause time.Duration }

// next is how long to wait after an attempt, or the connection that came of it,
// took lived. A random half is taken off so that several daemons spread out.
func (b *backoff) next(lived time.Duration) time.Duration {
	switch {
	case b.pause == 0 || lived > backoffCap:
		b.pause = backoffFirst
	default:
		b.pause = min(2*b.pause, backoffCap)
	}
	return b.pause/2 + rand.N(b.pause/2)
}

// sleep waits and says whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// UnitPath is the directory where enablement links and masks live.
func (m *Manager) UnitPath() string { return m.unitPath }
