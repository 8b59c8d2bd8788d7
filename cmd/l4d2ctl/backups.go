package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/left4med/left4med/client"
)

// oneDeed refuses flags of initialize that exclude each other.
func oneDeed(deeds ...bool) error {
	asked := 0
	for _, deed := range deeds {
		if deed {
			asked++
		}
	}
	if asked > 1 {
		return usage(errors.New("--reset, --backup and --restore exclude each other"))
	}
	return nil
}

// backups is initialize --backup, and --restore unless the id is 0.
func (a *app) backups(ctx context.Context, c *client.Client, name string, s *settings, flags *pflag.FlagSet, restore int64, yes, noWait bool) error {
	chosen, err := names([]string{name})
	if err != nil {
		return err
	}
	if err := s.none(flags, "--backup and --restore change no settings: do that with another command"); err != nil {
		return err
	}
	if err := a.canAsk(yes || restore == 0, "--restore asks before it replaces anything"); err != nil {
		return err
	}
	before, err := a.servers(ctx, c)
	if err != nil {
		return err
	}
	if restore == 0 {
		return a.each(ctx, c, before.EventID, chosen, c.Backup, noWait)
	}
	if !yes {
		warning := fmt.Sprintf("Restoring it stops it, and puts its backup %d in the place of what its game has written, its settings and its secrets, after a backup of these", restore)
		if err := a.confirm(ctx, before.Servers, chosen, warning); err != nil {
			return err
		}
	}
	return a.each(ctx, c, before.EventID, chosen, func(ctx context.Context, name string) (*client.Job, error) {
		return c.RestoreBackup(ctx, name, restore)
	}, noWait)
}

// deleteBackup is delete --backup.
func (a *app) deleteBackup(ctx context.Context, c *client.Client, name string, id int64) error {
	if err := c.DeleteBackup(ctx, name, id); err != nil {
		return err
	}
	a.say("%s: backup %d is deleted.", name, id)
	return nil
}

// showBackups is show --backups.
func (a *app) showBackups(ctx context.Context, c *client.Client, name string) error {
	backups, err := c.Backups(ctx, name)
	if err != nil {
		return err
	}
	a.warn(ctx, c)
	if a.json {
		return a.printJSON(struct {
			Backups []client.Backup `json:"backups"`
		}{backups})
	}
	rows := make([][]cell, len(backups))
	for i, b := range backups {
		rows[i] = []cell{
			{text: strconv.FormatInt(b.ID, 10)},
			{text: b.CreatedAt.Format(time.RFC3339), short: a.ago(b.CreatedAt)},
			{text: string(b.Reason)},
			{text: strconv.FormatInt(b.Size, 10), short: mebibytes(b.Size)},
		}
	}
	return a.table([]string{"ID", "TAKEN", "REASON", "SIZE"}, rows)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// backupFlag gives a command a flag for a backup's id, which completes those of
// the server named before.
func backupFlag(a *app, cmd *cobra.Command, id *int64, name, usage string) {
	cmd.Flags().Var((*backupID)(id), name, usage)
	err := cmd.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(given) != 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := completing(cmd)
		defer cancel()
		c := a.client()
		defer c.Close()
		backups, err := c.Backups(ctx, given[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for _, b := range backups {
			found = append(found, cobra.CompletionWithDesc(strconv.FormatInt(b.ID, 10), fmt.Sprintf("%s, %s", a.ago(b.CreatedAt), b.Reason)))
		}
		return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	})
	if err != nil { // only for a flag that does not exist
		panic(err)
	}
}

// backupID is a flag that takes the id of a backup.
type backupID int64

func (*backupID) Type() string { return "ID" }

func (id *backupID) String() string {
	if *id == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*id), 10)
}

func (id *backupID) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return errors.New("a backup's ID is a number from 1 up")
	}
	*id = backupID(n)
	return nil
}
