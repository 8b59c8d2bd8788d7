package server

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns s in a form that is safe to show to a person on a terminal
// or a page: control characters (escape sequences among them), invalid UTF-8,
// bidirectional overrides and other invisible characters appear as \xNN or
// \u{NNNN}. Tabs are kept. It is the only place in the product that does so.
func Visible(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case shown(r):
			b.WriteString(s[i : i+size])
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%04x}`, r)
		}
		i += size
	}
	return b.String()
}

// Quote is Visible with quotation marks around it, cut to at most max runes of
// the original, for names and values in error messages.
func Quote(s string, max int) string {
	n := 0
	for i := range s {
		if n == max {
			return `"` + Visible(s[:i]) + `…"`
		}
		n++
	}
	return `"` + Visible(s) + `"`
}

func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf || c != '\t' && (c < 0x20 || c == 0x7f) {
			return false
		}
	}
	return true
}

// shown says whether a character is displayed as itself: what unicode calls
// graphic, and not one of the invisible format characters (category Cf), which
// could reorder or hide what stands beside them.
func shown(r rune) bool {
	return r == '\t' || unicode.IsGraphic(r) && !unicode.Is(unicode.Cf, r) && r != '\u2028' && r != '\u2029'
}
