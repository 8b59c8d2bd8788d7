package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

func answering(first string, players int) *client.Game {
	most, bots, ping := 8, 0, 0.42
	return &client.Game{Reachable: true, Map: first, Players: &players, MaxPlayers: &most, Bots: &bots, PingMS: &ping, QueriedAt: noon.Add(-2 * time.Second)}
}

func silent() *client.Game {
	return &client.Game{Error: "the game does not answer", QueriedAt: noon.Add(-2 * time.Second)}
}

// withGame are the servers of the tests, the first with what its game tells.
func withGame(g *client.Game) []client.Server {
	servers := two()
	servers[0].Game = g
	return servers
}

func TestListShowsGames(t *testing.T) {
	t.Parallel()
	for want, game := range map[string]*client.Game{
		"c2m1_highway\t3/8":     answering("c2m1_highway", 3),
		"c1m1_hotel\tno answer": silent(),
		"c1m1_hotel\t-":         nil,
	} {
		got := newFake(t, withGame(game)...).l4d2ctl("list")
		if !strings.Contains(got.Stdout, "\t27015\t"+want+"\t2026") {
			t.Errorf("want %q in %q", want, got.Stdout)
		}
	}
	_, got := newFake(t, withGame(answering("c2m1_highway", 3))[0]).terminal("", map[string]string{"NO_COLOR": "1"}, "list")
	want := `NAME    STATE    DESIRED  DRIFT  PORT   MAP           PLAYERS  SINCE   JOB
coop-1  running  running  -      27015  c2m1_highway  3/8      3m ago  -
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("on a terminal (-want +got):\n%s", diff)
	}
}

func TestShowShowsGames(t *testing.T) {
	t.Parallel()
	for want, game := range map[string]*client.Game{
		"\ngame         3/8 players on c2m1_highway (answered 2s ago in 0.4 ms)\n": answering("c2m1_highway", 3),
		"\ngame         no answer: the game does not answer (asked 2s ago)\n":      silent(),
	} {
		got := newFake(t, withGame(game)...).l4d2ctl("show", "coop-1")
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("want %q in %s", want, got.Stdout)
		}
	}
}

func TestShowPlayers(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	seven, ping, loss := 7, 50, 0
	players := client.Players{Players: []client.Player{
		{Name: "kim\x1b[2J", SteamID: "STEAM_1:0:12", UserID: &seven, Ping: &ping, Loss: &loss, Seconds: 3661.5, Score: -1, State: "active"},
		{Name: "Nick", Bot: true, Seconds: 2},
		{},
	}, Detail: "who is who is not known"}
	f.mux.HandleFunc("GET /v1/servers/coop-1/players", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, players) })
	f.mux.HandleFunc("GET /v1/servers/versus-1/players", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, 409, client.CodeNotRunning, "versus-1 is failed")
	})
	want := result{0, `NAME	STEAMID	USERID	TIME	PING	LOSS	SCORE	STATE
kim\x1b[2J	STEAM_1:0:12	7	1h1m1s	50	0	-1	active
Nick	BOT	-	2s	-	-	0	-
-	-	-	0s	-	-	0	-
`, "Note: who is who is not known.\n"}
	if diff := cmp.Diff(want, f.l4d2ctl("show", "coop-1", "--players")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := f.l4d2ctl("show", "coop-1", "--players", "--json"); !strings.Contains(got.Stdout, `"steam_id"`) {
		t.Errorf("--json: %+v", got)
	}
	if got := f.l4d2ctl("show", "versus-1", "--players"); got.Code != exitFailed || !strings.Contains(got.Stderr, "versus-1 is failed") {
		t.Errorf("one that does not run: %+v", got)
	}
	if got := f.l4d2ctl("show", "coop-1", "--players", "--backups"); got.Code != exitUsage {
		t.Errorf("two lists at once: %+v", got)
	}
}

func TestGameChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before, now *client.Game
		want        string
	}{
		{nil, answering("a", 0), ""},
		{nil, answering("a", 2), "players: 2/8"},
		{nil, silent(), "no answer: the game does not answer"},
		{answering("a", 2), answering("a", 2), ""},
		{answering("a", 2), answering("b", 3), "map: b  players: 3/8"},
		{answering("a", 2), silent(), "no answer: the game does not answer"},
		{silent(), silent(), ""},
		{silent(), answering("a", 0), "the game answers  map: a  players: 0/8"},
		{answering("a", 2), nil, ""},
	} {
		if got := gameChange(c.before, c.now); got != c.want {
			t.Errorf("%+v then %+v: %q, want %q", c.before, c.now, got, c.want)
		}
	}
}
