package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/account"
)

func (a *app) userCommand() *cobra.Command {
	user := &cobra.Command{
		Use:   "user",
		Short: "who may use the page",
		Long: `User adds, lists, changes and removes those who may use the page, as root. It counts
at once, also for who is signed in. A role is viewer (sees all), operator (also
starts, stops and restarts servers and uses their consoles) or admin (all).`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("a command is missing; `%s --help` lists them", cmd.CommandPath())
		},
	}
	user.AddCommand(a.userAdd(), a.userList(), a.userRole(), a.userPassword(), a.userRemove())
	return user
}

func (a *app) userAdd() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:     "add NAME --role ROLE",
		Short:   "add a user; the password is asked for, or read from standard input",
		Example: "  left4med-web user add kim --role admin",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if role == "" {
				return usage("--role is missing; it is viewer, operator or admin")
			}
			return a.withBook(cmd.Context(), func(ctx context.Context, b *account.Book) error {
				wanted, err := account.ParseRole(role)
				if err != nil {
					return err
				}
				password, err := a.readPassword(ctx, args[0])
				if err != nil {
					return err
				}
				u, err := b.Add(ctx, args[0], wanted, password)
				if err != nil {
					return err
				}
				return a.say("%s is added, as %s", u.Name, string(u.Role))
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "viewer, operator or admin")
	if err := cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(roles(), cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag stands a line above
	}
	return cmd
}

func (a *app) userList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the users",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBook(cmd.Context(), func(ctx context.Context, b *account.Book) error {
				users, err := b.Users(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(a.stdout).Encode(map[string][]account.User{"users": users})
				}
				return a.printUsers(users)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printUsers(users []account.User) error {
	if len(users) == 0 {
		_, err := fmt.Fprintln(a.stderr, "There is no user yet; `left4med-web user add NAME --role admin` adds the first.")
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tSESSIONS\tLAST SIGN-IN\tADDED")
	for _, u := range users {
		last := "-"
		if u.LastSignIn != nil {
			last = u.LastSignIn.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", client.Visible(u.Name), client.Visible(string(u.Role)), u.Sessions, last, u.CreatedAt.UTC().Format(time.RFC3339))
	}
	return w.Flush()
}

func (a *app) userRole() *cobra.Command {
	return &cobra.Command{
		Use:   "role NAME ROLE",
		Short: "give a user another role",
		Args:  exactly("NAME", "ROLE"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return roles(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBook(cmd.Context(), func(ctx context.Context, b *account.Book) error {
				if err := b.SetRole(ctx, args[0], account.Role(args[1])); err != nil {
					return err
				}
				return a.say("%s is now %s", args[0], args[1])
			})
		},
	}
}

func (a *app) userPassword() *cobra.Command {
	return &cobra.Command{
		Use:   "password NAME",
		Short: "give a user another password and end the user's sessions",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBook(cmd.Context(), func(ctx context.Context, b *account.Book) error {
				password, err := a.readPassword(ctx, args[0])
				if err != nil {
					return err
				}
				if err := b.SetPassword(ctx, args[0], password); err != nil {
					return err
				}
				return a.say("%s has a new password and must sign in again", args[0])
			})
		},
	}
}

func (a *app) userRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "remove a user and end the user's sessions",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBook(cmd.Context(), func(ctx context.Context, b *account.Book) error {
				if err := b.Remove(ctx, args[0]); err != nil {
					return err
				}
				return a.say("%s is removed", args[0])
			})
		},
	}
}

// withBook does something with the users, as who owns their file.
func (a *app) withBook(ctx context.Context, do func(context.Context, *account.Book) error) (err error) {
	cfg, err := readConfig(a.config)
	if err != nil {
		return err
	}
	if err := becomeOwner(a.state); err != nil {
		return err
	}
	book, err := account.Open(ctx, a.state, account.Options{
		Idle: cfg.Session.Idle.Duration, Max: cfg.Session.Max.Duration, Log: zerolog.Nop(), Hash: a.hash,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	return do(ctx, book)
}

// say prints what was done.
func (a *app) say(format string, words ...string) error {
	visible := make([]any, len(words))
	for i, w := range words {
		visible[i] = client.Visible(w)
	}
	_, err := fmt.Fprintf(a.stdout, format+"\n", visible...)
	return err
}

// roles are the names of the roles, for completion.
func roles() []string {
	return []string{string(account.RoleViewer), string(account.RoleOperator), string(account.RoleAdmin)}
}
