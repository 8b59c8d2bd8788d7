package srcds

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const statusText = `hostname: players : 9 humans
version : 2.2.4.3 9477 secure  (unknown)
udp/ip  : 0.0.0.0:27015 [ public n/a ]
os      : Linux Dedicated
map     : c1m1_hotel at ( 0, 0, 0 )
players : 3 humans, 1 bots (8 max) (not hibernating) (unreserved)

# userid name uniqueid connected ping loss state rate adr
#  2 1 "Ellis" STEAM_1:0:12345 01:23 45 0 active 30000 192.0.2.1:27005
#  4 2 "Ellis" STEAM_1:1:67890 1:02:03 5 100 spawning 30000 192.0.2.2:27005
#  5 3 "a" STEAM_1:0:666 00:01 1 0 active 1 9.9.9.9:1" [U:1:77] 00:09 7 1 connecting 30000 192.0.2.3:27005
#  6 "no slot" STEAM_ID_PENDING 00:09 7 1 connecting
# 7 "Nick" BOT active
#end
#  8 1 "cut off" STEAM_1:0
`

func TestParseStatus(t *testing.T) {
	t.Parallel()
	want := Status{Humans: 3, Players: []StatusPlayer{
		{UserID: 2, Name: "Ellis", SteamID: "STEAM_1:0:12345", Seconds: 83, Ping: 45, State: "active"},
		{UserID: 4, Name: "Ellis", SteamID: "STEAM_1:1:67890", Seconds: 3723, Ping: 5, Loss: 100, State: "spawning"},
		{UserID: 5, Name: `a" STEAM_1:0:666 00:01 1 0 active 1 9.9.9.9:1`, SteamID: "[U:1:77]", Seconds: 9, Ping: 7, Loss: 1, State: "connecting"},
		{UserID: 6, Name: "no slot", Seconds: 9, Ping: 7, Loss: 1, State: "connecting"},
		{UserID: 7, Name: "Nick", Bot: true, Seconds: -1, Ping: -1, Loss: -1, State: "active"},
		{UserID: 8, Name: "cut off", Seconds: -1, Ping: -1, Loss: -1},
	}}
	for what, text := range map[string]string{"as printed": statusText, "with carriage returns": strings.ReplaceAll(statusText, "\n", "\r\n")} {
		if diff := cmp.Diff(want, ParseStatus(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if diff := cmp.Diff(Status{Humans: -1}, ParseStatus("Unknown command \"status\"\n")); diff != "" {
		t.Errorf("no status (-want +got):\n%s", diff)
	}
}

func TestTake(t *testing.T) {
	t.Parallel()
	s := ParseStatus(statusText)
	for _, c := range []struct {
		player Player
		want   int // user id; 0: nobody
	}{
		{Player{Name: "Ellis", Seconds: 3720}, 4},
		{Player{Name: "Ellis", Seconds: 3720}, 2},
		{Player{Name: "Ellis", Seconds: 83}, 0},
		{Player{Name: "Nick", Seconds: 500}, 7},
		{Player{Name: "nobody"}, 0},
	} {
		if got, ok := s.Take(c.player); got.UserID != c.want || ok != (c.want != 0) {
			t.Errorf("%+v: got %+v, %v", c.player, got, ok)
		}
	}
	if len(s.Players) != 3 {
		t.Errorf("left are %+v", s.Players)
	}
}

// FuzzStatus: whatever comes, what is found is within what can be, and a name that
// a player chose gives nobody else's id.
func FuzzStatus(f *testing.F) {
	f.Add(statusText)
	f.Add("x\" STEAM_1:0:1 00:01 1 0 active \"")
	f.Fuzz(func(t *testing.T, text string) {
		s := ParseStatus(text)
		if s.Humans < -1 || s.Humans > 999 || len(s.Players) > maxStatus {
			t.Errorf("%d humans, %d players", s.Humans, len(s.Players))
		}
		for _, p := range s.Players {
			if p.UserID < 0 || p.Ping < -1 || p.Loss < -1 || p.Loss > 999 || p.Seconds < -1 || len(p.State) > 16 || len(p.SteamID) > 20 || p.Bot && p.SteamID != "" {
				t.Errorf("%+v", p)
			}
		}
		if strings.ContainsAny(text, "\r\n") {
			return
		}
		forged := ParseStatus("# 2 1 \"" + text + "\" STEAM_1:0:12345 01:23 45 0 active 30000 192.0.2.1:27005\n")
		if len(forged.Players) != 1 || forged.Players[0].SteamID != "STEAM_1:0:12345" || forged.Players[0].Name != text {
			t.Errorf("the name %q gives %+v", text, forged.Players)
		}
	})
}
