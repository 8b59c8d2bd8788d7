package steamcmd

import (
	"slices"
	"strings"
)

// lookup finds a value in Valve's KeyValues text: quoted keys, each with a quoted
// value or a block in braces. Keys are compared without regard to case, as Valve's
// own reader does.
func lookup(text string, path ...string) (string, bool) {
	var at []string // the keys of the open blocks
	key, keyed := "", false
	for {
		token, word, rest := nextToken(text)
		text = rest
		switch {
		case token == 0:
			return "", false
		case token == '{' && keyed:
			at, keyed = append(at, key), false
		case token == '}' && len(at) > 0:
			at, keyed = at[:len(at)-1], false
		case token == '"' && !keyed:
			key, keyed = word, true
		case token == '"':
			if len(at) == len(path)-1 && strings.EqualFold(key, path[len(at)]) && slices.EqualFunc(at, path[:len(at)], strings.EqualFold) {
				return word, true
			}
			keyed = false
		}
	}
}

// nextToken answers '{', '}', or '"' with the text in quotation marks, and what
// comes after; 0 at the end. Words without quotation marks are left out.
func nextToken(text string) (token byte, word, rest string) {
	i := strings.IndexAny(text, `{}"`)
	if i < 0 {
		return 0, "", ""
	}
	token, text = text[i], text[i+1:]
	if token != '"' {
		return token, "", text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return '"', b.String(), text[i+1:]
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return 0, "", ""
}

// buildID finds a build's number, 1 to 20 digits.
func buildID(text string, path ...string) (string, bool) {
	id, found := lookup(text, path...)
	ok := found && len(id) > 0 && len(id) <= 20 && strings.Trim(id, "0123456789") == ""
	return id, ok
}
