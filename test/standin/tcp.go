package standin

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// tcpListener is plain and blocking for the same reason as udpSocket.
type tcpListener struct {
	fd int

	mu   sync.Mutex
	open map[*tcpConn]bool
	over bool
}

// tcpConn is one connection of it.
type tcpConn struct{ fd int }

func listenTCP(ip string, port int) (*tcpListener, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is4() {
		return nil, fmt.Errorf("want an IPv4 address, got %q", ip)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// A game that starts again finds its port while connections of the last one linger.
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	err = os.NewSyscallError("bind", syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: addr.As4()}))
	if err == nil {
		err = os.NewSyscallError("listen", syscall.Listen(fd, 16))
	}
	if err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	return &tcpListener{fd: fd, open: map[*tcpConn]bool{}}, nil
}

// mostConns is how many connections are served at once: each costs a thread.
const mostConns = 16

// serve hands each connection to handle, which has ended all of them when the
// function that it answers returns. A nil listener serves nobody.
func (l *tcpListener) serve(handle func(io.ReadWriter)) (end func()) {
	if l == nil {
		return func() {}
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.accept()
			if err != nil {
				return
			}
			if !l.enter(conn) {
				conn.close()
				continue
			}
			serving.Go(func() {
				defer l.leave(conn)
				handle(conn)
			})
		}
	})
	return func() {
		l.shut()
		serving.Wait()
		_ = syscall.Close(l.fd)
	}
}

func (l *tcpListener) accept() (*tcpConn, error) {
	for {
		fd, _, err := syscall.Accept4(l.fd, syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
			return &tcpConn{fd: fd}, nil
		case syscall.EINTR, syscall.ECONNABORTED:
			continue
		}
		return nil, os.NewSyscallError("accept", err)
	}
}

func (l *tcpListener) enter(conn *tcpConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || len(l.open) == mostConns {
		return false
	}
	l.open[conn] = true
	return true
}

func (l *tcpListener) leave(conn *tcpConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
	conn.close()
}

// shut wakes whoever accepts, reads or writes.
func (l *tcpListener) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	_ = syscall.Shutdown(l.fd, syscall.SHUT_RDWR)
	for conn := range l.open {
		_ = syscall.Shutdown(conn.fd, syscall.SHUT_RDWR)
	}
}

// Read reads what has come, as an io.Reader does.
func (c *tcpConn) Read(buf []byte) (int, error) {
	for {
		n, err := syscall.Read(c.fd, buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write writes all of buf, or fails once the other side, or this one, has closed.
func (c *tcpConn) Write(buf []byte) (written int, err error) {
	for written < len(buf) {
		n, err := syscall.SendmsgN(c.fd, buf[written:], nil, nil, syscall.MSG_NOSIGNAL)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return written, os.NewSyscallError("send", err)
		}
		written += n
	}
	return written, nil
}

func (c *tcpConn) close() { _ = syscall.Close(c.fd) }
