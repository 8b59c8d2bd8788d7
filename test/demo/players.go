package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/left4med/left4med/client"
)

// players has two people join a server, and the server restarted when they are gone.
func players(ctx context.Context, d *demo) error {
	all, err := d.servers(ctx)
	if err != nil {
		return err
	}
	before := all[versus]
	w, err := d.watch(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	d.say("Nobody can connect from here, so the stand-in is told who plays. It answers the game's own query protocol and RCON; left4med-probe, which has no rights, asks it every 5 s.")
	begun := time.Now()
	if err := d.tell(ctx, before, "join Nick", "join Rochelle", "map c5m2_park"); err != nil {
		return err
	}
	seen, err := d.until(ctx, w, versus, begun, func(s client.Server) bool {
		return s.Game != nil && s.Game.Reachable && *s.Game.Players == 2 && s.Game.Map == "c5m2_park"
	})
	if err != nil {
		return err
	}
	took := seen[len(seen)-1].at.Sub(begun)
	d.check(took < 10*time.Second, "the new map and the players are known after %.1f s", took.Seconds())
	for _, command := range [][]string{{"list"}, {"show", versus, "--players"}, {"start", versus, "--restart", "--when-empty", "--no-wait"}} {
		out, err := d.typed(ctx, "l4d2ctl", command...)
		if err != nil {
			return err
		}
		if command[0] == "show" {
			d.check(strings.Contains(out, "Rochelle") && strings.Contains(out, "STEAM_"), "who plays is told, with Steam ids")
		}
	}
	return emptied(ctx, d, w, before)
}

// emptied has the players leave a server whose restart waits for that.
func emptied(ctx context.Context, d *demo, w *watching, before client.Server) error {
	if _, err := d.typed(ctx, "l4d2ctl", "list"); err != nil {
		return err
	}
	all, err := d.servers(ctx)
	if err != nil {
		return err
	}
	d.check(all[versus].InvocationID == before.InvocationID && all[versus].Job != nil, "the restart waits while they play")
	begun := time.Now()
	if err := d.tell(ctx, before, "leave *"); err != nil {
		return err
	}
	seen, err := d.until(ctx, w, versus, begun, func(s client.Server) bool {
		return s.State == client.StateRunning && s.InvocationID != before.InvocationID && s.Job == nil
	})
	if err != nil {
		return err
	}
	d.check(true, "they left, and it was restarted %.0f s later", seen[len(seen)-1].at.Sub(begun).Seconds())
	return nil
}

// tell tells a server's stand-in what to do.
func (d *demo) tell(ctx context.Context, s client.Server, directives ...string) error {
	for _, directive := range directives {
		d.say("%s: %s", s.Name, directive)
		if err := d.host.Standin(ctx, s.Config.Port, directive); err != nil {
			return fmt.Errorf("cannot have somebody play: %w", err)
		}
	}
	return nil
}
