package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/left4med/left4med/client"
)

// adoption are the flags of initialize --adopt.
type adoption struct {
	adopt bool
	all   bool
}

func (d *adoption) flags(f *pflag.FlagSet) {
	f.BoolVar(&d.adopt, "adopt", false, "make servers of instances that belong to none; their games go on")
	f.BoolVar(&d.all, "all", false, "with --adopt: of all that \"l4d2ctl orphans\" lists with files")
}

// args wants one name, or those to adopt.
func (d *adoption) args(cmd *cobra.Command, args []string) error {
	switch {
	case !d.adopt && d.all:
		return errors.New("--all goes with --adopt")
	case !d.adopt:
		return oneName(cmd, args)
	case d.all && len(args) > 0:
		return errors.New("--all and names exclude each other")
	case d.all:
		return nil
	}
	return someNames(cmd, args)
}

// only refuses flags that say what an adoption finds out by itself; flags are
// those of the command alone.
func (d *adoption) only(flags *pflag.FlagSet) error {
	var extra []string
	flags.Visit(func(f *pflag.Flag) {
		if !slices.Contains([]string{"adopt", "all", "no-wait"}, f.Name) {
			extra = append(extra, "--"+f.Name)
		}
	})
	if len(extra) > 0 {
		return usage(fmt.Errorf("--adopt takes the settings that there are: change them afterwards, without %s", strings.Join(extra, " ")))
	}
	return nil
}

// unitNamed is the unit of an instance, given by its name or its unit.
func unitNamed(arg string) string {
	if strings.Contains(arg, "@") && strings.HasSuffix(arg, ".service") {
		return arg
	}
	return client.OrphanUnit(arg)
}

func (a *app) adopt(ctx context.Context, c *client.Client, d *adoption, args []string, noWait bool) error {
	before, err := a.servers(ctx, c)
	if err != nil {
		return err
	}
	units := make([]string, 0, len(args))
	for _, arg := range args {
		units = append(units, unitNamed(arg))
	}
	if d.all {
		if units, err = a.adoptables(ctx, c); err != nil {
			return err
		}
	}
	return a.each(ctx, c, before.EventID, units, c.Adopt, noWait)
}

// adoptables are the units of the orphans that have files, and says which have
// none.
func (a *app) adoptables(ctx context.Context, c *client.Client) ([]string, error) {
	orphans, err := c.Orphans(ctx)
	if err != nil {
		return nil, err
	}
	var units []string
	for _, n := range orphans {
		if n.Files {
			units = append(units, n.Unit)
			continue
		}
		a.say("%s: left alone, it has no files; l4d2ctl delete --orphan %s disables and stops it", n.Unit, n.Unit)
	}
	if len(orphans) == 0 {
		a.say("There is nothing to adopt: every instance belongs to a server.")
	}
	return units, nil
}

// completeOrphans completes the instances of orphans, or with unit their units;
// all, or only those that can be adopted.
func (a *app) completeOrphans(unit, all bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := completing(cmd)
		defer cancel()
		c := a.client()
		defer c.Close()
		orphans, err := c.Orphans(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for _, n := range orphans {
			value := n.Name
			if unit {
				value = n.Unit
			}
			if (all || n.Adoptable) && !slices.Contains(given, value) {
				found = append(found, cobra.CompletionWithDesc(client.Visible(value), string(n.State)))
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}
