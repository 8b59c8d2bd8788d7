package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Dial connects to an address in the machine, as net.Dialer does, from within its
// network namespace: the machine has no network that leads to it. The address is a
// literal one, since names are not looked up there.
func (m *Machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// A socket belongs to the namespace of the thread that makes it, for good. The
		// thread is not unlocked and so ends with this goroutine: nothing else runs in
		// that namespace.
		runtime.LockOSThread()
		if err := m.joinNetwork(); err != nil {
			done <- result{err: err}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		done <- result{conn, err}
	}()
	r := <-done
	if r.err != nil {
		return nil, fmt.Errorf("cannot connect to %s in the machine: %w", address, r.err)
	}
	return r.conn, nil
}

// joinNetwork moves the calling thread into the machine's network namespace.
func (m *Machine) joinNetwork() error {
	leader, err := m.leaderPID()
	if err != nil {
		return err
	}
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", leader), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open its network namespace: %w", err)
	}
	defer unix.Close(ns)
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("cannot join its network namespace: %w", err)
	}
	return nil
}

// Forward passes on connections to a TCP port of this host's loopback, to an address
// in the machine, until ctx ends and all of them have. It lasts over reboots of the
// machine: while that is off, connections are closed at once. The listener's address
// is where to connect; port 0 takes any that is free.
func (m *Machine) Forward(ctx context.Context, port uint16, address string) (*Forwarding, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
	if err != nil {
		return nil, fmt.Errorf("cannot forward to %s: %w", address, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &Forwarding{Addr: l.Addr().String(), cancel: cancel}
	context.AfterFunc(ctx, func() { l.Close() })
	f.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() { m.forward(ctx, conn, address) })
		}
	})
	return f, nil
}

// Forwarding is what Forward began.
type Forwarding struct {
	Addr    string // host:port on this host
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Close ends it, and all connections through it.
func (f *Forwarding) Close() {
	f.cancel()
	f.running.Wait()
}

// forward copies both ways until one side has ended.
func (m *Machine) forward(ctx context.Context, outer net.Conn, address string) {
	defer outer.Close()
	inner, err := m.Dial(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer inner.Close()
	stop := context.AfterFunc(ctx, func() { outer.Close(); inner.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pass(inner, outer) })
	both.Go(func() { pass(outer, inner) })
	both.Wait()
}

// pass copies what comes from one side to the other, and its end. An error ends both
// sides: the other direction would wait for ever.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if tcp, ok := to.(*net.TCPConn); ok && err == nil {
		err = tcp.CloseWrite()
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		to.Close()
		from.Close()
	}
}
