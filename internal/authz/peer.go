package authz

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a unix socket, as it was when it
// connected (unix(7), SO_PEERCRED; socket(7), SO_PEERGROUPS).
type Peer struct {
	UID, GID uint32
	PID      int32
	Groups   []uint32 // supplementary groups; GID may or may not be among them
}

// The range of uids that systemd gives to units with DynamicUser=yes, both
// ends included (systemd's docs/UIDS-GIDS.md).
const (
	dynamicLow  = 61184
	dynamicHigh = 65519
)

// Game says whether the peer's uid is one that a game has, or could have: its
// requests are refused whatever its groups.
func (p Peer) Game() bool { return p.UID >= dynamicLow && p.UID <= dynamicHigh }

// In says whether the peer is in a group, as its primary one or another.
func (p Peer) In(gid uint32) bool { return p.GID == gid || slices.Contains(p.Groups, gid) }

// PeerOf asks the kernel who connected.
func PeerOf(conn net.Conn) (Peer, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return Peer{}, fmt.Errorf("cannot tell who connected: %T has no file descriptor", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("cannot tell who connected: %w", err)
	}
	var p Peer
	var askErr error
	if err := raw.Control(func(fd uintptr) { p, askErr = ask(int(fd)) }); err != nil {
		return Peer{}, fmt.Errorf("cannot tell who connected: %w", err)
	}
	if askErr != nil {
		return Peer{}, fmt.Errorf("cannot tell who connected: %w", askErr)
	}
	return p, nil
}

func ask(fd int) (Peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	groups, err := peerGroups(fd)
	if err != nil {
		return Peer{}, fmt.Errorf("SO_PEERGROUPS: %w", err)
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid, Groups: groups}, nil
}

// peerGroups reads SO_PEERGROUPS, an array of gid_t. The kernel answers ERANGE
// with the size it needs when the buffer is too small; the groups were fixed
// when the peer connected, so the second try fits.
func peerGroups(fd int) ([]uint32, error) {
	const gidSize = 4
	buf := make([]uint32, 32)
	for range 2 {
		size := uint32(len(buf) * gidSize)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return slices.Clip(buf[:size/gidSize]), nil
		case !errors.Is(errno, unix.ERANGE):
			return nil, errno
		}
		buf = make([]uint32, size/gidSize)
	}
	return nil, unix.ERANGE
}

type peerKey struct{}

// WithPeer returns a context that carries the peer of its connection.
func WithPeer(ctx context.Context, p Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// PeerFrom takes the peer out of a context; ok is false when nobody vouched
// for one, and then the request must be refused.
func PeerFrom(ctx context.Context) (p Peer, ok bool) {
	p, ok = ctx.Value(peerKey{}).(Peer)
	return p, ok
}
