package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// page is a manual page in the language of man(7).
type page struct{ b strings.Builder }

func (p *page) request(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

func (p *page) synopsis(cmd *cobra.Command, hasCommands bool) {
	words := strings.Fields(cmd.UseLine())
	name := strings.Fields(cmd.CommandPath())
	rest := words[len(name):]
	if hasCommands {
		rest = []string{"COMMAND", "[flags]"}
	}
	line := `\fB` + escapeRoff(strings.Join(name, " ")) + `\fP`
	for _, word := range rest {
		line += ` \fI` + escapeRoff(strings.Replace(word, "flags", "OPTION…", 1)) + `\fP`
	}
	p.request("%s", line)
}

func (p *page) paragraphs(text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			p.request(".PP")
		}
		p.request("%s", escapeRoff(paragraph))
	}
}

// options lists flags as a manual does: "-n, --count NUMBER" and what it means.
func (p *page) options(title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	p.request(".SH %s", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, text := pflag.UnquoteUsage(f)
		term := `\fB` + escapeRoff("--"+f.Name) + `\fP`
		if f.Shorthand != "" {
			term = `\fB` + escapeRoff("-"+f.Shorthand) + `\fP, ` + term
		}
		if value != "" {
			term += ` \fI` + escapeRoff(strings.ToUpper(value)) + `\fP`
		}
		if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "false" && f.DefValue != "[]" {
			text += " (default " + f.DefValue + ")"
		}
		p.request(".TP\n%s\n%s", term, escapeRoff(text))
	})
}

func (p *page) examples(text string) {
	if text == "" {
		return
	}
	p.request(".SH EXAMPLES\n.EX")
	for line := range strings.Lines(text) {
		p.request("%s", escapeRoff(strings.TrimRight(line, "\n")))
	}
	p.request(".EE")
}

func (p *page) section(s section) {
	p.request(".SH %s", escapeRoff(s.title))
	if s.intro != "" {
		p.request("%s", escapeRoff(s.intro))
	}
	for _, e := range s.entries {
		p.request(".TP\n\\fB%s\\fP\n%s", escapeRoff(e.term), escapeRoff(e.text))
	}
}

func (p *page) seeAlso(cmd *cobra.Command, subs []*cobra.Command) {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, pageName(cmd.Parent()))
	}
	for _, sub := range subs {
		pages = append(pages, pageName(sub))
	}
	refs := make([]string, 0, len(pages)+2)
	for _, name := range pages {
		refs = append(refs, `\fB`+escapeRoff(name)+`\fP(1)`)
	}
	refs = append(refs, `\fBsystemctl\fP(1)`, `\fBjournalctl\fP(1)`)
	p.request(".SH SEE ALSO")
	p.request("%s", strings.Join(refs, ",\n"))
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

func quoteRoff(text string) string {
	return `"` + strings.ReplaceAll(escapeRoff(text), `"`, `\(dq`) + `"`
}
