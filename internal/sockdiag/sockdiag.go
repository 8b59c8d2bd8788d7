// Package sockdiag asks the kernel whose a socket is: in which control group
// (cgroup2) the process was that opened it. It speaks sock_diag(7), as
// `ss --cgroup` does, which needs no privilege. A socket that accept(2) made has
// the control group of the one that listened.
package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnsupported says that this kernel does not tell the control group of a socket:
// it is older than Linux 5.9, or without sock_diag.
var ErrUnsupported = errors.New("this kernel does not tell whose a socket is (sock_diag with INET_DIAG_CGROUP_ID, Linux 5.9 or newer)")

// Pauses between two looks at a connection that is not there yet.
const (
	firstPause = time.Millisecond
	maxPause   = 50 * time.Millisecond
)

// Peer returns the id of the control group (the inode of its directory) whose
// socket is at the other end of a TCP connection over loopback: local is this end,
// remote the other. The other end is there only a moment after connect(2) has
// returned, or, when its queue is full, once it accepts; Peer waits for it, for the
// context's time. It is the very socket that takes what is sent, so the answer
// cannot be overtaken.
func Peer(ctx context.Context, local, remote netip.AddrPort) (cgroup uint64, err error) {
	local, remote = unmap(local), unmap(remote)
	family := uint8(unix.AF_INET)
	if remote.Addr().Is6() {
		family = unix.AF_INET6
	}
	// Of the other end, what is remote here is local.
	ask := request(family, unix.IPPROTO_TCP, 0, anyState, id{local: remote, remote: local, device: loopback})
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		sockets, err := converse(ask)
		switch {
		case errors.Is(err, unix.ENOENT):
			// A kernel that cannot tell says the same, also when asked for all of none.
			if _, err := converse(request(family, unix.IPPROTO_TCP, unix.NLM_F_DUMP, 0, id{})); err != nil {
				return 0, unsupported(err)
			}
		case err != nil:
			return 0, unsupported(err)
		default:
			for _, s := range sockets {
				// The kernel answers with who listens, when no connection fits.
				if s.local != remote || s.remote != local || s.state != established {
					continue
				}
				if !s.told {
					return 0, ErrUnsupported
				}
				return s.cgroup, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// UDP returns the ids of the control groups of all sockets that could receive what
// is sent to 127.0.0.1 at a port: those bound to that address or to all, of IPv4
// or IPv6. Which of several does, the kernel decides anew for each sender
// (SO_REUSEPORT). Empty when there is none.
func UDP(port uint16) (cgroups []uint64, err error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		of := id{local: netip.AddrPortFrom(netip.Addr{}, port)}
		sockets, err := converse(request(family, unix.IPPROTO_UDP, unix.NLM_F_DUMP, anyState, of))
		if err != nil {
			return nil, unsupported(err)
		}
		for _, s := range sockets {
			if a := s.local.Addr(); s.local.Port() != port || !a.IsUnspecified() && a != loopback4() {
				continue
			}
			if !s.told {
				return nil, ErrUnsupported
			}
			cgroups = append(cgroups, s.cgroup)
		}
	}
	return cgroups, nil
}

func loopback4() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// patience is how long the kernel may take to answer, in seconds; it does so at
// once.
const patience = 1

// maxSockets bounds an answer, which is of one port.
const maxSockets = 4096

// converse sends a request on a netlink socket of its own and reads the answer to
// its end.
func converse(ask []byte) ([]socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the kernel whose a socket is: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: patience}); err != nil {
		return nil, fmt.Errorf("cannot ask the kernel whose a socket is: %w", err)
	}
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("cannot ask the kernel whose a socket is: %w", err)
	}
	var sockets []socket
	buffer := make([]byte, 32<<10) // what the kernel puts into one datagram
	for {
		n, from, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot hear from the kernel whose a socket is: %w", err)
		}
		if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
			continue // any process may send here
		}
		more, last, err := parse(buffer[:n])
		if err != nil {
			return nil, fmt.Errorf("cannot tell whose a socket is: %w", err)
		}
		sockets = append(sockets, more...)
		if last {
			return sockets, nil
		}
		if len(sockets) > maxSockets {
			return nil, fmt.Errorf("more than %d sockets are bound to one port", maxSockets)
		}
	}
}

// unsupported tells apart, among errors of converse, those of a kernel that cannot
// tell: without netlink, without sock_diag, or without its part for the protocol.
func unsupported(err error) error {
	for _, missing := range []error{unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.ENOENT, unix.EOPNOTSUPP} {
		if errors.Is(err, missing) {
			return fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
	}
	return err
}
