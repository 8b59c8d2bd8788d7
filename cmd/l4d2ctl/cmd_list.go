package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newList(a *app) *cobra.Command {
	var overlays bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		GroupID: reading,
		Short:   "list all servers",
		Long: `List shows what each server is doing (STATE), whether it should run (DESIRED), and where the two disagree (DRIFT); "l4d2ctl show NAME" explains a drift and says what cures it. A state that was not confirmed for a while is marked "(stale)". NOTE says since when there is a drift, when a stale server was last seen, and when left4med starts a server again by itself, or that it gave up. Of a server whose game answers, MAP is what is played now, and PLAYERS how many play and how many may; "no answer" is no fault by itself, since a game that loads a map does not answer. Of others, MAP is where the game begins. On a wide terminal MEM and CPU say what memory a server takes and what share of one processor, where the host accounts for it.

With --overlays it lists the overlays instead: what "initialize --overlay" can put on top of the game for a server, with their sizes and the servers that use them. left4med looks at all of their files for that.

Elsewhere than on a terminal the columns are separated by tabs and times are given in full.`,
		Example: `  l4d2ctl list
  l4d2ctl list --json | jq -r '.servers[] | select(.drift != "none") | .name'
  l4d2ctl list --overlays`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: nothing,
		RunE: a.does(readLimit, func(ctx context.Context, c *client.Client, args []string) error {
			if overlays {
				return a.listOverlays(ctx, c)
			}
			return a.list(ctx, c, args)
		}),
	}
	cmd.Flags().BoolVar(&overlays, "overlays", false, "list the overlays, with their sizes and the servers that use them")
	return cmd
}

func (a *app) list(ctx context.Context, c *client.Client, _ []string) error {
	snapshot, err := c.Servers(ctx)
	if err != nil {
		return err
	}
	a.warn(ctx, c)
	if a.json {
		if snapshot.Servers == nil {
			snapshot.Servers = []client.Server{}
		}
		return a.printJSON(struct {
			Servers []client.Server `json:"servers"`
		}{snapshot.Servers})
	}
	if len(snapshot.Servers) == 0 {
		a.say("There is no server yet. Create one with: l4d2ctl initialize NAME")
		return nil
	}
	rows := make([][]cell, len(snapshot.Servers))
	for i := range snapshot.Servers {
		rows[i] = a.listRow(&snapshot.Servers[i])
	}
	header := []string{"NAME", "STATE", "DESIRED", "DRIFT", "PORT", "MAP", "PLAYERS", "SINCE", "JOB", "NOTE"}
	if at := slices.Index(header, "PLAYERS"); isTerminal(a.stdout) && !slices.ContainsFunc(snapshot.Servers, knowsGame) {
		header = slices.Delete(header, at, at+1)
		for i, row := range rows {
			rows[i] = slices.Delete(row, at, at+1)
		}
	}
	if isTerminal(a.stdout) && !slices.ContainsFunc(rows, func(row []cell) bool { return row[len(row)-1].text != "-" }) {
		header = header[:len(header)-1]
		for i, row := range rows {
			rows[i] = row[:len(row)-1]
		}
	}
	if at := slices.Index(header, "SINCE"); a.showsUsage(snapshot.Servers) {
		header = slices.Insert(header, at, "MEM", "CPU")
		for i := range rows {
			rows[i] = slices.Insert(rows[i], at, usageCells(&snapshot.Servers[i])...)
		}
	}
	return a.table(header, rows)
}

// wideTerminal is from how many characters on a line there is room for what the
// servers use.
const wideTerminal = 100

// showsUsage says whether the table tells what the servers use: on a terminal
// that has room for it, and a host that accounts for it. Programs read it with
// --json.
func (a *app) showsUsage(servers []client.Server) bool {
	width, _ := terminalSize(a.stdout)
	known := func(s client.Server) bool { return s.MemoryBytes != nil || s.CPUPercent != nil }
	return isTerminal(a.stdout) && width >= wideTerminal && slices.ContainsFunc(servers, known)
}

func usageCells(s *client.Server) []cell {
	memory, cpu := cell{text: "-"}, cell{text: "-"}
	if s.MemoryBytes != nil {
		memory.text = shortSize(*s.MemoryBytes)
	}
	if s.CPUPercent != nil {
		cpu.text = percent(*s.CPUPercent)
	}
	return []cell{memory, cpu}
}

func (a *app) listRow(s *client.Server) []cell {
	name := cell{text: string(s.Name)}
	state := cell{text: string(s.State), style: stateStyle(s.State)}
	drift := cell{text: string(s.Drift), style: driftStyle(s.Drift)}
	if s.Drift != client.DriftNone {
		name.style = red
	} else {
		drift.short = "-"
	}
	if s.Stale {
		state.text, state.style = state.text+" (stale)", yellow
	}
	port, first := "-", "-"
	if s.Config != nil {
		port, first = strconv.Itoa(int(s.Config.Port)), s.Config.Map
	}
	if s.Game != nil && s.Game.Map != "" {
		first = s.Game.Map
	}
	return []cell{
		name, state, {text: string(s.Desired)}, drift, {text: port}, {text: first}, playersCell(s),
		{text: stamp(s.StateSince), short: a.ago(s.StateSince)}, jobCell(s), a.noteCell(s),
	}
}

func knowsGame(s client.Server) bool { return s.Game != nil }

// playersCell says how many play, and how many may.
func playersCell(s *client.Server) cell {
	switch g := s.Game; {
	case g == nil:
		return cell{text: "-"}
	case !g.Reachable || g.Players == nil || g.MaxPlayers == nil:
		return cell{text: "no answer", style: yellow}
	default:
		return cell{text: playing(g)}
	}
}

// playing is how many play on a server whose game answers: "3/8".
func playing(g *client.Game) string { return fmt.Sprintf("%d/%d", *g.Players, *g.MaxPlayers) }

func (a *app) noteCell(s *client.Server) cell {
	c := cell{text: a.trouble(s, forPrograms()).String(), short: a.trouble(s, a.forPeople()).String(), style: yellow}
	if c.text == "" {
		return cell{text: "-"}
	}
	return c
}

func jobCell(s *client.Server) cell {
	switch {
	case s.Job != nil && waiting(*s.Job):
		return cell{text: string(s.Job.Kind) + " when empty", style: jobStyle(s.Job.State)}
	case s.Job != nil:
		return cell{text: string(s.Job.Kind) + " " + string(s.Job.State), style: jobStyle(s.Job.State)}
	case s.Phase == client.PhaseCreating, s.Phase == client.PhaseDeleting:
		return cell{text: string(s.Phase), style: yellow}
	}
	return cell{text: "-"}
}

// warn says when what is shown may not be the truth of the moment.
func (a *app) warn(ctx context.Context, c *client.Client) {
	h, err := c.Health(ctx)
	if err != nil {
		return // the answer that counts is there
	}
	switch {
	case !h.Systemd.Connected:
		a.say("Note: left4med has no link to systemd; the states shown may be old (l4d2ctl doctor says more).")
	case !h.Resync.Enabled:
		a.say("Note: the resync is switched off in left4med.toml; a change that systemd did not signal is not seen.")
	case h.Resync.Error != "":
		a.say("Note: the last resync failed: %s", h.Resync.Error)
	}
}
