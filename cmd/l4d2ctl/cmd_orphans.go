package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newOrphans(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "orphans",
		GroupID: reading,
		Short:   "list units and instances that belong to no server",
		Long: `Orphans lists what left4med found on this host and does not manage: units of the servers' template that are enabled, run or have failed, and directories of instances. Nothing happens to them by itself.

"l4d2ctl initialize --adopt NAME" makes a server of one, and its game goes on; --adopt --all does so with all that have files. "l4d2ctl delete --orphan UNIT" disables and stops one; its files stay.

Elsewhere than on a terminal the columns are separated by tabs and times are given in full.`,
		Example: `  l4d2ctl orphans
  l4d2ctl initialize --adopt --all
  l4d2ctl delete --orphan left4me-server@Foo_1.service`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: nothing,
		RunE:              a.does(readLimit, a.orphans),
	}
}

func (a *app) orphans(ctx context.Context, c *client.Client, _ []string) error {
	orphans, err := c.Orphans(ctx)
	if err != nil {
		return err
	}
	if a.json {
		if orphans == nil {
			orphans = []client.Orphan{}
		}
		return a.printJSON(struct {
			Orphans []client.Orphan `json:"orphans"`
		}{orphans})
	}
	if len(orphans) == 0 {
		a.say("There are none: every unit and every instance belongs to a server.")
		return nil
	}
	rows := make([][]cell, len(orphans))
	for i := range orphans {
		rows[i] = a.orphanRow(&orphans[i])
	}
	if err := a.table([]string{"UNIT", "STATE", "DESIRED", "PORT", "FOUND", "CAN BE ADOPTED"}, rows); err != nil {
		return err
	}
	a.advise(orphans)
	return nil
}

func (a *app) orphanRow(n *client.Orphan) []cell {
	port := "-"
	if n.Config != nil {
		port = strconv.Itoa(int(n.Config.Port))
	}
	adoptable := cell{text: "yes", style: green}
	switch {
	case n.Job != nil:
		adoptable = cell{text: string(n.Job.Kind) + " " + string(n.Job.State), style: jobStyle(n.Job.State)}
	case !n.Adoptable:
		adoptable = cell{text: "no: " + n.Obstacle, style: yellow}
	}
	return []cell{
		{text: n.Unit}, {text: string(n.State), style: stateStyle(n.State)}, {text: string(n.Desired)},
		{text: port}, {text: stamp(n.Since), short: a.ago(n.Since)}, adoptable,
	}
}

// advise tells on a terminal what can be done.
func (a *app) advise(orphans []client.Orphan) {
	if !isTerminal(a.stderr) {
		return
	}
	var adoptable, others []string
	for _, n := range orphans {
		if n.Adoptable {
			adoptable = append(adoptable, n.Name)
		} else {
			others = append(others, n.Unit)
		}
	}
	switch {
	case len(adoptable) > 3:
		a.say("Make servers of them with: l4d2ctl initialize --adopt --all")
	case len(adoptable) > 0:
		a.say("Make servers of them with: l4d2ctl initialize --adopt %s", strings.Join(adoptable, " "))
	}
	if len(others) > 0 {
		a.say("Disable and stop what cannot be adopted with: l4d2ctl delete --orphan %s", others[0])
	}
}
