package standin_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/srcds"
)

// password is the RCON password of the games here.
const password = "geheim"

// play starts a game that can be queried and has an RCON password.
func play(t *testing.T, control string) (*game, netip.AddrPort) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "left4dead2/cfg"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"server.cfg":  "hostname \"Kim's\"\nexec secrets\nexec server.cfg\n",
		"secrets.cfg": fmt.Sprintf("rcon_password \"%s\"\n", password),
	} {
		if err := os.WriteFile(filepath.Join(dir, "left4dead2/cfg", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := start(t, dir, control, 0)
	g.ready(t)
	return g, netip.MustParseAddrPort("127.0.0.1:" + g.port)
}

func querier(t *testing.T) *srcds.Querier {
	t.Helper()
	q, err := srcds.NewQuerier(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func soon(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// rcon runs a command on a connection of its own.
func rcon(t *testing.T, game netip.AddrPort, command string) string {
	t.Helper()
	conn, err := net.Dial("tcp4", game.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	out, truncated, err := srcds.RCON(soon(t, 20*time.Second), conn, password, command, 1<<20)
	if err != nil || truncated {
		t.Fatalf("%s: %q, truncated %v, %v", command, out, truncated, err)
	}
	return out
}

func TestQueries(t *testing.T) {
	t.Parallel()
	g, addr := play(t, "join \"Zoë \\x1b[31m\"\nbot Nick\n")
	q := querier(t)
	ctx := soon(t, 20*time.Second)
	info, took, err := q.Info(ctx, addr)
	if err != nil || took <= 0 {
		t.Fatalf("took %v, %v", took, err)
	}
	want := srcds.Info{
		Name: "Kim's", Map: "c1m1_hotel", Folder: "left4dead2", Game: "Left 4 Dead 2", AppID: 550,
		Players: 2, MaxPlayers: 8, Bots: 1, VAC: true, Version: "2.2.4.3",
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
	players, err := q.Players(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]srcds.Player{{Name: "Zoë \x1b[31m", Score: 6}, {Name: "Nick", Score: 9}}, players); diff != "" {
		t.Errorf("players (-want +got):\n%s", diff)
	}

	g.tell(t, "STANDIN leave *")
	g.tell(t, "STANDIN map c2m1_highway")
	rcon(t, addr, `sv_password "x"`)
	want.Players, want.Bots, want.Map, want.Password = 0, 0, "c2m1_highway", true
	if info, _, err = q.Info(ctx, addr); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
}

// TestManyPlayers needs a list that srcds sends in parts.
func TestManyPlayers(t *testing.T) {
	t.Parallel()
	var control strings.Builder
	var want []srcds.Player
	for n := range 255 {
		name := fmt.Sprintf("player %d with a name of some length", n)
		fmt.Fprintf(&control, "join %s\n", name)
		want = append(want, srcds.Player{Name: name, Score: int32(3 * (n + 2))})
	}
	_, addr := play(t, control.String())
	got, err := querier(t).Players(soon(t, 20*time.Second), addr)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	g, addr := play(t, "join Zoey\njoin Louis\njoin Bill\nbot Nick\n")
	want := `hostname: Kim's
version : 2.2.4.3 9477 secure  (unknown)
udp/ip  : 127.0.0.1:` + g.port + ` [ public n/a ]
os      : Linux Dedicated
map     : c1m1_hotel at ( 0, 0, 0 )
players : 1 humans, 1 bots (8 max) (not hibernating) (unreserved)

# userid name uniqueid connected ping loss state rate adr
#  4 3 "Bill" STEAM_1:0:100004 00:00 24 0 active 30000 192.0.2.5:27005
# 5 "Nick" BOT active
#end
`
	want = strings.Replace(want, "  4 3 ", "  4 1 ", 1)
	got := map[string]string{}
	for _, command := range []string{
		"kick Zoey", "kickid 3", "status", "echo  two words ", "say Good night", "changelevel c8m1_apartment", "hostname", "nonsense 1", "", "spew 10000",
	} {
		got[command] = rcon(t, addr, command)
	}
	if n := len(got["spew 10000"]); n != 10000 {
		t.Errorf("spew printed %d bytes", n)
	}
	delete(got, "spew 10000")
	if diff := cmp.Diff(map[string]string{
		"kick Zoey": "", "kickid 3": "", "status": want, "echo  two words ": "two words\n", "say Good night": "Console: Good night\n",
		"changelevel c8m1_apartment": "", "hostname": "\"hostname\" = \"Kim's\"\n", "nonsense 1": "Unknown command \"nonsense\"\n", "": "",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	g.until(t, "Console: Good night")
	g.until(t, `Loading map "c8m1_apartment"`)
}
