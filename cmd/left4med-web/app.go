package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/account"
)

// The exit codes. Scripts depend on them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is one run of the program.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	config, state string
	hash          account.HashCost // zero, but in tests

	listening func(address string) // tests are told where; nil otherwise
}

// usageError is an error of a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (a *app) run(ctx context.Context, args []string) int {
	root := a.command()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(a.stderr, "left4med-web:", client.Visible(err.Error()))
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var misused usageError
	var refused *account.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &misused):
		return exitUsage
	case errors.As(err, &refused) && refused.Code == account.CodeInvalidRequest:
		return exitUsage
	}
	return exitFailed
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "left4med-web",
		Short: "the web frontend of left4med",
		Long: `left4med-web serves the page on which people watch and manage their servers. It is
meant to be started by left4med-web.service; without a command it serves. See
left4med-web(8).`,
		Args:          noCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context()) },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVar(&a.config, "config", "/etc/left4me/web.toml", "the settings; a missing file means the defaults")
	root.PersistentFlags().StringVar(&a.state, "state", "/var/lib/left4med-web/web.db", "the users and their sessions")
	root.AddCommand(
		&cobra.Command{
			Use:   "serve",
			Short: "serve browsers, which is also done without a command",
			Args:  exactly(),
			RunE:  func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context()) },
		},
		a.userCommand(),
		&cobra.Command{
			Use:   "version",
			Short: "print the version",
			Args:  exactly(),
			RunE: func(*cobra.Command, []string) error {
				_, err := fmt.Fprintln(a.stdout, "left4med-web", client.Visible(version))
				return err
			},
		},
		a.completionCommand(),
	)
	return root
}

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "print a completion script for a shell",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      exactly("SHELL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(a.stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(a.stdout, true)
			}
			return usage("there is no completion for %q; there is for bash, zsh and fish", args[0])
		},
	}
}

// exactly takes as many arguments as it is told names of.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("%s is missing; `%s --help` shows what is needed", names[len(args)], cmd.CommandPath())
		case len(args) > len(names):
			return usage("unexpected argument %q; `%s --help` shows what is possible", args[len(names)], cmd.CommandPath())
		}
		return nil
	}
}

// noCommand says of an argument to a command that has subcommands what it may be.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("there is no command %q; `%s --help` lists the commands", args[0], cmd.CommandPath())
	}
	return nil
}
