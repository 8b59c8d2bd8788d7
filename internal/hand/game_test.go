package hand_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/left4med/left4med/internal/probe"
)

func TestQuery(t *testing.T) {
	t.Parallel()
	_, client, _ := serve(t)
	g := newGame(t, false)
	got, err := client.Query(t.Context(), probe.Query{Target: g.target(), Players: true, TimeoutMS: 5000})
	if err != nil {
		t.Fatal(err)
	}
	if got.PingMicros <= 0 || got.PingMicros > soon.Microseconds() {
		t.Errorf("a ping of %d µs", got.PingMicros)
	}
	want := &probe.Answer{
		Name: `A \x1b[31mgame`, Map: "c1m1_hotel", Game: "Left 4 Dead 2", Version: "2.2.4.3", Players: 3, MaxPlayers: 8, Bots: 1, VAC: true,
		List: []probe.Player{{Name: `Nick\x07`, Score: 7, Seconds: 12.5}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(probe.Answer{}, "PingMicros")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRCON(t *testing.T) {
	t.Parallel()
	_, client, _ := serve(t)
	g := newGame(t, false)
	got, err := client.RCON(t.Context(), probe.Command{Target: g.target(), Password: "geheim", Command: "status"})
	if diff := cmp.Diff(&probe.Output{Output: "you said \\x1b status\nbye\n"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestGamesThatDoNotAnswer has each way in which a game is not there, or not the
// one that is meant. What is not the target's hears nothing of a password.
func TestGamesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	_, client, log := serve(t)
	open, silent, closed := newGame(t, false), newGame(t, true), newGame(t, false)
	other := probe.Target{Port: open.port, Cgroup: open.cgroup + 1}
	nobody := probe.Target{Port: unused(t), Cgroup: open.cgroup}
	stranger := func(protocol string) *probe.Fault {
		return &probe.Fault{Code: probe.FaultStranger, Detail: fmt.Sprintf("another process than the game has %s port %d, and was told nothing; `ss -lntup 'sport = :%d'` shows which", protocol, open.port, open.port)}
	}
	query := func(to probe.Target) error {
		_, err := client.Query(t.Context(), probe.Query{Target: to, TimeoutMS: brief})
		return err
	}
	rcon := func(to probe.Target, password string, ms int) error {
		_, err := client.RCON(t.Context(), probe.Command{Target: to, Password: password, Command: "status", TimeoutMS: ms})
		return err
	}
	type answers map[string]error
	got := answers{
		"a query of another's":          query(other),
		"a query of nobody":             query(nobody),
		"a query of a silent one":       query(silent.target()),
		"a query of no port":            query(probe.Target{Cgroup: 1}),
		"a query of no group":           query(probe.Target{Port: 1}),
		"a command to another's":        rcon(other, "geheim", 0),
		"a command to nobody":           rcon(nobody, "geheim", 0),
		"a command to a silent one":     rcon(silent.target(), "geheim", brief),
		"a command, wrong password":     rcon(closed.target(), "falsch", 0),
		"a command of no group":         rcon(probe.Target{Port: 1}, "geheim", 0),
		"a command that takes a minute": rcon(open.target(), "geheim", 60000),
	}
	refused := &probe.Fault{Code: probe.FaultRefused, Detail: "nothing listens on the game's port"}
	late := &probe.Fault{Code: probe.FaultSilent, Detail: "the game does not answer"}
	want := answers{
		"a query of another's":          stranger("UDP"),
		"a query of nobody":             refused,
		"a query of a silent one":       late,
		"a query of no port":            &probe.Fault{Code: probe.FaultInvalid, Detail: "the request names no port"},
		"a query of no group":           &probe.Fault{Code: probe.FaultInvalid, Detail: "the request names no control group"},
		"a command to another's":        stranger("TCP"),
		"a command to nobody":           refused,
		"a command to a silent one":     late,
		"a command, wrong password":     &probe.Fault{Code: probe.FaultPassword, Detail: "the game refused the RCON password"},
		"a command of no group":         &probe.Fault{Code: probe.FaultInvalid, Detail: "the request names no control group"},
		"a command that takes a minute": &probe.Fault{Code: probe.FaultInvalid, Detail: "the timeout is 60000 ms, and may be 1 to 30000"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if heard := open.heard(); len(heard) > 0 {
		t.Errorf("a stranger was told %q", heard)
	}
	if log.String() != "" {
		t.Errorf("the log:\n%s", log)
	}
}

// unused is a port on which nobody listens.
func unused(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// TestTooManyCommands has as many commands under way as there may be.
func TestTooManyCommands(t *testing.T) {
	t.Parallel()
	_, client, _ := serve(t)
	silent := newGame(t, true)
	const most = 8
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results := make(chan error)
	for range 2 * most {
		go func() {
			_, err := client.RCON(ctx, probe.Command{Target: silent.target(), Password: "geheim", Command: "status", TimeoutMS: 30000})
			results <- err
		}()
	}
	busy := &probe.Fault{Code: probe.FaultBusy, Detail: "left4med-probe is at work on 8 such requests already"}
	for range most {
		if diff := cmp.Diff(error(busy), <-results); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	cancel() // the others wait for the game
	for range most {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
