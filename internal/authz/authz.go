// Package authz says who is asking and whether they may: the identity of a
// peer as the kernel vouches for it, and the one gate that every request
// passes.
package authz

import (
	"context"
	"fmt"

	"github.com/left4med/left4med/internal/server"
)

// Action is what a request asks to be allowed, as polkit names it. The zero
// value needs no permission.
type Action string

// The actions.
const (
	None      Action = ""
	Inspect   Action = "org.left4me.left4med1.inspect"   // logs, players, settings, history, jobs
	Control   Action = "org.left4me.left4med1.control"   // start, stop, restart, cancel
	RCON      Action = "org.left4me.left4med1.rcon"      // the games' remote console
	Configure Action = "org.left4me.left4med1.configure" // create, change, reset, delete
	Install   Action = "org.left4me.left4med1.install"   // install or update the game
)

// OperatorsGroup is the group whose members may do everything.
const OperatorsGroup = "left4med-operators"

// WebUser is the user of the web frontend, the only one who is believed when
// it says on whose behalf it asks.
const WebUser = "left4med-web"

// Request is one question to the gate.
type Request struct {
	Peer        Peer
	Action      Action
	Server      string // the server it is about; empty when it is about none
	Interactive bool   // the peer agreed to be asked for a password
}

// Gate decides what a peer may do. It is safe for concurrent use.
type Gate struct {
	accounts *Accounts
	group    string
}

// NewGate makes a gate that lets root and the members of the group pass.
func NewGate(accounts *Accounts, group string) *Gate {
	return &Gate{accounts: accounts, group: group}
}

// Check returns nil when the peer may do what it asks for, and otherwise a
// *server.Error of code CodeNotAuthorized that says how to get the right. The
// order is: games never, what needs no permission, root, the operators' group.
// ctx bounds the decision.
func (g *Gate) Check(ctx context.Context, r Request) error {
	if r.Peer.Game() {
		return GameRefused(r.Peer)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot decide whether uid %d may %s: %w", r.Peer.UID, r.Action.verb(), err)
	}
	if r.Action == None || r.Peer.UID == 0 || g.operator(r.Peer) {
		return nil
	}
	return g.refusal(r)
}

// CanInspect says whether the peer may see settings, jobs and players: without
// it these are left out of what anyone may read. It never asks the peer.
func (g *Gate) CanInspect(ctx context.Context, p Peer) bool {
	return g.Check(ctx, Request{Peer: p, Action: Inspect}) == nil
}

func (g *Gate) operator(p Peer) bool {
	gid, ok := g.accounts.GID(g.group)
	return ok && p.In(gid)
}

func (g *Gate) refusal(r Request) error {
	who, name := fmt.Sprintf("uid %d", r.Peer.UID), "USER"
	if user := g.accounts.User(r.Peer.UID); user != "" {
		who, name = fmt.Sprintf("user %s (uid %d)", server.Visible(user), r.Peer.UID), server.Visible(user)
	}
	cure := fmt.Sprintf("run \"usermod -aG %s %s\" as root and log in again", g.group, name)
	if _, ok := g.accounts.GID(g.group); !ok {
		cure = fmt.Sprintf("that group does not exist on this host, so first run \"groupadd --system %s\" as root, then usermod -aG %s %s", g.group, g.group, name)
	}
	return server.Errorf(server.CodeNotAuthorized, "%s may not %s; root and the members of the group %s may: %s",
		who, r.Action.verb(), g.group, cure)
}

// GameRefused is the error for a request that comes from a game.
func GameRefused(p Peer) error {
	return server.Errorf(server.CodeNotAuthorized,
		"uid %d lies in the range that systemd gives to games; games are refused whatever their groups", p.UID)
}

// verb completes "may not …".
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
