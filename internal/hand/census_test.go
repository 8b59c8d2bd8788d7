package hand

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/srcds"
)

// TestJoined puts together what A2S_PLAYER and status tell of the same players.
func TestJoined(t *testing.T) {
	t.Parallel()
	two, four, seven, ping, zero, all := 2, 4, 7, 45, 0, 100
	status := srcds.Status{Humans: 3, Players: []srcds.StatusPlayer{
		{UserID: 2, Name: "Ellis\x1b", SteamID: "STEAM_1:0:1", Seconds: 83, Ping: 45, Loss: 0, State: "active"},
		{UserID: 4, Name: "late", Seconds: 3, Ping: 45, Loss: 999, State: "connecting"},
		{UserID: 7, Name: "Nick", Bot: true, Seconds: -1, Ping: -1, Loss: -1, State: "active"},
	}}
	players := []srcds.Player{{Name: "Ellis\x1b", Score: 5, Seconds: 83.5}, {Seconds: 3}, {Name: "Nick", Seconds: 500}, {Name: "unseen", Seconds: 1}}
	want := []probe.Player{
		{Name: `Ellis\x1b`, Score: 5, Seconds: 83.5, UserID: &two, SteamID: "STEAM_1:0:1", Ping: &ping, Loss: &zero, State: "active"},
		{Name: "Nick", Seconds: 500, UserID: &seven, Bot: true, State: "active"},
		{Name: "unseen", Seconds: 1},
		{Name: "late", Seconds: 3, UserID: &four, Ping: &ping, Loss: &all, State: "connecting"},
	}
	if diff := cmp.Diff(want, joined(players, status)); diff != "" {
		t.Errorf("with status (-want +got):\n%s", diff)
	}
	want = []probe.Player{{Name: `Ellis\x1b`, Score: 5, Seconds: 83.5}, {Seconds: 3}, {Name: "Nick", Seconds: 500}, {Name: "unseen", Seconds: 1}}
	if diff := cmp.Diff(want, joined(players, srcds.Status{})); diff != "" {
		t.Errorf("without (-want +got):\n%s", diff)
	}
	if got := joined(nil, srcds.Status{Players: make([]srcds.StatusPlayer, 300)}); len(got) != probe.MaxPlayers {
		t.Errorf("%d players", len(got))
	}
}
