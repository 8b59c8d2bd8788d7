package authz

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

// Peer is who asks: the process at the other end of a unix socket, as it was
// when it connected (unix(7), SO_PEERCRED), or a caller on the system bus, as
// the bus daemon vouches for it (GetConnectionCredentials).
type Peer struct {
	UID, GID uint32 // GID is NoGID for a caller on the bus, which tells groups in no order
	PID      int32  // 0 when it cannot be seen from here, as from another pid namespace

	// StartTime is when PID began, in clock ticks since the boot (field 22 of
	// proc_pid_stat(5)): together they name a process for good. 0 when unknown.
	StartTime uint64
	// BusName is the unique name on the system bus; empty for a peer of a socket.
	BusName string
}

// NoGID is no group (chown(2)).
const NoGID = ^uint32(0)

// Game says whether the peer's uid is one that a game has, or could have: its
// requests are refused whatever polkit says.
func (p Peer) Game() bool { return server.IsGameUID(p.UID) }

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
	var cred *unix.Ucred
	var askErr error
	err = raw.Control(func(fd uintptr) {
		cred, askErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, askErr); err != nil {
		return Peer{}, fmt.Errorf("cannot tell who connected: SO_PEERCRED: %w", err)
	}
	p := Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}
	if p.UID != 0 && p.PID > 0 { // root is never asked about
		p.StartTime, _ = StartTime("/proc", p.PID) // it may have left already
	}
	return p, nil
}

// StartTime reads when a process began, in clock ticks since the boot, from
// procfs, usually /proc (proc_pid_stat(5), field 22).
func StartTime(proc string, pid int32) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("%s/%d/stat", proc, pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything, also spaces and parentheses.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const field = 22 - 3 // the first one behind the name is the third
	if len(fields) <= field {
		return 0, fmt.Errorf("the stat of process %d has %d fields", pid, len(fields)+2)
	}
	return strconv.ParseUint(fields[field], 10, 64)
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
