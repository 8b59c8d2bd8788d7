package main

import (
	"context"
	"strconv"
	"time"

	"github.com/left4med/left4med/client"
)

// showPlayers lists who plays on a server.
func (a *app) showPlayers(ctx context.Context, c *client.Client, name string) error {
	p, err := c.Players(ctx, name)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(p)
	}
	if p.Detail != "" {
		a.say("Note: %s.", p.Detail)
	}
	if len(p.Players) == 0 {
		a.say("Nobody plays on %s.", name)
		return nil
	}
	rows := make([][]cell, len(p.Players))
	for i, one := range p.Players {
		rows[i] = playerRow(one)
	}
	return a.table([]string{"NAME", "STEAMID", "USERID", "TIME", "PING", "LOSS", "SCORE", "STATE"}, rows)
}

func playerRow(p client.Player) []cell {
	number := func(n *int) cell {
		if n == nil {
			return cell{text: "-"}
		}
		return cell{text: strconv.Itoa(*n)}
	}
	word := func(s string) cell {
		if s == "" {
			return cell{text: "-"}
		}
		return cell{text: s}
	}
	id := p.SteamID
	if p.Bot {
		id = "BOT"
	}
	name := word(p.Name)
	if p.Name == "" {
		name.short = "(connecting)"
	}
	return []cell{
		name, word(id), number(p.UserID), {text: (time.Duration(p.Seconds) * time.Second).String()},
		number(p.Ping), number(p.Loss), {text: strconv.Itoa(int(p.Score))}, word(p.State),
	}
}
