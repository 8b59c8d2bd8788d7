package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newHistory(a *app) *cobra.Command {
	var filter client.HistoryFilter
	var count int
	var kinds []string
	var since string
	cmd := &cobra.Command{
		Use:     "history [NAME]",
		GroupID: reading,
		Short:   "show what happened, and who asked for it",
		Long: `History shows what happened, the newest line last: of all servers, or of one, also of those that were deleted. KIND says what a line is about:

state: what the server does changed; the detail is systemd's result. desired: it was enabled or disabled, by whomever. drift: intent and truth parted, or met again. healing: left4med is about to start it again by itself, or gave up. job: something was asked for, or has ended. change: something was changed without a job, as settings. orphan: a unit or an instance's directory of no server was found, or is one no more. alert: alerts were given up or dropped, and are never delivered. refusal: a request was refused.

BY is who asked: the user as the kernel says, or the user of the web frontend as that says. SEEN is how left4med learnt what it did not do itself: from a signal of systemd's at that moment, in a job, or only from a resync, so that it happened up to one interval earlier, or while the daemon was away; since when then is systemd's word.`,
		Example: `  l4d2ctl history
  l4d2ctl history versus-1 -n 100
  l4d2ctl history --since 8h --kind state,drift,healing
  l4d2ctl history --before 1700 --json`,
		ValidArgsFunction: a.completeNames(1),
		Args:              cobra.MaximumNArgs(1),
	}
	cmd.RunE = a.does(readLimit, func(ctx context.Context, c *client.Client, args []string) error {
		if count < 1 {
			return usage(fmt.Errorf("%d lines cannot be shown", count))
		}
		if since != "" {
			at, err := moment(since, a.now())
			if err != nil {
				return usage(err)
			}
			if filter.Since = at; !cmd.Flags().Changed("count") {
				count = math.MaxInt
			}
		}
		for _, kind := range kinds {
			if !slices.Contains(historyKinds, kind) {
				return usage(fmt.Errorf("there is no kind %q; the kinds are %s", kind, strings.Join(historyKinds, ", ")))
			}
			filter.Kinds = append(filter.Kinds, client.HistoryKind(kind))
		}
		if cmd.Flags().Changed("before") && filter.Before < 1 {
			return usage(errors.New("--before wants the number of a line"))
		}
		if len(args) > 0 {
			filter.Server = args[0]
		}
		return a.history(ctx, c, filter, count)
	})
	cmd.Flags().IntVarP(&count, "count", "n", 20, "at most this `number` of lines, the newest ones; with --since alone there is no limit")
	cmd.Flags().StringSliceVar(&kinds, "kind", nil, "only lines of these `kinds`: "+strings.Join(historyKinds, ", "))
	cmd.Flags().StringVar(&since, "since", "", "only lines from this `time` on: 2h or 3d ago, 18:30, or \"2026-05-01 18:30\"")
	cmd.Flags().Int64Var(&filter.Before, "before", 0, "only lines before the one of this `number`")
	completes(cmd, "kind", historyKinds...)
	for _, flag := range []string{"count", "before", "since"} {
		if err := cmd.RegisterFlagCompletionFunc(flag, nothing); err != nil { // only for a flag that does not exist
			panic(err)
		}
	}
	return cmd
}

// historyKinds are the kinds of lines, in the order in which they are explained.
var historyKinds = []string{
	string(client.HistoryState), string(client.HistoryDesired), string(client.HistoryDrift), string(client.HistoryHealing),
	string(client.HistoryJob), string(client.HistoryChange), string(client.HistoryOrphan), string(client.HistoryAlert), string(client.HistoryRefusal),
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
	return a.table([]string{"ID", "TIME", "SERVER", "KIND", "BY", "SEEN", "WHAT"}, rows)
}

func historyRow(e client.HistoryEntry) []cell {
	name, by, what := cmp.Or(e.Server, "-"), "-", e.Words()
	if e.By != nil {
		by = asker(*e.By)
	}
	if !e.Since.IsZero() && e.At.Sub(e.Since) >= time.Second {
		what += ", since " + stamp(e.Since)
	}
	if e.Detail != "" {
		what += ": " + e.Detail
	}
	return []cell{
		{text: strconv.FormatInt(e.ID, 10)}, {text: stamp(e.At), short: e.At.Local().Format(time.DateTime)},
		{text: name}, {text: string(e.Kind)}, {text: by}, {text: cmp.Or(e.SeenBy, "-")}, {text: what, style: historyStyle(e)},
	}
}

func historyStyle(e client.HistoryEntry) style {
	switch {
	case e.Kind == client.HistoryRefusal, e.To == string(client.JobFailed): // also a state
		return red
	case e.Kind == client.HistoryDrift && e.To != string(client.DriftNone):
		return red
	case e.Kind == client.HistoryHealing:
		return yellow
	case e.To == string(client.JobSucceeded):
		return green
	}
	return plain
}
