package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// completionLimit keeps a shell from hanging at a Tab.
const completionLimit = time.Second

// completeNames completes the names of servers there are; at most limit of
// them, 0 for any number.
func (a *app) completeNames(limit int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if limit > 0 && len(given) >= limit {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := completing(cmd)
		defer cancel()
		c := a.client()
		defer c.Close()
		list, err := c.Servers(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for _, s := range list.Servers {
			if !slices.Contains(given, string(s.Name)) {
				found = append(found, cobra.CompletionWithDesc(string(s.Name), string(s.State)))
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completing is the context of a completion.
func completing(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, completionLimit)
}

// completes gives a flag its possible values.
func completes(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil { // only for a flag that does not exist
		panic(err)
	}
}

// nothing completes a flag or an argument of which no value is known.
func nothing(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}
