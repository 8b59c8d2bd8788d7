package hand

import (
	"context"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/srcds"
)

// census puts into an answer who plays: what A2S_PLAYER tells, and, with a
// password, what `status` tells of the same.
func (h *Hand) census(ctx context.Context, q probe.Query, answer *probe.Answer) {
	players, err := h.games.Players(ctx, address(q.Target))
	if err != nil {
		answer.ListFault = gameFault(ctx, err)
		return
	}
	var status srcds.Status
	if q.Password != "" {
		var output string
		if output, _, answer.StatusFault = console(ctx, q.Target, q.Password, "status"); answer.StatusFault == nil {
			status = srcds.ParseStatus(output)
		}
		if status.Humans >= 0 && answer.StatusFault == nil {
			humans := min(status.Humans, probe.MaxPlayers)
			answer.Humans = &humans
		}
	}
	answer.List = joined(players, status)
}

// joined are the players of A2S_PLAYER with what status tells of each; who is in
// status alone stands at the end. Those without a name are still connecting, so
// status, if there is one, has them, too.
func joined(players []srcds.Player, status srcds.Status) []probe.Player {
	list := make([]probe.Player, 0, len(players))
	known := len(status.Players) > 0
	for _, p := range players {
		one, found := status.Take(p)
		if !found && known && p.Name == "" {
			continue
		}
		player := probe.Player{Name: probe.Text(p.Name), Score: p.Score, Seconds: min(p.Seconds, probe.MaxSeconds)}
		if found {
			told(&player, one)
		}
		list = append(list, player)
	}
	for _, one := range status.Players {
		player := probe.Player{Name: probe.Text(one.Name), Seconds: float64(max(one.Seconds, 0))}
		told(&player, one)
		list = append(list, player)
	}
	return list[:min(len(list), probe.MaxPlayers)]
}

// told adds to a player what status says.
func told(p *probe.Player, one srcds.StatusPlayer) {
	number := func(n int) *int {
		if n < 0 {
			return nil
		}
		return &n
	}
	p.UserID, p.Ping, p.Loss = number(one.UserID), number(one.Ping), number(min(one.Loss, 100))
	p.SteamID, p.Bot, p.State = one.SteamID, one.Bot, one.State
}
