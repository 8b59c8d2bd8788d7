package standin

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verb is what a directive makes the stand-in do.
type Verb string

// The verbs of a directive.
const (
	VerbCrash  Verb = "crash"  // crash [AFTER]: dies by SIGSEGV
	VerbExit   Verb = "exit"   // exit CODE [AFTER]: leaves with CODE (0-255)
	VerbHang   Verb = "hang"   // hang: SIGINT and SIGTERM no longer stop it
	VerbMemory Verb = "memory" // memory MIB: holds so much touched memory (1-65536)
	VerbPrint  Verb = "print"  // print TEXT: one console line
	VerbShell  Verb = "sh"     // sh TEXT: runs a script, by UDP only, and answers "STANDIN DONE STATUS OUTPUT" too
	VerbSpam   Verb = "spam"   // spam COUNT [TEXT]: COUNT console lines (1-10000000)
	VerbSwap   Verb = "swap"   // swap TEXT: swaps its files for links, to the path TEXT among others, without end
	VerbJoin   Verb = "join"   // join TEXT: a player of that name comes, also beyond -maxplayers, up to 255
	VerbBot    Verb = "bot"    // bot TEXT: so does a bot
	VerbLeave  Verb = "leave"  // leave TEXT: whoever has that name goes; *: all, bots too
	VerbMap    Verb = "map"    // map TEXT: the map changes
	VerbQuery  Verb = "query"  // query TEXT: how it answers A2S from now on, one of QueryModes
	VerbRCON   Verb = "rcon"   // rcon TEXT: how it answers RCON from now on, one of RCONModes
)

// Directive is one order to the stand-in. Only the fields of its verb are set.
type Directive struct {
	Verb  Verb
	Code  int           // exit
	Count int           // memory: MiB, spam: lines
	Text  string        // print, sh, spam, swap, join, bot, leave, map, query, rcon
	After time.Duration // crash, exit; 0 means at once
}

// ParseDirective reads one line such as "exit 3 2s" or `print "\x1b[31mred\xff"`.
// TEXT may be a Go string literal in double quotes, so that a line can carry
// escapes and bytes that are no UTF-8; otherwise it is the rest of the line.
func ParseDirective(line string) (Directive, error) {
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	d := Directive{Verb: Verb(verb)}
	var err error
	switch d.Verb {
	case VerbHang:
		if rest != "" {
			err = fmt.Errorf("takes nothing, got %q", rest)
		}
	case VerbCrash:
		d.After, err = parseAfter(rest)
	case VerbExit:
		code, after, _ := strings.Cut(rest, " ")
		if d.Code, err = parseCount(code, 0, 255); err == nil {
			d.After, err = parseAfter(after)
		}
	case VerbMemory:
		d.Count, err = parseCount(rest, 1, 1<<16)
	case VerbPrint, VerbShell, VerbSwap:
		d.Text, err = parseText(rest)
	case VerbJoin, VerbBot, VerbLeave, VerbMap:
		if d.Text, err = parseText(rest); err == nil && d.Text == "" {
			err = fmt.Errorf("want a name")
		}
	case VerbQuery:
		d.Text, err = parseMode(rest, QueryModes())
	case VerbRCON:
		d.Text, err = parseMode(rest, RCONModes())
	case VerbSpam:
		count, text, _ := strings.Cut(rest, " ")
		if d.Count, err = parseCount(count, 1, 10_000_000); err == nil {
			d.Text, err = parseText(text)
		}
	default:
		return Directive{}, fmt.Errorf("cannot read directive %q: want crash, exit, hang, memory, print, sh, spam, swap, join, bot, leave, map, query or rcon", line)
	}
	if err != nil {
		return Directive{}, fmt.Errorf("cannot read directive %q: %w", line, err)
	}
	return d, nil
}

// ParseControl reads a whole control file: one directive a line; empty lines
// and lines that begin with # are left out.
func ParseControl(data []byte) ([]Directive, error) {
	var ds []Directive
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		d, err := ParseDirective(text)
		if err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return ds, nil
}

func parseCount(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("want a number from %d to %d, got %q", least, most, s)
	}
	return n, nil
}

func parseAfter(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("want a duration such as 2s, got %q", s)
	}
	return d, nil
}

func parseMode(s string, modes []string) (string, error) {
	if !slices.Contains(modes, s) {
		return "", fmt.Errorf("want one of %s, got %q", strings.Join(modes, ", "), s)
	}
	return s, nil
}

func parseText(s string) (string, error) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, `"`) {
		return s, nil
	}
	text, err := strconv.Unquote(s)
	if err != nil {
		return "", fmt.Errorf("want a string literal, got %s", s)
	}
	return text, nil
}
