package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newStart(a *app) *cobra.Command {
	var restart, whenEmpty, all, noWait bool
	cmd := &cobra.Command{
		Use:     "start NAME…",
		GroupID: writing,
		Short:   "start servers, now and at every boot",
		Long: `Start enables servers for every boot and starts them, all of them side by side, and waits until each is seen to run. A server that runs already is left alone; one that was started by other means, with "systemctl start" for instance, is enabled from then on.

A start whose process dies at once has failed: the reason and the unit's last log lines are shown. The server stays enabled, since that is what was asked for; "l4d2ctl stop" takes it back.

With --restart --when-empty each server is restarted when nobody plays on it. The wait is a job of left4med: Ctrl-C leaves it, "l4d2ctl jobs --cancel" ends it, and a stop, a delete or a restart at once takes its place. It tells the players, and gives up when the time in left4med.toml(5), [when_empty], is over. A game that does not answer is not taken for empty.`,
		Example: `  l4d2ctl start versus-1
  l4d2ctl start versus-1 versus-2 coop-1
  l4d2ctl start --restart versus-1     # apply changed settings
  l4d2ctl start --restart --when-empty --all
  l4d2ctl start --all`,
		ValidArgsFunction: a.completeNames(0),
		Args:              namesOrAll(&all),
		RunE: a.does(0, func(ctx context.Context, c *client.Client, args []string) error {
			switch {
			case whenEmpty && !restart:
				return usage(errors.New("--when-empty says when to restart: give --restart, too"))
			case whenEmpty:
				return a.act(ctx, c, client.ActionRestart, client.WhenEmpty, args, meantToRun, noWait)
			case restart:
				return a.act(ctx, c, client.ActionRestart, "", args, meantToRun, noWait)
			}
			return a.act(ctx, c, client.ActionStart, "", args, every, noWait)
		}),
	}
	cmd.Flags().BoolVar(&restart, "restart", false, "restart servers that run already; with --all only those that run or should run")
	cmd.Flags().BoolVar(&whenEmpty, "when-empty", false, "with --restart: each when nobody plays on it")
	cmd.Flags().BoolVar(&all, "all", false, "all servers there are")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the end of the jobs; print their numbers")
	return cmd
}

// namesOrAll wants names, or --all, and not both.
func namesOrAll(all *bool) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case *all && len(args) > 0:
			return errors.New("give either names or --all, not both")
		case !*all && len(args) == 0:
			return errors.New("which servers? Give their names, or --all")
		}
		return nil
	}
}

// every selects all servers for --all.
func every(*client.Server) bool { return true }

// meantToRun selects the servers that a restart of all is about.
func meantToRun(s *client.Server) bool {
	return s.Desired == client.DesiredRunning || s.State.Live()
}

// act does the same to the servers named, or to all that which selects when
// none is named, by one request.
func (a *app) act(ctx context.Context, c *client.Client, act client.Action, when client.When, args []string, which func(*client.Server) bool, noWait bool) error {
	chosen, err := names(args)
	if err != nil {
		return err
	}
	before, err := a.servers(ctx, c)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		for i := range before.Servers {
			if s := &before.Servers[i]; s.Phase != client.PhaseDeleting && which(s) {
				chosen = append(chosen, string(s.Name))
			}
		}
	}
	if len(chosen) == 0 {
		a.say("There is no server to %s.", string(act))
		return a.printBatch(&batch{})
	}
	var result *client.ActionResult
	if when == client.WhenEmpty {
		result, err = c.RestartAllWhenEmpty(ctx, chosen)
	} else {
		result, err = c.Actions(ctx, act, chosen)
	}
	if err != nil {
		return err
	}
	return a.finish(ctx, c, before.EventID, &batch{Jobs: result.Jobs, Refused: result.Refused}, noWait)
}
