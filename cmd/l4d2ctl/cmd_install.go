package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newInstall(a *app) *cobra.Command {
	var opts client.InstallOptions
	var whenEmpty, check, noWait bool
	cmd := &cobra.Command{
		Use:     "install",
		GroupID: writing,
		Short:   "install or update the game",
		Long: `Install has SteamCMD download the Left 4 Dead 2 dedicated server, or bring it up to date, once for all servers of this host. A download that was interrupted goes on where it was. When it fails, the installation from before is what there is.

The files that servers run on are not changed beneath them: while one runs, install is refused and says which. With --restart it stops them, updates, and starts again exactly those that ran, whether or not the update went well. Who stops, deletes or disables one of them meanwhile is obeyed. No server can be started until the end.

With --restart-when-empty it does the same, but begins when nobody plays on any of the servers that run; until then they run, and others can be started. The wait is a job of left4med: Ctrl-C leaves it, "l4d2ctl jobs --cancel" ends it, and an install at once takes its place. It tells the players, and gives up when the time in left4med.toml(5), [when_empty], is over. A game that does not answer is not taken for empty.

With --check nothing is changed: it asks Steam which build is the newest. left4med does so by itself once a day.`,
		Example: `  l4d2ctl install
  l4d2ctl install --check
  l4d2ctl install --restart
  l4d2ctl install --restart-when-empty --no-wait
  l4d2ctl install --validate     # mend damaged files`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: nothing,
		RunE: a.does(0, func(ctx context.Context, c *client.Client, _ []string) error {
			if whenEmpty {
				opts.Restart, opts.When = true, client.WhenEmpty
			}
			if check && (opts.Validate || opts.Restart) {
				return usage(errors.New("--check changes nothing, so it goes with neither --validate, --restart nor --restart-when-empty"))
			}
			return a.install(ctx, c, opts, check, noWait)
		}),
	}
	cmd.Flags().BoolVar(&opts.Validate, "validate", false, "compare every file with Steam's, and mend what differs")
	cmd.Flags().BoolVar(&opts.Restart, "restart", false, "stop the servers that run, and bring back what ran")
	cmd.Flags().BoolVar(&whenEmpty, "restart-when-empty", false, "the same, when nobody plays on any of them")
	cmd.Flags().BoolVar(&check, "check", false, "only look whether there is a newer build")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the end of the job; print its number")
	return cmd
}

func (a *app) install(ctx context.Context, c *client.Client, opts client.InstallOptions, check, noWait bool) error {
	before, err := a.servers(ctx, c)
	if err != nil {
		return err
	}
	var job *client.Job
	if check {
		job, err = c.CheckUpdates(ctx)
	} else {
		job, err = c.Install(ctx, opts)
	}
	if err != nil {
		return err
	}
	b := &batch{Jobs: []client.Job{*job}}
	b.ended = func() error {
		if b.Jobs[0].State != client.JobSucceeded {
			return nil
		}
		if b.Updates, err = c.Updates(ctx); err != nil {
			return err
		}
		a.tellUpdates(b.Updates)
		return nil
	}
	return a.finish(ctx, c, before.EventID, b, noWait)
}

// tellUpdates says which build there is, and whether there is a newer one.
func (a *app) tellUpdates(u *client.Updates) {
	switch {
	case u.UpdateAvailable != nil && *u.UpdateAvailable:
		a.say("Build %s is installed and build %s is out. Update with: l4d2ctl install", u.InstalledBuild, u.LatestBuild)
	case u.UpdateAvailable != nil:
		a.say("Build %s is installed, which is the newest.", u.InstalledBuild)
	case u.LatestBuild != "":
		a.say("The newest build is %s. Which one is installed is not known.", u.LatestBuild)
	case u.InstalledBuild != "":
		a.say("Build %s is installed.", u.InstalledBuild)
	}
}
