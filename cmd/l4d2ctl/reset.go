package main

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/left4med/left4med/client"
)

// reset is initialize --reset: what the game wrote goes, the settings stay.
func (a *app) reset(ctx context.Context, c *client.Client, name string, s *settings, flags *pflag.FlagSet, yes, noWait bool) error {
	chosen, err := names([]string{name})
	if err != nil {
		return err
	}
	patch, cvars, err := s.patch(flags)
	if err != nil {
		return err
	}
	if patch != (client.ConfigPatch{}) || cvars.any() || s.secret != "" {
		return usage(errors.New("--reset keeps the settings as they are: change them with another command"))
	}
	if !yes && !isTerminal(a.stdin) {
		return usage(errors.New("--reset asks before it removes anything, and there is no terminal to ask on: give --yes if you are sure"))
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
