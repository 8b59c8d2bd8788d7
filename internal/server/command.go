package server

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxCommand is how many bytes a command for a game's console may have. The
// game's own buffer for one has 512, with its end and a line feed
// (COMMAND_MAX_LENGTH in Source SDK 2013, public/tier1/convar.h).
const MaxCommand = 510

// CheckCommand says whether a text may be sent to a game's console. It is one
// line; `;` parts commands, as the game has it. The error does not repeat it,
// since a command can hold a password.
func CheckCommand(command string) error {
	const field = "command"
	switch {
	case strings.TrimSpace(command) == "":
		return fieldError(field, "there is no command")
	case len(command) > MaxCommand:
		return fieldError(field, "this command has %d bytes; the game takes %d at most", len(command), MaxCommand)
	case !utf8.ValidString(command):
		return fieldError(field, "this command is not valid UTF-8")
	case strings.ContainsFunc(command, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return fieldError(field, "a command is one line without control characters")
	}
	return nil
}

// secretWord finds what names a secret in a command: the cvars of ours, and
// whatever has such a word in its name.
var secretWord = regexp.MustCompile(`(?i)[a-z0-9_.-]*(?:passw|token|sv_setsteamaccount|secret|authkey|apikey)[a-z0-9_.-]*`)

// RedactCommand is a command as it may be put on record: what follows a cvar that
// holds a secret, up to the end of that command, has a word in its place, and so
// have the values of secrets wherever they stand. It rather takes out too much.
func RedactCommand(command string, secrets ...Secret) string {
	var b strings.Builder
	for rest, quoted := command, false; ; {
		at := secretWord.FindStringIndex(rest)
		if at == nil {
			b.WriteString(rest)
			break
		}
		quoted = quoted != (strings.Count(rest[:at[1]], `"`)%2 == 1)
		b.WriteString(rest[:at[1]])
		rest = rest[at[1]:]
		end := 0
		// Where the game would see the command's end: at a `;` outside of quotation
		// marks, which it counts from the line's begin.
		for ; end < len(rest) && (quoted || rest[end] != ';'); end++ {
			quoted = quoted != (rest[end] == '"')
		}
		if strings.Trim(rest[:end], ` "`) == "" {
			b.WriteString(rest[:end]) // it only asks
		} else {
			b.WriteString(" " + redacted)
		}
		rest = rest[end:]
	}
	return RedactText(b.String(), secrets...)
}

// shortSecret is below how many characters a secret is taken out only where it
// stands alone: it could be part of any word, and would be told by what is
// missing.
const shortSecret = 4

// secretValue finds the value that the game shows of a cvar that holds a secret:
// `"sv_password" = "x" ( def. "" )`.
var secretValue = regexp.MustCompile(`(?i)("?[a-z0-9_]*(?:passw|token|sv_setsteamaccount|secret|authkey|apikey)[a-z0-9_]*"?[ \t]*=[ \t]*)"[^"\n]*"`)

// RedactText is what a game printed without the values of secrets: those given,
// and those of cvars whose names say that they hold one.
func RedactText(text string, secrets ...Secret) string {
	text = secretValue.ReplaceAllString(text, `${1}"`+redacted+`"`)
	for _, s := range secrets {
		switch value := s.Reveal(); {
		case value == "":
		case len(value) < shortSecret:
			alone := regexp.MustCompile(`(^|[^A-Za-z0-9_])` + regexp.QuoteMeta(value) + `($|[^A-Za-z0-9_])`)
			text = alone.ReplaceAllString(text, "${1}"+redacted+"${2}")
		default:
			text = strings.ReplaceAll(text, value, redacted)
		}
	}
	return text
}

// RedactCut is RedactText for a text whose end was cut off, perhaps within a
// secret.
func RedactCut(text string, secrets ...Secret) string {
	text = RedactText(text, secrets...)
	for _, s := range secrets {
		value := s.Reveal()
		for n := len(value) - 1; n >= shortSecret; n-- {
			if rest, ok := strings.CutSuffix(text, value[:n]); ok {
				return rest + redacted
			}
		}
	}
	return text
}

// maxSay is how many bytes of a message players are told at once; the game shows
// no more of one (its chat's lines have 127).
const maxSay = 120

// SayCommand is the command that tells players something: one line of text that
// can end neither the command nor its own quotation, cut to what the chat shows.
// It is empty when there is nothing to say.
func SayCommand(text string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(text, " ") {
		switch {
		case r == '"' || r == ';' || r == '\\':
		case r == '\t' || r == '\n' || r == '\r':
			r = ' '
			fallthrough
		case shown(r):
			if b.Len()+utf8.RuneLen(r) > maxSay {
				return sayOf(b.String())
			}
			b.WriteRune(r)
		}
	}
	return sayOf(b.String())
}

func sayOf(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for strings.Contains(text, "//") { // the game's console takes the rest for a comment
		text = strings.ReplaceAll(text, "//", "/")
	}
	if text == "" {
		return ""
	}
	return "say " + text
}
