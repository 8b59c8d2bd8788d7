package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newLogs(a *app) *cobra.Command {
	var follow bool
	var count int
	var since string
	cmd := &cobra.Command{
		Use:     "logs NAME",
		GroupID: reading,
		Short:   "show what a server printed",
		Long: `Logs shows what a server's unit wrote to the journal: the game's console, and systemd's messages about the unit. Control characters are shown escaped.

--since takes a time back from now as 90s, 15m, 2h or 3d, a time of today as 18:30, a date and time as "2026-05-01 18:30", or RFC 3339.`,
		Example: `  l4d2ctl logs versus-1
  l4d2ctl logs versus-1 -f
  l4d2ctl logs versus-1 -n 1000 --since 2h`,
		ValidArgsFunction: a.completeNames(1),
		Args:              oneName,
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new lines until Ctrl-C or until --timeout is over")
	cmd.Flags().IntVarP(&count, "lines", "n", 100, "at most this `number` of lines, the newest ones")
	cmd.Flags().StringVar(&since, "since", "", "only lines from this `time` on")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if count < 1 {
			return usage(fmt.Errorf("%d lines cannot be shown", count))
		}
		opts := client.LogsOptions{Lines: count, Follow: follow}
		if since != "" {
			at, err := moment(since, a.now())
			if err != nil {
				return usage(err)
			}
			opts.Since = at
		}
		limit := readLimit
		if follow {
			limit = 0
		}
		return a.does(limit, func(ctx context.Context, c *client.Client, args []string) error {
			return a.logs(ctx, c, args[0], opts)
		})(cmd, args)
	}
	return cmd
}

func (a *app) logs(ctx context.Context, c *client.Client, name string, opts client.LogsOptions) error {
	if opts.Follow {
		// Following waits for a daemon that is away; whether there is one, and
		// such a server, shall be known at once.
		if _, err := c.Server(ctx, name); err != nil {
			return err
		}
	}
	paint := a.paint(a.stdout)
	any := false
	for entry, err := range c.Logs(ctx, name, opts) {
		if err != nil {
			return err
		}
		any = true
		if err := a.logLine(paint, entry); err != nil {
			return err
		}
	}
	if !any && !a.json {
		a.say("There are no log lines of %s.", name)
	}
	return nil
}

func (a *app) logLine(paint painter, e client.LogEntry) error {
	if a.json {
		b, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("cannot print JSON: %w", err)
		}
		return a.printLine(b)
	}
	at := e.At.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	if isTerminal(a.stdout) {
		at = e.At.Local().Format("2006-01-02 15:04:05.000")
	}
	look := plain
	switch {
	case e.Priority <= 3:
		look = red
	case e.Priority == 4:
		look = yellow
	}
	_, err := fmt.Fprintf(a.stdout, "%s %s\n", paint.text(dim, at), paint.text(look, e.Message))
	return err
}

// moment understands a time as people write it, in the local time zone.
func moment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		if d < 0 {
			d = -d
		}
		return now.Add(-d), nil
	}
	var days int
	if n, err := fmt.Sscanf(s+"\n", "%dd\n", &days); n == 1 && err == nil && days >= 0 {
		return now.AddDate(0, 0, -days), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, errors.New(`--since wants a time back from now as 15m, 2h or 3d, a time as 18:30 or "2026-05-01 18:30", or RFC 3339`)
}
