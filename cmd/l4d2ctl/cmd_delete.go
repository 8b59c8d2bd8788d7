package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newDelete(a *app) *cobra.Command {
	var yes, noWait bool
	var orphans, overlays []string
	var backup int64
	cmd := &cobra.Command{
		Use:     "delete NAME… | NAME --backup ID | --orphan UNIT | --overlay NAME",
		GroupID: writing,
		Short:   "stop servers and remove them with their files",
		Long: `Delete disables and stops servers and removes them with all of their files: their settings, what their games have written, and their backups. It cannot be undone.

On a terminal each name must be typed once more. Without a terminal --yes is required.

With --backup a backup of one server is deleted, and nothing else. Nothing is asked.

With --orphan a unit that belongs to no server, as "l4d2ctl orphans" lists them, is disabled and stopped. Its files stay, so nothing is asked.

With --overlay an overlay that no server uses, as "l4d2ctl list --overlays" lists them, is removed with all of its files. Its name must be typed once more, too.`,
		Example: `  l4d2ctl delete versus-1
  l4d2ctl delete --yes versus-1 versus-2
  l4d2ctl delete versus-1 --backup 17
  l4d2ctl delete --orphan left4me-server@Foo_1.service
  l4d2ctl delete --overlay old-maps`,
		ValidArgsFunction: a.completeNames(0),
		Args: func(cmd *cobra.Command, args []string) error {
			ofBackup := cmd.Flags().Changed("backup")
			switch {
			case len(orphans) > 0 && len(overlays) > 0:
				return errors.New("--orphan and --overlay exclude each other")
			case ofBackup && len(orphans)+len(overlays) > 0:
				return errors.New("--backup, and --orphan and --overlay, exclude each other")
			case ofBackup:
				return oneName(cmd, args)
			case len(orphans)+len(overlays) == 0:
				return someNames(cmd, args)
			case len(args) > 0:
				return errors.New("--orphan and --overlay, and the names of servers, exclude each other")
			}
			return nil
		},
		RunE: a.does(0, func(ctx context.Context, c *client.Client, args []string) error {
			if len(orphans) > 0 {
				return a.disableOrphans(ctx, c, orphans, noWait)
			}
			if len(overlays) > 0 {
				return a.deleteOverlays(ctx, c, overlays, yes)
			}
			if backup != 0 {
				return a.deleteBackup(ctx, c, args[0], backup)
			}
			return a.delete(ctx, c, args, yes, noWait)
		}),
	}
	backupFlag(a, cmd, &backup, "backup", "delete the backup with this `ID`, and nothing else")
	cmd.Flags().StringArrayVar(&orphans, "orphan", nil, "disable and stop this `unit`, which belongs to no server; may be given many times")
	cmd.Flags().StringArrayVar(&overlays, "overlay", nil, "remove this `overlay`, which no server uses; may be given many times")
	for flag, complete := range map[string]cobra.CompletionFunc{"orphan": a.completeOrphans(true, true), "overlay": a.completeOverlays(true)} {
		if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil { // only for a flag that does not exist
			panic(err)
		}
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the end of the jobs; print their numbers")
	return cmd
}

func (a *app) delete(ctx context.Context, c *client.Client, args []string, yes, noWait bool) error {
	chosen, err := names(args)
	if err != nil {
		return err
	}
	if err := a.canAsk(yes, deleteAsks); err != nil {
		return err
	}
	before, err := a.servers(ctx, c)
	if err != nil {
		return err
	}
	if !yes {
		if err := a.confirm(ctx, before.Servers, chosen, "Deleting it removes all of its files, its backups too, and cannot be undone"); err != nil {
			return err
		}
	}
	return a.each(ctx, c, before.EventID, chosen, c.Delete, noWait)
}

const deleteAsks = "delete asks before it removes anything"

// canAsk says whether what asks first may go on: the user is sure, or can be asked.
func (a *app) canAsk(sure bool, asks string) error {
	if !sure && !isTerminal(a.stdin) {
		return usage(errors.New(asks + ", and there is no terminal to ask on: give --yes if you are sure"))
	}
	return nil
}

// disableOrphans disables and stops units that belong to no server.
func (a *app) disableOrphans(ctx context.Context, c *client.Client, given []string, noWait bool) error {
	before, err := a.servers(ctx, c)
	if err != nil {
		return err
	}
	units := make([]string, len(given))
	for i, arg := range given {
		units[i] = unitNamed(arg)
	}
	return a.each(ctx, c, before.EventID, units, c.DisableOrphan, noWait)
}

// each asks for a job for one server after the other and sees them through.
func (a *app) each(ctx context.Context, c *client.Client, after uint64, chosen []string, ask func(context.Context, string) (*client.Job, error), noWait bool) error {
	var b batch
	for _, name := range chosen {
		job, err := ask(ctx, name)
		var refused *client.Error
		switch {
		case err == nil:
			b.Jobs = append(b.Jobs, *job)
		case errors.As(err, &refused):
			b.Refused = append(b.Refused, client.Refusal{Server: name, Code: refused.Code, Detail: refused.Error(), Job: refused.Job})
		case len(b.Jobs) == 0:
			return err
		default: // the daemon went away in the middle
			return a.leave(ctx, err, &b)
		}
	}
	return a.finish(ctx, c, after, &b, noWait)
}

// confirm lets the user type the name of each server that is about to lose what
// the warning says.
func (a *app) confirm(ctx context.Context, servers []client.Server, chosen []string, warning string) error {
	answers := bufio.NewReader(a.stdin)
	paint := a.paint(a.stderr)
	for _, name := range chosen {
		for i := range servers {
			if s := &servers[i]; string(s.Name) == name {
				what := paint.text(bold, name) + " is " + paint.text(stateStyle(s.State), string(s.State))
				if err := a.typed(ctx, answers, name, what+". "+warning); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// typed lets the user type a name once more, after what there is to say.
func (a *app) typed(ctx context.Context, answers *bufio.Reader, name, warning string) error {
	fmt.Fprintf(a.stderr, "%s.\nType its name to go on: ", warning)
	answer, err := readLine(ctx, answers, "nothing was changed")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != name {
		return errors.New("this is not its name: nothing was changed")
	}
	return nil
}

// readLine reads a line. Without one the error says, after "no answer", what came
// of it.
func readLine(ctx context.Context, r *bufio.Reader, without string) (string, error) {
	return patiently(ctx, func() (string, error) {
		text, err := r.ReadString('\n')
		if err != nil && text == "" {
			return "", errors.New("no answer: " + without)
		}
		return text, nil
	})
}

// patiently reads, or gives up when ctx ends; what is read then is lost.
func patiently(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case a := <-got:
		return a.text, a.err
	}
}
