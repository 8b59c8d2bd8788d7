package instance

import "strings"

// DecodeEnv reads an environment file as systemd does (parse_env_file_internal in
// systemd's src/basic/env-file.c, version 254): of a variable that stands there
// twice the last one counts, and what is no assignment is passed over.
func DecodeEnv(text string) map[string]string {
	d := envDecoder{vars: map[string]string{}}
	for i := range len(text) {
		d.byte(text[i])
	}
	if d.state >= inBeforeValue && d.state <= inDoubleEscape {
		d.assign()
	}
	return d.vars
}

// The places in an environment file.
const (
	inBeforeKey = iota
	inKey
	inBeforeValue
	inValue
	inValueEscape
	inSingle
	inDouble
	inDoubleEscape
	inComment
	inCommentEscape
)

type envDecoder struct {
	vars       map[string]string
	state      int
	key, value []byte
	blanks     int // at the end of value, not quoted
}

func blank(c byte) bool   { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func newline(c byte) bool { return c == '\n' || c == '\r' }

func (d *envDecoder) byte(c byte) {
	switch d.state {
	case inBeforeKey:
		switch {
		case c == '#' || c == ';':
			d.state = inComment
		case !blank(c):
			d.state, d.key, d.value, d.blanks = inKey, []byte{c}, nil, 0
		}
	case inKey:
		switch {
		case newline(c):
			d.state = inBeforeKey
		case c == '=':
			d.state = inBeforeValue
		default:
			d.key = append(d.key, c)
		}
	case inBeforeValue:
		d.beforeValue(c)
	case inValue:
		d.plain(c)
	case inValueEscape:
		d.state = inValue
		if !newline(c) {
			d.value = append(d.value, c)
		}
	default:
		d.quotedOrComment(c)
	}
}

func (d *envDecoder) beforeValue(c byte) {
	switch {
	case newline(c):
		d.assign()
	case c == '\'':
		d.state = inSingle
	case c == '"':
		d.state = inDouble
	case c == '\\':
		d.state = inValueEscape
	case !blank(c):
		d.state = inValue
		d.value = append(d.value, c)
	}
}

// plain is what follows the first sign of a value without quotation marks: those
// that come later stand for themselves.
func (d *envDecoder) plain(c byte) {
	switch {
	case newline(c):
		d.assign()
		return
	case c == '\\':
		d.state, d.blanks = inValueEscape, 0
		return
	case blank(c):
		d.blanks++
	default:
		d.blanks = 0
	}
	d.value = append(d.value, c)
}

func (d *envDecoder) quotedOrComment(c byte) {
	switch d.state {
	case inSingle:
		if c == '\'' {
			d.state = inBeforeValue
			return
		}
		d.value = append(d.value, c)
	case inDouble:
		switch c {
		case '"':
			d.state = inBeforeValue
		case '\\':
			d.state = inDoubleEscape
		default:
			d.value = append(d.value, c)
		}
	case inDoubleEscape:
		d.state = inDouble
		switch {
		case strings.IndexByte("\"\\`$", c) >= 0:
			d.value = append(d.value, c)
		case c != '\n':
			d.value = append(d.value, '\\', c)
		}
	case inComment:
		if c == '\\' {
			d.state = inCommentEscape
		} else if newline(c) {
			d.state = inBeforeKey
		}
	case inCommentEscape: // until 253 a comment went on in the next line
		if d.state = inComment; newline(c) {
			d.state = inBeforeKey
		}
	}
}

func (d *envDecoder) assign() {
	key := strings.TrimRight(string(d.key), " \t\n\r")
	if envName(key) {
		d.vars[key] = string(d.value[:len(d.value)-d.blanks])
	}
	d.state = inBeforeKey
}

// splitArgs takes a variable apart as systemd does where a unit names it without
// braces ($L4D2_ARGS, systemd.service(5)): at white space outside of quotation
// marks, which are taken away; a backslash stands for the sign after it.
func splitArgs(s string) []string {
	var words []string
	var word []byte
	var quote byte
	begun, escaped := false, false
	for i := range len(s) {
		c := s[i]
		switch {
		case escaped:
			word, escaped = append(word, c), false
		case c == '\\':
			begun, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			begun, quote = true, c
		case quote == 0 && blank(c):
			if begun {
				words, word, begun = append(words, string(word)), nil, false
			}
		default:
			begun, word = true, append(word, c)
		}
	}
	if begun {
		words = append(words, string(word))
	}
	return words
}
