package main

import (
	"strings"
	"testing"
)

func TestIndentedWriterMovesLinesAndDrawings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, want string
		terminal       bool
	}{
		{"lines", "a\r\nb\r\n", "  a\n  b\n", false},
		{"an empty line", "a\r\n\r\nb", "  a\n\n  b", false},
		{"colours at the start", "\x1b[31mred\x1b[0m x\r\n", "\x1b[31m  red\x1b[0m x\r\n", true},
		{"drawing over the last line", "one\r\n\x1b[1A\r\x1b[Jtwo\r\n", "  one\r\n\x1b[1A\r\x1b[J  two\r\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var whole, bytewise strings.Builder
			w := &indenter{to: &whole, margin: "  ", terminal: tt.terminal, atStart: true}
			if _, err := w.Write([]byte(tt.in)); err != nil {
				t.Fatal(err)
			}
			w = &indenter{to: &bytewise, margin: "  ", terminal: tt.terminal, atStart: true}
			for i := range len(tt.in) {
				if _, err := w.Write([]byte{tt.in[i]}); err != nil {
					t.Fatal(err)
				}
			}
			if whole.String() != tt.want || bytewise.String() != tt.want {
				t.Errorf("got %q and %q, want %q", whole.String(), bytewise.String(), tt.want)
			}
		})
	}
}

func TestShellWords(t *testing.T) {
	t.Parallel()
	got := shellWords([]string{"l4d2ctl", "--hostname", "Kim's server", "", "~", "a_1.0~git", "left4me-server@*"})
	want := `l4d2ctl --hostname 'Kim'\''s server' '' '~' a_1.0~git 'left4me-server@*'`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	if got := plainText("\x1b[1mNAME\x1b[0m\r\n\x1b[1A\r\x1b[Jx"); got != "NAME\nx" {
		t.Errorf("got %q", got)
	}
}
