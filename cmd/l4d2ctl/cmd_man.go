package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newMan makes the command that the package's build writes the manual with.
// SOURCE_DATE_EPOCH gives the pages' date, so that a build can be repeated.
func newMan(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Hidden: true,
		Short:  "write the manual pages into a directory",
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("cannot write the manual: %w", err)
			}
			date := a.now()
			if epoch, err := strconv.ParseInt(a.getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
				date = time.Unix(epoch, 0)
			}
			return writeManual(a.command(), args[0], date.UTC().Format(time.DateOnly))
		},
	}
}

// writeManual writes a page for a command and for each one below it.
func writeManual(cmd *cobra.Command, dir, date string) error {
	for _, sub := range shownCommands(cmd) {
		if err := writeManual(sub, dir, date); err != nil {
			return err
		}
	}
	file := filepath.Join(dir, pageName(cmd)+".1")
	if err := os.WriteFile(file, []byte(manualPage(cmd, date)), 0o644); err != nil {
		return fmt.Errorf("cannot write the manual: %w", err)
	}
	return nil
}

func shownCommands(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool { return !c.IsAvailableCommand() })
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func manualPage(cmd *cobra.Command, date string) string {
	cmd.InitDefaultHelpFlag()
	subs := shownCommands(cmd)
	p := &page{}
	p.request(".TH %s 1 %s %s left4med", quoteRoff(strings.ToUpper(pageName(cmd))), quoteRoff(date), quoteRoff("left4med "+version))
	p.request(".nh") // no hyphenation: names and flags are copied from here
	p.request(".SH NAME")
	p.request(`%s \- %s`, escapeRoff(pageName(cmd)), escapeRoff(cmd.Short))
	p.request(".SH SYNOPSIS")
	p.synopsis(cmd, len(subs) > 0)
	p.request(".SH DESCRIPTION")
	p.paragraphs(cmd.Long)
	for _, group := range cmd.Groups() {
		p.section(commandList(group.Title, group.ID, subs))
	}
	p.options("OPTIONS", cmd.LocalNonPersistentFlags())
	if cmd.HasParent() {
		p.options("GLOBAL OPTIONS", cmd.InheritedFlags())
	} else {
		p.options("GLOBAL OPTIONS", cmd.PersistentFlags())
	}
	p.examples(cmd.Example)
	p.section(exitStatus())
	p.section(environment())
	p.section(files())
	p.seeAlso(cmd, subs)
	return p.b.String()
}

func commandList(title, group string, subs []*cobra.Command) section {
	s := section{title: strings.ToUpper(strings.TrimSuffix(title, ":"))}
	for _, sub := range subs {
		if sub.GroupID == group {
			s.entries = append(s.entries, entry{sub.Use, sub.Short})
		}
	}
	return s
}
