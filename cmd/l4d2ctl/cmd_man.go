package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan makes the command that the package's build writes the manual with.
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
			return writeManual(a.command(), args[0])
		},
	}
}

// writeManual writes a page for a command and for each one below it.
func writeManual(cmd *cobra.Command, dir string) error {
	cmd.DisableAutoGenTag = true
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			if err := writeManual(sub, dir); err != nil {
				return err
			}
		}
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	page, err := manualPage(cmd, name)
	if err != nil {
		return fmt.Errorf("cannot make the manual page of %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".1"), page, 0o644); err != nil {
		return fmt.Errorf("cannot write the manual: %w", err)
	}
	return nil
}

func manualPage(cmd *cobra.Command, name string) ([]byte, error) {
	cmd.InitDefaultHelpFlag()
	header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Source: "left4med " + version, Manual: "left4med"}
	var page bytes.Buffer
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return nil, err
	}
	var more strings.Builder
	for _, s := range []section{exitStatus(), environment(), files()} {
		s.roff(&more)
	}
	// The list of other pages stands last.
	before, after, found := bytes.Cut(page.Bytes(), []byte(".SH SEE ALSO"))
	out := append(bytes.TrimRight(before, "\n"), '\n')
	out = append(out, more.String()...)
	if found {
		out = append(append(out, ".SH SEE ALSO"...), after...)
	}
	return out, nil
}

// roff writes a section in the language of man(7).
func (s section) roff(w *strings.Builder) {
	fmt.Fprintf(w, ".SH %s\n", s.title)
	if s.intro != "" {
		fmt.Fprintf(w, ".PP\n%s\n", escapeRoff(s.intro))
	}
	for _, e := range s.entries {
		fmt.Fprintf(w, ".TP\n\\fB%s\\fP\n%s\n", escapeRoff(e.term), escapeRoff(e.text))
	}
}

// escapeRoff keeps text from being taken for a request or an escape; "\-" is a
// hyphen that can be copied.
func escapeRoff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
