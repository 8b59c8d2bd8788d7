// Package authz says who is asking and whether they may: the identity of a
// peer as the kernel or the bus vouches for it, and the one gate that every
// request passes, on either door.
package authz

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// Action is what a request asks to be allowed, as polkit names it. The zero
// value needs no permission.
type Action string

// The actions. deploy/polkit says who has them.
const (
	None      Action = ""
	Inspect   Action = "org.left4me.left4med1.inspect"   // logs, players, settings, history, jobs
	Control   Action = "org.left4me.left4med1.control"   // start, stop, restart, cancel
	RCON      Action = "org.left4me.left4med1.rcon"      // the games' remote console
	Configure Action = "org.left4me.left4med1.configure" // create, change, secrets, reset, delete
	Install   Action = "org.left4me.left4med1.install"   // install or update the game
)

// OperatorsGroup is the group that the shipped polkit rule lets do everything.
const OperatorsGroup = "left4med-operators"

// WebUser is the user of the web frontend, the only one who is believed when
// it says on whose behalf it asks.
const WebUser = "left4med-web"

// Request is one question to the gate.
type Request struct {
	Peer        Peer
	Action      Action
	Verb        string // what it is about to do, as "start": a detail for polkit's rules
	Server      string // the server it is about, a detail too; empty when it is about none
	OnBehalfOf  string // the user of the web frontend, as that says, for the record
	Interactive bool   // the peer agreed to be asked for a password
}

// Answer is what an authority says.
type Answer struct {
	Authorized bool
	Challenge  bool // not as it stands, but a password would do
}

// ErrSilent is in the chain of the error of an authority that was asked and did
// not answer in time.
var ErrSilent = errors.New("polkit did not answer")

// Authority decides about those who are not root: polkit. An error means that
// there is no decision; it ends no later than ctx.
type Authority interface {
	Ask(ctx context.Context, r Request) (Answer, error)
}

// Gate decides what a peer may do. It is safe for concurrent use.
type Gate struct {
	accounts  *Accounts
	authority Authority
	refused   func(server.Refusal)

	blind atomic.Int64 // until when no glance is worth its while: UnixNano, 0 for none
}

// NewGate makes a gate. refused, which may be nil, is told of every request
// that is turned away; it must not wait.
func NewGate(accounts *Accounts, authority Authority, refused func(server.Refusal)) *Gate {
	if refused == nil {
		refused = func(server.Refusal) {}
	}
	return &Gate{accounts: accounts, authority: authority, refused: refused}
}

// Check returns nil when the peer may do what it asks for, and otherwise a
// *server.Error of code CodeNotAuthorized that says how to get the right. The
// order is: games never, what needs no permission, root, and at last polkit,
// since it may ask the user. No decision is a no. When ctx ends, as with a client
// that leaves, the question is taken back and the error is ctx's.
func (g *Gate) Check(ctx context.Context, r Request) error {
	if r.Peer.Game() {
		if r.Verb == "" {
			r.Verb = "connect" // for the record; it may not even do what needs no permission
		}
		return g.refuse(r, GameRefused(r.Peer))
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot decide whether uid %d may %s: %w", r.Peer.UID, r.Action.verb(), err)
	}
	if free(r) {
		return nil
	}
	answer, err := g.authority.Ask(ctx, r)
	if err == nil {
		g.blind.Store(0)
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("cannot decide whether uid %d may %s: %w", r.Peer.UID, r.Action.verb(), ctx.Err())
	case err != nil:
		return g.refuse(r, g.undecided(r, err))
	case !answer.Authorized:
		return g.refuse(r, g.denial(r, answer))
	}
	return nil
}

const (
	// glance bounds how long a request that needs no permission waits to learn
	// whether its peer may see more.
	glance = time.Second
	// blindness is how long nobody waits any more after one has waited for nothing.
	blindness = 5 * time.Second
)

// May says whether the peer may, without ever asking it for a password, for
// what is left out of an answer otherwise; decided is false when nobody could
// say. It waits at most 1 s, and does not for 5 s after polkit has let one wait
// for nothing: seeing the bare state must not depend on polkit.
func (g *Gate) May(ctx context.Context, r Request) (may, decided bool) {
	if r.Peer.Game() {
		return false, true
	}
	if free(r) {
		return true, true
	}
	if time.Now().UnixNano() < g.blind.Load() {
		return false, false
	}
	r.Interactive = false
	short, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	answer, err := g.authority.Ask(short, r)
	if errors.Is(err, ErrSilent) && ctx.Err() == nil {
		g.blind.Store(time.Now().Add(blindness).UnixNano())
	}
	return err == nil && answer.Authorized, err == nil
}

// free says whether a request needs nobody's permission.
func free(r Request) bool { return r.Action == None || r.Peer.UID == 0 }

func (g *Gate) refuse(r Request, err *server.Error) error {
	by := g.accounts.Requester(r.Peer)
	by.OnBehalfOf = r.OnBehalfOf
	g.refused(server.Refusal{By: by, What: r.Verb, Server: r.Server, Err: err})
	return err
}

func (g *Gate) denial(r Request, a Answer) *server.Error {
	who, user := g.who(r.Peer)
	switch {
	case a.Challenge && r.Interactive:
		return server.Errorf(server.CodeNotAuthorized, "%s may %s with an administrator's password, which was not given: there was nobody to ask, or it was wrong or the question dismissed", who, r.what())
	case a.Challenge:
		e := server.Errorf(server.CodeNotAuthorized, "%s may %s with an administrator's password alone; ask again on a terminal (l4d2ctl), or with X-Allow-Interaction: true", who, r.what())
		e.Challenge = true
		return e
	}
	return server.Errorf(server.CodeNotAuthorized, "%s may not %s; root, the members of the group %s and whom polkit's rules allow %s may: `usermod -aG %s %s` as root, or a narrower rule as in left4med(8)",
		who, r.what(), OperatorsGroup, r.Action, OperatorsGroup, user)
}

// undecided is the error for a request about which polkit could not be asked.
func (g *Gate) undecided(r Request, err error) *server.Error {
	who, _ := g.who(r.Peer)
	return &server.Error{Code: server.CodeNotAuthorized, Err: err,
		Detail: fmt.Sprintf("%s may not %s, since nobody could say whether it is allowed: %s; `systemctl status polkit` tells more, and root needs no permission", who, r.what(), server.Visible(err.Error()))}
}

// who names a peer, and the user to give rights to.
func (g *Gate) who(p Peer) (who, user string) {
	if name := g.accounts.User(p.UID); name != "" {
		return fmt.Sprintf("user %s (uid %d)", server.Visible(name), p.UID), server.Visible(name)
	}
	return fmt.Sprintf("uid %d", p.UID), "USER"
}

// GameRefused is the error for a request that comes from a game.
func GameRefused(p Peer) *server.Error {
	return server.Errorf(server.CodeNotAuthorized,
		"uid %d lies in the range that systemd gives to games; games are refused whatever their groups", p.UID)
}

// what completes "may not …".
func (r Request) what() string {
	if r.Server == "" {
		return r.Action.verb()
	}
	return fmt.Sprintf("%s (server %s)", r.Action.verb(), server.Quote(r.Server, 60))
}

func (a Action) verb() string {
	switch a {
	case Inspect:
		return "see settings, jobs and logs"
	case Control:
		return "start, stop or restart servers"
	case RCON:
		return "use a game's remote console"
	case Configure:
		return "create, change or delete servers"
	case Install:
		return "install or update the game"
	}
	return "do that"
}
