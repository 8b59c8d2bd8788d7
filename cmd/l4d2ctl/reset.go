package main

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/left4med/left4med/client"
)

// none refuses settings beside a flag that changes none.
func (s *settings) none(flags *pflag.FlagSet, refusal string) error {
	patch, cvars, err := s.patch(flags)
	if err == nil && (patch != (client.ConfigPatch{}) || cvars.any() || s.secret != "") {
		err = usage(errors.New(refusal))
	}
	return err
}

// reset is initialize --reset: what the game wrote goes, the settings stay.
func (a *app) reset(ctx context.Context, c *client.Client, name string, s *settings, flags *pflag.FlagSet, yes, noWait bool) error {
	chosen, err := names([]string{name})
	if err != nil {
		return err
	}
	if err := s.none(flags, "--reset keeps the settings as they are: change them with another command"); err != nil {
		return err
	}
	if err := a.canAsk(yes, "--reset asks before it removes anything"); err != nil {
		return err
	}
	before, err := a.servers(ctx, c)
	if err != nil {
		return err
	}
	if !yes {
		if err := a.confirm(ctx, before.Servers, chosen, "Resetting it stops it and removes all that its game has written, after a backup"); err != nil {
			return err
		}
	}
	return a.each(ctx, c, before.EventID, chosen, c.Reset, noWait)
}
