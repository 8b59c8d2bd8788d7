package standin_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/left4med/left4med/internal/srcds"
	"github.com/left4med/left4med/test/standin"
)

// seen is how a query ended.
type seen struct {
	Name    string // of the game
	Players []string
	Err     error
}

// TestQueryModes has each mode seen by a client: nil stands for no error.
func TestQueryModes(t *testing.T) {
	t.Parallel()
	late, malformed := context.DeadlineExceeded, srcds.ErrMalformed
	answered := seen{Name: "Kim's", Players: []string{"Zoey", "Louis", "Nick"}}
	want := map[string]seen{
		"normal": answered, "split-reordered": answered, "slow": answered, "replay": answered,
		"silent": {Err: late}, "wrong-port": {Err: late},
		"malformed": {Err: malformed}, "short": {Err: malformed}, "endless": {Err: malformed}, "split-missing": {Err: malformed},
	}
	if modes := standin.QueryModes(); len(modes) != len(want)+1 {
		t.Errorf("modes %v", modes)
	}
	for mode, want := range want {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			_, addr := play(t, "join Zoey\njoin Louis\nbot Nick\nquery "+mode+"\n")
			time := plenty
			if want.Err == late || mode == "split-missing" {
				time = brief
			}
			for range 2 { // some replay what was answered before
				if diff := cmp.Diff(want, ask(t, addr, time), cmpopts.EquateErrors()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

const (
	plenty = 30 * time.Second
	brief  = 300 * time.Millisecond
)

func ask(t *testing.T, addr netip.AddrPort, within time.Duration) seen {
	t.Helper()
	q := querier(t)
	ctx := soon(t, within)
	info, _, err := q.Info(ctx, addr)
	if err != nil {
		return seen{Err: err}
	}
	players, err := q.Players(ctx, addr)
	if err != nil {
		return seen{Err: err}
	}
	s := seen{Name: info.Name}
	for _, p := range players {
		s.Players = append(s.Players, p.Name)
	}
	return s
}

func TestLongNames(t *testing.T) {
	t.Parallel()
	g, addr := play(t, "join Zoey\nquery long-names\n")
	got := ask(t, addr, plenty)
	for _, name := range append(slices.Clone(got.Players), got.Name) {
		if len(name) != 4096 || !strings.Contains(name, "\x1b[31m") {
			t.Errorf("%d bytes: %.40q", len(name), name)
		}
	}
	if got.Err != nil || len(got.Players) != 3 {
		t.Errorf("%d players, %v", len(got.Players), got.Err)
	}
	g.tell(t, "STANDIN query normal")
	if diff := cmp.Diff(seen{Name: "Kim's", Players: []string{"Zoey"}}, ask(t, addr, plenty)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRCONModes(t *testing.T) {
	t.Parallel()
	want := map[string]error{
		"normal": nil, "endless": nil, "flood": srcds.ErrMalformed, "auth-twice": srcds.ErrMalformed,
		"hang": context.DeadlineExceeded, "close": srcds.ErrBanned, "malformed": srcds.ErrMalformed,
	}
	if modes := standin.RCONModes(); len(modes) != len(want) {
		t.Errorf("modes %v", modes)
	}
	for mode, want := range want {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			_, addr := play(t, "rcon "+mode+"\n")
			time := plenty
			if mode == "hang" {
				time = brief
			}
			conn, err := net.Dial("tcp4", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			text, truncated, err := srcds.RCON(soon(t, time), conn, password, "echo hello", 10_000)
			if !errors.Is(err, want) {
				t.Errorf("%v; want %v", err, want)
			}
			if mode == "normal" && text != "hello\n" || truncated != (mode == "endless") {
				t.Errorf("%.40q, truncated %v", text, truncated)
			}
		})
	}
}

// TestPasswords has a game without an RCON password refuse every one, also none.
func TestPasswords(t *testing.T) {
	t.Parallel()
	g := start(t, t.TempDir(), "", 0)
	g.ready(t)
	for _, try := range []string{"", "x", password} {
		conn, err := net.Dial("tcp4", "127.0.0.1:"+g.port)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := srcds.RCON(soon(t, plenty), conn, try, "status", 1000); !errors.Is(err, srcds.ErrPassword) {
			t.Errorf("%q: %v", try, err)
		}
		conn.Close()
	}
}
