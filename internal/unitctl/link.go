package unitctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/dbussock"
)

const (
	busName     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerFace = "org.freedesktop.systemd1.Manager"
	unitFace    = "org.freedesktop.systemd1.Unit"
	serviceFace = "org.freedesktop.systemd1.Service"
	propsFace   = "org.freedesktop.DBus.Properties"
)

const (
	dialTimeout = 5 * time.Second
	authTimeout = 10 * time.Second
)

// ErrConnectionLost is in the chain of an error when the connection to systemd
// broke before the answer was there: what was asked for may have been done or
// not, so read the state again.
var ErrConnectionLost = errors.New("the connection to systemd was lost")

// ErrNoConnection is in the chain of an error when there was no connection to
// systemd to begin with: what was asked for was not done.
var ErrNoConnection = errors.New("there is no connection to systemd")

// link is one connection to systemd. godbus calls DeliverSignal in the goroutine
// that reads the socket, so that all signals that came before a reply are queued
// when the reply reaches its caller.
type link struct {
	m    *Manager
	gen  uint64
	sock *dbussock.Socket
	bus  *dbus.Conn
	jobs jobs
	lost chan struct{} // closed when the connection is gone

	binds atomic.Pointer[bool] // what bindsPorts found out

	announced sync.Once
	// The reader's own:
	reloading bool
	malformed uint
}

// connect opens the private socket: SASL EXTERNAL, and no Hello, since there is
// no bus. The Connected event is queued before the first signal.
func (m *Manager) connect(ctx context.Context, gen uint64) (*link, error) {
	raw, err := m.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to systemd: %w", err)
	}
	l := &link{m: m, gen: gen, sock: dbussock.New(raw), lost: make(chan struct{})}
	l.bus, err = dbus.NewConn(l.sock, dbus.WithSignalHandler(l), dbus.WithHandler(noObjects{}))
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("cannot connect to systemd: %w", err)
	}
	if err := l.begin(ctx); err != nil {
		l.end()
		return nil, fmt.Errorf("cannot authenticate to systemd on %s: %w", m.socket, err)
	}
	l.announce()
	return l, nil
}

// begin authenticates and waits until systemd answers.
func (l *link) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, authTimeout, errors.New("systemd does not answer"))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.sock.Close() })
	defer stop()
	if err := l.bus.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return l.wake(ctx)
}

// wake pings systemd until it answers one. While sd-bus authenticates a client
// it reads all that is there: when it finds our first message behind BEGIN, the
// message lies in its buffer until more bytes come. So more are sent.
func (l *link) wake(ctx context.Context) error {
	const tries = 16
	pongs := make(chan *dbus.Call, tries)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of the pings that are left
	pause := 2 * time.Millisecond
	for range tries {
		l.bus.Object(busName, managerPath).GoWithContext(ctx, "org.freedesktop.DBus.Peer.Ping", 0, pongs)
		timer := time.NewTimer(pause)
		select {
		case pong := <-pongs:
			timer.Stop()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return pong.Err
		case <-timer.C:
		}
		pause = min(2*pause, time.Second)
	}
	return errors.New("systemd does not answer")
}

// end closes the connection and tells everybody who waits for something from it.
func (l *link) end() {
	// The socket first: that ends a write that is stuck, for which closing the
	// bus would wait.
	_ = l.sock.Close()
	_ = l.bus.Close()
	l.m.link.CompareAndSwap(l, nil)
	close(l.lost)
}

// announce makes the connection the manager's own and queues Connected.
func (l *link) announce() {
	l.announced.Do(func() {
		l.m.link.Store(l)
		l.m.queue.push(Event{Kind: Connected, Stamp: Stamp{Conn: l.gen}, At: time.Now()})
	})
}

// wait returns when the connection has ended, with the reason. All signals that
// came over it are queued by then.
func (l *link) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-l.bus.Context().Done():
	}
	l.end()
	return lostTo(l.sock.Reason())
}

// request is one method call.
type request struct {
	path   dbus.ObjectPath
	method string // with its interface
	args   []any
}

