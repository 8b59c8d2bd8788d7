package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestGameFacts: what a game tells is shown soon, its console can be asked, and
// that it tells nothing changes nothing else. The daemon is the one with fault
// points, so that failures can be had faster than one in five seconds.
func TestGameFacts(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		(&crashHost{l.Host}).useFaultyDaemon(t)
		l.running(t, "a")
		t.Run("Shown", l.gameIsShown)
		t.Run("Console", l.gameIsAsked)
		l.write(t, state+"/fault.query", "1ms")
		l.systemctl(t, "restart", "left4med.service") // or it would be noticed with the next query
		t.Run("Probe", l.probeIsGone)
		t.Run("Silence", l.gameIsSilent)
	})
}

// plays waits until a server's game is seen with a map and so many players.
func (l *lab) plays(t *testing.T, name, first string, players int) {
	t.Helper()
	l.await(t, name, fmt.Sprintf("seen with %d players on %s", players, first), func(s *client.Server) bool {
		return s.Game != nil && s.Game.Reachable && s.Game.Map == first && *s.Game.Players == players
	})
}

func (l *lab) gameIsShown(t *testing.T) {
	l.plays(t, "a", "c1m1_hotel", 0)
	contains(t, l.MustCtl(t, "list"), "\tc1m1_hotel\t0/8\t")
	began := time.Now()
	l.now(t, "a", "join Ellis")
	l.now(t, "a", "map c2m1_highway")
	l.plays(t, "a", "c2m1_highway", 1)
	contains(t, l.MustCtl(t, "list"), "\tc2m1_highway\t1/8\t")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a change of map and players was shown after %s", took)
	}
	contains(t, l.MustCtl(t, "show", "a"), "1/8 players on c2m1_highway")
}

func (l *lab) gameIsAsked(t *testing.T) {
	c := l.api(t)
	players, err := c.Players(t.Context(), "a")
	if err != nil || len(players.Players) != 1 {
		t.Fatalf("players: %+v, %v", players, err)
	}
	if p := players.Players[0]; p.Name != "Ellis" || !strings.HasPrefix(p.SteamID, "STEAM_1:") || p.UserID == nil || p.Ping == nil || p.State != "active" {
		t.Errorf("the player is %+v", p)
	}
	contains(t, l.MustCtl(t, "show", "a", "--players"), "\nEllis\tSTEAM_1:")

	password := l.secrets(t, "a")["rcon"]
	out, err := c.RCON(t.Context(), "a", "echo hello "+password+"; sv_password hunter2")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out.Output, "hello [secret]")
	history := l.MustCtl(t, "history", "a", "--json")
	contains(t, history, "echo hello [secret]; sv_password [secret]")
	if all := history + l.MustRun(t, "journalctl", "--no-pager", "-u", "left4med*"); strings.Contains(all, "hunter2") || strings.Contains(all, password) {
		t.Error("a secret is in the history or the journal")
	}
	if err := c.SetSecret(t.Context(), "a", "rcon", "another-password"); err != nil {
		t.Fatal(err)
	}
	_, err = c.RCON(t.Context(), "a", "status")
	refused(t, err, refusal{502, client.CodeRCONRefused, ""}, "l4d2ctl start --restart a")
	l.create(t, "b")
	_, err = c.RCON(t.Context(), "b", "status")
	refused(t, err, refusal{409, client.CodeNotRunning, ""}, "l4d2ctl start b")
}

// probeIsGone takes the network hand away, and gives it back.
func (l *lab) probeIsGone(t *testing.T) {
	l.plays(t, "a", "c2m1_highway", 1)
	before := l.shown(t, "a")
	l.systemctl(t, "stop", "left4med-probe.socket", "left4med-probe.service")
	s := l.await(t, "a", "without its game's facts", func(s *client.Server) bool { return s.Game == nil })
	same(t, "the rest of it", up, momentOf(s))
	contains(t, l.wrong(t), "✗ network-hand: the network hand does not answer", "cure       systemctl status left4med-probe.service")
	_, err := l.api(t).Players(t.Context(), "a")
	refused(t, err, refusal{503, client.CodeProbeUnavailable, ""}, "left4med-probe")
	l.systemctl(t, "start", "left4med-probe.socket")
	l.plays(t, "a", "c2m1_highway", 1)
	// One that hangs is ended by left4med, and comes back.
	l.systemctl(t, "kill", "--signal=SIGSTOP", "left4med-probe.service")
	l.await(t, "a", "without its game's facts", func(s *client.Server) bool { return s.Game == nil })
	l.plays(t, "a", "c2m1_highway", 1)
	same(t, "the unit", before, l.shown(t, "a"))
}

// gameIsSilent has a game answer nothing for 10,000 queries.
func (l *lab) gameIsSilent(t *testing.T) {
	before, daemon := l.shown(t, "a"), l.systemctl(t, "show", "--property=InvocationID", "left4med.service")
	began := l.health(t).Probe.Failed
	l.now(t, "a", "query silent")
	l.await(t, "a", "without an answer", func(s *client.Server) bool { return s.Game != nil && !s.Game.Reachable })
	contains(t, l.MustCtl(t, "list"), "\trunning\trunning\tnone\t27000\tc1m1_hotel\tno answer\t")
	c, ctx := l.api(t), within(t, "10,000 failed queries")
	for failed := began; failed < began+10_000; {
		h, err := c.Health(ctx)
		if err != nil {
			t.Fatal(errors.Join(err, context.Cause(ctx)))
		}
		if failed = h.Probe.Failed; !pause(ctx) { // counts are no events
			t.Fatalf("%d queries failed: %v", failed-began, context.Cause(ctx))
		}
	}
	same(t, "the unit", before, l.shown(t, "a"))
	same(t, "the daemon", daemon, l.systemctl(t, "show", "--property=InvocationID", "left4med.service"))
	same(t, "the server", up, momentOf(l.server(t, "a")))
	l.now(t, "a", "query normal")
	l.plays(t, "a", "c2m1_highway", 1)
}
