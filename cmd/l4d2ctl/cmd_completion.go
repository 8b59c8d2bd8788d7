package main

import "github.com/spf13/cobra"

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		GroupID:   others,
		Short:     "print a completion script for a shell",
		Long:      `Completion prints a script that lets a shell complete commands, flags and the names of servers. The Debian package installs these scripts; there is nothing to do then.`,
		Example:   `  . <(l4d2ctl completion bash)`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(a.stdout)
			}
			return cmd.Root().GenFishCompletion(a.stdout, true)
		},
	}
}
