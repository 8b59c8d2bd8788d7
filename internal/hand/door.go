package hand

import (
	"context"
	"log"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// door lets root in and nobody else, and a bounded number at once. The socket's
// mode says the same; this holds also when somebody changes it.
type door struct {
	net.Listener
	logf func(string, ...any)

	mu      sync.Mutex
	open    int
	changed time.Time // when the last connection came or went
}

func newDoor(l net.Listener, logf func(string, ...any)) *door {
	return &door{Listener: l, logf: logf, changed: time.Now()}
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		switch uid, err := uidOf(conn); {
		case err != nil:
			d.logf("cannot tell who connected: %v", err)
		case uid != 0:
			d.logf("refused a connection of the user with uid %d: left4med-probe serves root alone", uid)
		case !d.enter():
			d.logf("refused a connection: %d are open already", maxConns)
		default:
			return &guest{Conn: conn, door: d}, nil
		}
		_ = conn.Close()
	}
}

// enter counts a connection, unless there are too many.
func (d *door) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == maxConns {
		return false
	}
	d.open++
	d.changed = time.Now()
	return true
}

func (d *door) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
	d.changed = time.Now()
}

// awaitIdle returns when ctx ends, or no connection was open for as long as idle;
// 0 is for ever.
func (d *door) awaitIdle(ctx context.Context, idle time.Duration) {
	if idle == 0 {
		<-ctx.Done()
		return
	}
	for wait := idle; wait > 0; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		d.mu.Lock()
		wait = idle - time.Since(d.changed)
		if d.open > 0 {
			wait = idle
		}
		d.mu.Unlock()
	}
}

// guest is a connection that is counted.
type guest struct {
	net.Conn
	door *door
	once sync.Once
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.once.Do(g.door.leave)
	return g.Conn.Close()
}

// uidOf asks the kernel who connected (unix(7), SO_PEERCRED).
func uidOf(conn net.Conn) (uint32, error) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) {
		cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if asked != nil {
		return 0, asked
	}
	return cred.Uid, nil
}

// errorLog is what net/http has to say, as lines of the log.
func errorLog(logf func(string, ...any)) *log.Logger {
	return log.New(lineWriter(logf), "", 0)
}

type lineWriter func(string, ...any)

// Write implements io.Writer.
func (w lineWriter) Write(p []byte) (int, error) {
	w("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}
