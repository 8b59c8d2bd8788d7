package standin

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// udpSocket is a plain blocking socket: package net with its poller would more
// than double the memory of a stand-in, of which hundreds run side by side.
type udpSocket struct {
	fd int

	mu     sync.RWMutex // so that nothing is sent over what has the number next
	closed bool
}

type packet struct {
	from netip.AddrPort
	data []byte
}

func listenUDP(ip string, port int) (*udpSocket, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is4() {
		return nil, fmt.Errorf("want an IPv4 address, got %q", ip)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: addr.As4()}); err != nil {
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return &udpSocket{fd: fd}, nil
}

// Port answers the port that is bound, which the kernel chose if 0 was asked for.
func (u *udpSocket) Port() (int, error) {
	name, err := syscall.Getsockname(u.fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	in4, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("cannot read the address %T", name)
	}
	return in4.Port, nil
}

// Receive waits for one datagram; what is longer than buf is cut.
func (u *udpSocket) Receive(buf []byte) (packet, error) {
	n, from, err := syscall.Recvfrom(u.fd, buf, 0)
	if err != nil {
		return packet{}, os.NewSyscallError("recvfrom", err)
	}
	in4, ok := from.(*syscall.SockaddrInet4)
	if !ok {
		return packet{}, fmt.Errorf("cannot read the sender %T", from)
	}
	return packet{
		from: netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)),
		data: append([]byte(nil), buf[:n]...),
	}, nil
}

// Send sends one datagram, also while another goroutine receives.
func (u *udpSocket) Send(to netip.AddrPort, text string) error {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if u.closed {
		return os.ErrClosed
	}
	return os.NewSyscallError("sendto", syscall.Sendto(u.fd, []byte(text), 0,
		&syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
}

// Close also wakes a Receive that waits.
func (u *udpSocket) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	_ = syscall.Shutdown(u.fd, syscall.SHUT_RDWR)
	_ = syscall.Close(u.fd)
}

// receive hands on what comes in until the socket is closed.
func receive(ctx context.Context, sock *udpSocket, to chan<- packet) {
	buf := make([]byte, 2048)
	for {
		p, err := sock.Receive(buf)
		if err != nil || len(p.data) == 0 {
			if ctx.Err() != nil || err != nil && !transient(err) {
				return
			}
			continue
		}
		select {
		case to <- p:
		case <-ctx.Done():
			return
		}
	}
}
