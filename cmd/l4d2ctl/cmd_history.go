package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newHistory(a *app) *cobra.Command {
	var filter client.HistoryFilter
	var count int
	cmd := &cobra.Command{
		Use:     "history [NAME]",
		GroupID: reading,
		Short:   "show what happened, and who asked for it",
		Long: `History shows who did what: jobs as they were asked for and as they ended, changes of settings, and requests that were refused. The newest line is the last. It tells of all servers, or of one, also of those that were deleted.

BY is the user as the kernel says, or the user of the web frontend as that says.`,
		Example: `  l4d2ctl history
  l4d2ctl history versus-1 -n 100
  l4d2ctl history --before 1700 --json`,
		ValidArgsFunction: a.completeNames(1),
		Args:              cobra.MaximumNArgs(1),
	}
	cmd.RunE = a.does(readLimit, func(ctx context.Context, c *client.Client, args []string) error {
		if count < 1 {
			return usage(fmt.Errorf("%d lines cannot be shown", count))
		}
		if cmd.Flags().Changed("before") && filter.Before < 1 {
			return usage(errors.New("--before wants the number of a line"))
		}
		if len(args) > 0 {
			filter.Server = args[0]
		}
		return a.history(ctx, c, filter, count)
	})
	cmd.Flags().IntVarP(&count, "count", "n", 20, "at most this `number` of lines, the newest ones")
	cmd.Flags().Int64Var(&filter.Before, "before", 0, "only lines before the one of this `number`")
	return cmd
}

func (a *app) history(ctx context.Context, c *client.Client, filter client.HistoryFilter, count int) error {
	entries, err := newest(count, func(limit int, last *client.HistoryEntry) ([]client.HistoryEntry, error) {
		if filter.Limit = limit; last != nil {
			filter.Before = last.ID
		}
		return c.History(ctx, filter)
	})
	if err != nil {
		return err
	}
	slices.Reverse(entries)
	if a.json {
		return a.printJSON(struct {
			History []client.HistoryEntry `json:"history"`
		}{entries})
	}
	if len(entries) == 0 {
		a.say("There is no such history.")
		return nil
	}
	rows := make([][]cell, len(entries))
	for i, e := range entries {
		rows[i] = historyRow(e)
	}
	return a.table([]string{"ID", "TIME", "SERVER", "BY", "WHAT"}, rows)
}

func historyRow(e client.HistoryEntry) []cell {
	name, by, what := e.Server, "-", e.Words()
	if name == "" {
		name = "-"
	}
	if e.By != nil {
		by = asker(*e.By)
	}
	if e.Detail != "" {
		what += ": " + e.Detail
	}
	look := plain
	switch {
	case e.Kind == client.HistoryRefusal || e.To == string(client.JobFailed):
		look = red
	case e.To == string(client.JobSucceeded):
		look = green
	}
	return []cell{
		{text: strconv.FormatInt(e.ID, 10)}, {text: stamp(e.At), short: e.At.Local().Format(time.DateTime)},
		{text: name}, {text: by}, {text: what, style: look},
	}
}
