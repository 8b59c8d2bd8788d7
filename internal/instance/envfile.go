package instance

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/left4med/left4med/internal/server"
)

// Var is a variable of a unit's environment.
type Var struct{ Name, Value string }

// EncodeEnv writes an environment file that systemd reads back as exactly
// these variables (systemd.exec(5), EnvironmentFile=; the rules are those of
// parse_env_file_internal in systemd's src/basic/env-file.c, the same from 252
// to 258). It refuses what such a file cannot carry: a name that is no
// identifier, a name given twice, and a value with NUL, with a character that
// Unicode excludes or without valid UTF-8, which systemd drops with no more
// than a warning (utf8_is_valid in src/basic/utf8.c).
func EncodeEnv(vars []Var) ([]byte, error) {
	var b strings.Builder
	seen := map[string]bool{}
	for _, v := range vars {
		if !envName(v.Name) {
			return nil, server.Errorf(server.CodeInternal, "%s is no name of an environment variable", server.Quote(v.Name, 60))
		}
		if seen[v.Name] {
			return nil, server.Errorf(server.CodeInternal, "the environment variable %s is given twice", v.Name)
		}
		seen[v.Name] = true
		if why := unwritable(v.Value); why != "" {
			return nil, server.Errorf(server.CodeInvalidRequest, "the environment variable %s cannot be written: its value %s %s",
				v.Name, server.Quote(v.Value, 60), why)
		}
		b.WriteString(v.Name)
		b.WriteByte('=')
		quoteEnv(&b, v.Value)
		b.WriteByte('\n')
	}
	return []byte(b.String()), nil
}

// quoteEnv puts a value between double quotes: there, a backslash before one of
// " \ ` $ stands for the character alone, and everything else, line feeds
// too, stands for itself.
func quoteEnv(b *strings.Builder, value string) {
	b.WriteByte('"')
	for i := 0; i < len(value); i++ {
		if strings.IndexByte("\"\\`$", value[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(value[i])
	}
	b.WriteByte('"')
}

// envName follows env_name_is_valid: letters, digits and '_', no digit first.
func envName(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_')
	}) < 0
}

// maxEnvValue keeps a variable well below what execve(2) takes in one string
// (MAX_ARG_STRLEN, 128 KiB).
const maxEnvValue = 64 << 10

func unwritable(s string) string {
	if len(s) > maxEnvValue {
		return fmt.Sprintf("is %d bytes long; at most %d are possible", len(s), maxEnvValue)
	}
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	for _, r := range s {
		switch {
		case r == 0:
			return "holds a NUL character"
		case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
			return "holds a character that Unicode excludes"
		}
	}
	return ""
}
