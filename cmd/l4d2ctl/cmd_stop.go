package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newStop(a *app) *cobra.Command {
	var all, noWait bool
	cmd := &cobra.Command{
		Use:     "stop NAME…",
		GroupID: writing,
		Short:   "stop servers, and keep them stopped at the next boot",
		Long: `Stop disables servers for the next boot and stops them, and waits until each has stopped. A stop always wins: a start or a restart that is under way for the same server is canceled.

Stopping a server that is stopped already does no harm.`,
		Example: `  l4d2ctl stop versus-1
  l4d2ctl stop --all`,
		ValidArgsFunction: a.completeNames(0),
		Args:              namesOrAll(&all),
		RunE: a.does(0, func(ctx context.Context, c *client.Client, args []string) error {
			return a.act(ctx, c, client.ActionStop, "", args, every, noWait)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "all servers there are")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the end of the jobs; print their numbers")
	return cmd
}
