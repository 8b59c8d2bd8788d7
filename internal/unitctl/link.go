package unitctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
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
	dialTimeout  = 5 * time.Second
	authTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second // PID 1 reads at once unless it is stuck
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
	sock *socket
	bus  *dbus.Conn
	jobs jobs
	lost chan struct{} // closed when the connection is gone

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
	l := &link{m: m, gen: gen, sock: newSocket(raw), lost: make(chan struct{})}
	l.bus, err = dbus.NewConn(l.sock, dbus.WithSignalHandler(l), dbus.WithHandler(noObjects{}))
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("cannot connect to systemd: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	_ = raw.SetDeadline(time.Now().Add(authTimeout))
	if err := l.bus.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		_ = raw.Close()
		_ = l.bus.Close()
		return nil, fmt.Errorf("cannot authenticate to systemd on %s: %w", m.socket, err)
	}
	_ = raw.SetDeadline(time.Time{})
	l.announce()
	return l, nil
}

// announce makes the connection the manager's own and queues Connected.
func (l *link) announce() {
	l.announced.Do(func() {
		l.m.link.Store(l)
		l.m.queue.push(Event{Kind: Connected, Stamp: Stamp{Conn: l.gen}, At: time.Now()})
	})
}

// wait returns when the connection has ended, with the reason, and everybody
// who waits for something from it has been told.
func (l *link) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		// The socket first: it ends a write that is stuck, for which closing
		// the bus would wait.
		_ = l.sock.Close()
		<-l.bus.Context().Done()
	case <-l.bus.Context().Done():
	}
	l.m.link.CompareAndSwap(l, nil)
	close(l.lost)
	return l.sock.reason()
}

// call asks systemd and waits for the reply. An error is systemd's own
// (dbus.Error), ctx's, or ErrConnectionLost.
func (l *link) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) (*dbus.Call, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reply := make(chan *dbus.Call, 1)
	// In a goroutine of its own, since writing waits while PID 1 does not read;
	// it ends with the reply, ctx or writeTimeout.
	go l.bus.Object(busName, path).GoWithContext(ctx, method, 0, reply, args...)
	select {
	case c := <-reply:
		return c, l.callError(ctx, c.Err)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.lost:
		select {
		case c := <-reply:
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

// socket reads ahead (godbus reads field by field), bounds how long a write may
// take, and remembers why reading ended.
type socket struct {
	net.Conn
	in *bufio.Reader

	mu  sync.Mutex
	err error
}

func newSocket(c net.Conn) *socket {
	return &socket{Conn: c, in: bufio.NewReaderSize(c, 64<<10)}
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil {
		s.fail(err)
	}
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	_ = s.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := s.Conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) || err != nil && n > 0 {
		// Half a message may be written: nothing can follow it.
		s.fail(fmt.Errorf("systemd does not read what it is sent: %w", err))
		_ = s.Close()
	}
	return n, err
}

// fail remembers the first error.
func (s *socket) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// reason says why the connection ended.
func (s *socket) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err == nil:
		return errors.New("systemd sent a message that cannot be read")
	case errors.Is(s.err, io.EOF):
		return errors.New("systemd closed the connection, as it does when it re-executes itself")
	}
	return fmt.Errorf("the connection to systemd broke: %w", s.err)
}
