package hand

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/sockdiag"
	"github.com/left4med/left4med/internal/srcds"
)

// query asks a game for what it is doing. Before, and again after, the kernel is
// asked whose socket it is that is asked: a stranger's answer is none.
func (h *Hand) query(ctx context.Context, q probe.Query) (*probe.Answer, *probe.Fault) {
	if fault := check(q.Target, q.TimeoutMS, 5000); fault != nil {
		return nil, fault
	}
	if fault := ownsUDP(q.Target); fault != nil {
		return nil, fault
	}
	game := address(q.Target)
	info, took, err := h.games.Info(ctx, game)
	if err != nil {
		return nil, gameFault(ctx, err)
	}
	answer := answerOf(info, took)
	if q.Players {
		h.census(ctx, q, answer)
	}
	if fault := ownsUDP(q.Target); fault != nil {
		return nil, fault
	}
	return answer, nil
}

// rcon has a game run a command.
func (h *Hand) rcon(ctx context.Context, c probe.Command) (*probe.Output, *probe.Fault) {
	if fault := check(c.Target, c.TimeoutMS, 30000); fault != nil {
		return nil, fault
	}
	output, truncated, fault := console(ctx, c.Target, c.Password, c.Command)
	if fault != nil {
		return nil, fault
	}
	text, cutOff := probe.Lines(output)
	return &probe.Output{Output: text, Truncated: truncated || cutOff}, nil
}

// console has a game run a command and returns what it printed, as it came. The
// password is sent once the kernel has said that the very socket at the other end of
// the connection is the game's.
func console(ctx context.Context, game probe.Target, password, command string) (output string, truncated bool, fault *probe.Fault) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", address(game).String())
	if err != nil {
		return "", false, gameFault(ctx, err)
	}
	defer func() { _ = conn.Close() }()
	ours, theirs := conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	owner, err := sockdiag.Peer(ctx, ours, theirs)
	switch {
	case err != nil:
		return "", false, ownerFault(ctx, err)
	case owner != game.Cgroup:
		return "", false, stranger(game, "TCP")
	}
	output, truncated, err = srcds.RCON(ctx, conn, password, command, probe.MaxOutput)
	if err != nil && output == "" { // else an answer that did not end, which is one
		return "", false, gameFault(ctx, err)
	}
	return output, truncated, nil
}

// check refuses a target that cannot be, and a timeout out of range.
func check(t probe.Target, timeoutMS, most int) *probe.Fault {
	switch {
	case t.Port == 0:
		return invalid("the request names no port")
	case t.Cgroup == 0:
		return invalid("the request names no control group")
	}
	return checkTimeout(timeoutMS, most)
}

func checkTimeout(ms, most int) *probe.Fault {
	if ms < 0 || ms > most {
		return invalid("the timeout is %d ms, and may be 1 to %d", ms, most)
	}
	return nil
}

// Games is where games are asked, and where from: on this host alone.
var Games = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func address(t probe.Target) netip.AddrPort { return netip.AddrPortFrom(Games, t.Port) }

// ownsUDP says why a target's port must not be asked: nobody is there, or not the
// target alone.
func ownsUDP(t probe.Target) *probe.Fault {
	owners, err := sockdiag.UDP(t.Port)
	if err != nil {
		return ownerFault(context.Background(), err)
	}
	if len(owners) == 0 {
		return refused()
	}
	for _, owner := range owners {
		if owner != t.Cgroup {
			return stranger(t, "UDP")
		}
	}
	return nil
}

func stranger(t probe.Target, protocol string) *probe.Fault {
	return &probe.Fault{Code: probe.FaultStranger, Detail: fmt.Sprintf(
		"another process than the game has %s port %d, and was told nothing; `ss -lntup 'sport = :%d'` shows which", protocol, t.Port, t.Port)}
}

func refused() *probe.Fault {
	return &probe.Fault{Code: probe.FaultRefused, Detail: "nothing listens on the game's port"}
}

// ownerFault is why the kernel did not say whose a socket is.
func ownerFault(ctx context.Context, err error) *probe.Fault {
	switch {
	case ctx.Err() != nil:
		return &probe.Fault{Code: probe.FaultSilent, Detail: "the game did not take the connection in time"}
	default:
		return &probe.Fault{Code: probe.FaultKernel, Detail: probe.Text(err.Error())}
	}
}

// gameFault is why a game did not answer, or not well. No error of srcds has a byte
// of what the game sent.
func gameFault(ctx context.Context, err error) *probe.Fault {
	var network net.Error
	switch {
	case errors.Is(err, srcds.ErrMalformed):
		return &probe.Fault{Code: probe.FaultMalformed, Detail: "what the game answers is " + probe.Text(err.Error())}
	case errors.Is(err, srcds.ErrPassword):
		return &probe.Fault{Code: probe.FaultPassword, Detail: "the game refused the RCON password"}
	case errors.Is(err, srcds.ErrBanned):
		return &probe.Fault{Code: probe.FaultBanned, Detail: "the game closed the connection before it answered, as it does to an address that it has banned"}
	case errors.Is(err, srcds.ErrCommand):
		return invalid("%s", probe.Text(err.Error()))
	case ctx.Err() != nil, errors.As(err, &network) && network.Timeout():
		return &probe.Fault{Code: probe.FaultSilent, Detail: "the game does not answer"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused()
	}
	return &probe.Fault{Code: probe.FaultNetwork, Detail: "the connection to the game broke" + word(err)}
}

// word is the system's word for what failed: an error of package net has addresses
// in it.
func word(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return ": " + errno.Error()
	}
	return ""
}

// answerOf makes an answer of what a game told.
func answerOf(info srcds.Info, took time.Duration) *probe.Answer {
	return &probe.Answer{
		PingMicros: took.Microseconds(),
		Name:       probe.Text(info.Name),
		Map:        probe.Text(info.Map),
		Game:       probe.Text(info.Game),
		Version:    probe.Text(info.Version),
		Players:    info.Players,
		MaxPlayers: info.MaxPlayers,
		Bots:       info.Bots,
		Password:   info.Password,
		VAC:        info.VAC,
	}
}
