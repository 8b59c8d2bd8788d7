package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

// readLimit is how long commands that only read wait for the daemon, unless
// --timeout says otherwise.
const readLimit = 30 * time.Second

// doctorLimit is how long doctor waits before it looks for the reason itself. The
// daemon's own examination takes 5 s at the most.
const doctorLimit = 10 * time.Second

// app is one run of the program: where it reads and writes, and its global
// flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	root           string        // of the file system that doctor looks at
	patience       time.Duration // how long the daemon may be away while its jobs are waited for
	silence        time.Duration // how long it may take to answer for the first time

	socket  string
	json    bool
	noColor bool
	timeout time.Duration

	accepted bool // the command line was understood

	agent passwordAgent
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.command()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	a.agent.end()
	if err == nil {
		return exitDone
	}
	if !a.accepted {
		err = usage(err)
	}
	code := exitCode(err)
	switch {
	case ctx.Err() != nil && code != exitInterrupted:
		return exitInterrupted
	case code == exitUsage:
		a.say("l4d2ctl: %s", strings.Join(strings.Fields(err.Error()), " ")) // cobra's suggestions have lines of their own
		if !a.accepted {
			a.say("Run '%s --help' for how it is used.", cmd.CommandPath())
		}
	case err.Error() != "":
		a.say("l4d2ctl: %s", err)
		a.hint(err)
	}
	return code
}

// hint says what to do about an error, where its text does not.
func (a *app) hint(err error) {
	if errors.Is(err, client.ErrUnreachable) {
		a.say("Run 'l4d2ctl doctor' to find out why.")
	}
}

// command builds the tree of commands.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "l4d2ctl",
		Short:         "control Left 4 Dead 2 servers",
		Long:          rootText,
		Example:       rootExample,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.accepted = true
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.socket, "socket", "", "the `path` of left4med's socket (default $LEFT4MED_SOCKET or "+client.DefaultSocket+")")
	flags.BoolVar(&a.json, "json", false, "print JSON, for programs")
	flags.BoolVar(&a.noColor, "no-color", false, "no colours, also on a terminal")
	flags.DurationVar(&a.timeout, "timeout", 0, "give up after this `time`, as 90s or 5m (default 30s for commands that only read, none for others)")
	root.AddGroup(&cobra.Group{ID: writing, Title: "Commands that change servers:"},
		&cobra.Group{ID: reading, Title: "Commands that only read:"},
		&cobra.Group{ID: others, Title: "About l4d2ctl itself:"})
	root.SetHelpCommandGroupID(others)
	root.AddCommand(
		newInstall(a), newInitialize(a), newStart(a), newStop(a), newDelete(a),
		newList(a), newShow(a), newWatch(a), newJobs(a), newHistory(a), newLogs(a), newOrphans(a), newDoctor(a),
		newVersion(a), newCompletion(a), newMan(a),
	)
	return root
}

// The groups of commands in the help.
const (
	writing = "writing"
	reading = "reading"
	others  = "others"
)

// action is what a command does with a connection.
type action func(ctx context.Context, c *client.Client, args []string) error

// does makes a cobra function of an action. limit is how long it may take when
// --timeout is not given; 0 is no limit.
func (a *app) does(limit time.Duration, do action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if a.timeout < 0 {
			return usage(fmt.Errorf("the time limit %s is negative", a.timeout))
		}
		if cmd.Flags().Changed("timeout") {
			limit = a.timeout
		}
		ctx := cmd.Context()
		if limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, limit, errTimedOut)
			defer cancel()
		}
		c := a.client()
		defer c.Close()
		return do(ctx, c, args)
	}
}

func (a *app) client() *client.Client {
	return client.New(client.Options{
		Socket:      a.socketPath(),
		UserAgent:   "l4d2ctl/" + version,
		OnChallenge: a.onChallenge,
	})
}

func (a *app) socketPath() string {
	switch {
	case a.socket != "":
		return a.socket
	case a.getenv("LEFT4MED_SOCKET") != "":
		return a.getenv("LEFT4MED_SOCKET")
	}
	return client.DefaultSocket
}

// servers reads all servers, before anything is asked of them, and finds out
// whether the daemon answers: systemd holds the socket also while it cannot
// start, and a command that waits for a job has no limit of its own.
func (a *app) servers(ctx context.Context, c *client.Client) (*client.Snapshot, error) {
	silent := fmt.Errorf("%w at %s: it did not answer within %s", client.ErrUnreachable, c.Socket(), a.silence)
	ctx, cancel := context.WithTimeoutCause(ctx, a.silence, silent)
	defer cancel()
	return c.Servers(ctx)
}

// oneName wants the name of one server.
func oneName(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return errors.New("which server? Give its name")
	case 1:
		return nil
	}
	return fmt.Errorf("one name is wanted, not %d", len(args))
}

// someNames wants the name of at least one server.
func someNames(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("which servers? Give their names")
	}
	return nil
}

// names checks the names on a command line, before anything is sent, and drops
// those that stand there twice.
func names(args []string) ([]string, error) {
	seen := map[string]bool{}
	var list []string
	for _, arg := range args {
		if _, err := client.ParseName(arg); err != nil {
			return nil, usage(err)
		}
		if !seen[arg] {
			seen[arg] = true
			list = append(list, arg)
		}
	}
	return list, nil
}
