package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// margin stands before everything that is not a heading.
const margin = "  "

// defaultWidth is how wide a screen is taken to be that has no width, in
// characters.
const defaultWidth = 100

// The looks of a text: parameters of SGR, see console_codes(4).
const (
	bold  = "1"
	dim   = "2"
	red   = "1;31"
	green = "1;32"
)

// screen is where the demo is watched.
type screen struct {
	out    *os.File
	colour bool
}

func newScreen(out *os.File) *screen {
	term := os.Getenv("TERM")
	return &screen{out: out, colour: isTerminal(out) && os.Getenv("NO_COLOR") == "" && term != "" && term != "dumb"}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (s *screen) paint(look, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + look + "m" + text + "\x1b[0m"
}

func (s *screen) heading(number int, title string) {
	fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, fmt.Sprintf("%d. %s", number, title)))
}

func (s *screen) say(format string, args ...any) {
	line := fmt.Sprintf(margin+format, args...)
	fmt.Fprintln(s.out, strings.TrimRight(line, " "))
}

func (s *screen) verdict(ok bool, format string, args ...any) {
	mark := s.paint(green, "✓")
	if !ok {
		mark = s.paint(red, "✗")
	}
	s.say("%s "+format, append([]any{mark}, args...)...)
}

// prompt shows a command as it is typed by root.
func (s *screen) prompt(words []string) {
	s.say("%s %s", s.paint(dim, "#"), s.paint(bold, shellWords(words)))
}

// shellWords writes a command the way a shell reads it.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; w == "" || w[0] == '~' || strings.Trim(w, plainCharacters) != "" {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

const plainCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-~"

// term is the TERM of the commands shown: without colours on this screen they
// shall print none, and draw over nothing.
func (s *screen) term() string {
	if s.colour {
		return os.Getenv("TERM")
	}
	return "dumb"
}

// size is that of the terminals on which commands run: the screen's, less the
// margin.
func (s *screen) size() *pty.Winsize {
	size := &pty.Winsize{Rows: 40, Cols: defaultWidth}
	if own, err := pty.GetsizeFull(s.out); err == nil && own.Cols > 20 {
		size.Rows, size.Cols = own.Rows, own.Cols
	}
	size.Cols -= 2 * uint16(len(margin))
	return size
}

// indented returns a writer that moves what a command prints behind the margin,
// also where it draws over earlier lines.
func (s *screen) indented() io.Writer {
	return &indenter{to: s.out, margin: margin + margin, atStart: true, terminal: isTerminal(s.out)}
}

// indenter writes the margin before the first visible character of each line.
type indenter struct {
	to       io.Writer
	margin   string
	terminal bool // else carriage returns are left out
	atStart  bool
	escape   bool // within an escape sequence, which takes no room
}

// Write implements io.Writer.
func (w *indenter) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p)+len(w.margin))
	for _, b := range p {
		switch {
		case w.escape:
			// CSI ends at a letter; its own '[' is none.
			w.escape = b < '@' || b > '~' || b == '['
		case b == '\x1b':
			w.escape = true
		case b == '\r':
			w.atStart = true
			if !w.terminal {
				continue
			}
		case b == '\n':
			w.atStart = true
		case w.atStart:
			out, w.atStart = append(out, w.margin...), false
		}
		out = append(out, b)
	}
	_, err := w.to.Write(out)
	return len(p), err
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[@-~]|\r")

// plainText is what a command printed, without colours and carriage returns.
func plainText(s string) string { return escapes.ReplaceAllString(s, "") }