// call asks systemd and waits for the reply. An error is systemd's own
// (dbus.Error), ctx's, or ErrConnectionLost.
func (l *link) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) (*dbus.Call, error) {
	replies, err := l.calls(ctx, []request{{path, method, args}})
	if err != nil {
		return nil, err
	}
	return replies[0], nil
}

// calls asks several things without waiting for one before the next, and
// returns the replies in the order of the requests. It fails with the first
// that fails.
func (l *link) calls(ctx context.Context, requests []request) ([]*dbus.Call, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of those that are left when one fails
	pending := l.send(ctx, requests)
	replies := make([]*dbus.Call, len(requests))
	for i := range pending {
		var err error
		if replies[i], err = l.reply(ctx, pending[i]); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

// send asks several things and returns where the replies come, in the order of
// the requests.
func (l *link) send(ctx context.Context, requests []request) []chan *dbus.Call {
	pending := make([]chan *dbus.Call, len(requests))
	for i := range pending {
		pending[i] = make(chan *dbus.Call, 1)
	}
	// In a goroutine of its own, since writing waits while PID 1 does not read;
	// it ends with the replies, ctx or the socket's patience.
	go func() {
		for i, r := range requests {
			l.bus.Object(busName, r.path).GoWithContext(ctx, r.method, 0, pending[i], r.args...)
		}
	}()
	return pending
}

func (l *link) reply(ctx context.Context, pending <-chan *dbus.Call) (*dbus.Call, error) {
	select {
	case c := <-pending:
		return c, l.callError(ctx, c.Err)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.lost:
		select {
		case c := <-pending:
			return c, l.callError(ctx, c.Err)
		default:
			return nil, ErrConnectionLost
		}
	}
}

func (l *link) callError(ctx context.Context, err error) error {
	var refused dbus.Error
	switch {
	case err == nil, errors.As(err, &refused):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case isMessageError(err):
		return err
	}
	return fmt.Errorf("%w: %w", ErrConnectionLost, err)
}

// isMessageError says that godbus would not send what we gave it.
func isMessageError(err error) bool {
	var (
		format  dbus.FormatError
		invalid dbus.InvalidMessageError
		typ     dbus.InvalidTypeError
	)
	return errors.As(err, &format) || errors.As(err, &invalid) || errors.As(err, &typ)
}

// stamp is the place of a reply.
func (l *link) stamp(c *dbus.Call) Stamp {
	return Stamp{Conn: l.gen, Seq: uint64(c.ResponseSequence)}
}

// DeliverSignal implements dbus.SignalHandler.
func (l *link) DeliverSignal(_, _ string, s *dbus.Signal) {
	l.announce()
	if s.Path != managerPath && !ourPath(s.Path) {
		return
	}
	sig, err := decodeSignal(s)
	if err != nil {
		l.complain(s, err)
		return
	}
	e := Event{Kind: sig.kind, Unit: sig.unit, Change: sig.change, Stamp: Stamp{Conn: l.gen, Seq: uint64(s.Sequence)}, At: time.Now()}
	switch {
	case sig.job != "":
		l.jobs.finish(sig.job, sig.result)
		return
	case sig.kind == 0:
		return
	case sig.kind == Reloading:
		l.reloading = true
	case sig.kind == Reloaded:
		l.reloading = false
	case sig.kind == Removed && l.reloading:
		return // comes back by UnitNew
	}
	l.m.queue.push(e)
}

// complain logs a signal that cannot be read: the 1st, 2nd, 4th, 8th …
func (l *link) complain(s *dbus.Signal, err error) {
	l.malformed++
	if bits.OnesCount(l.malformed) == 1 {
		l.m.log.Error().Err(err).Str("signal", s.Name).Str("path", string(s.Path)).Uint("so_far", l.malformed).
			Msg("skipped a signal from systemd that cannot be read")
	}
}

// noObjects answers whoever calls us that there is nothing here.
type noObjects struct{}

// LookupObject implements dbus.Handler.
func (noObjects) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { return nil, false }

// lostTo says why the connection ended.
func lostTo(err error) error {
	switch {
	case err == nil:
		return errors.New("systemd sent a message that cannot be read")
	case errors.Is(err, io.EOF):
		return errors.New("systemd closed the connection, as it does when it re-executes itself")
	}
	return fmt.Errorf("the connection to systemd broke: %w", err)
}
