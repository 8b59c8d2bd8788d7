package instance

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parseEnv reads an environment file as systemd.exec(5) and the parser that
// systemd has had since 233 say, written from its description: assignments end
// at a line feed or carriage return; quotation marks may open anywhere in a
// value and its parts are put together; a backslash outside quotation marks
// takes the next character as it is, between double ones only " \ ` and $; a
// backslash before a line feed swallows both.
func parseEnv(s string) map[string]string {
	vars := map[string]string{}
	for s != "" {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" {
			break
		}
		if s[0] == '#' || s[0] == ';' {
			_, s, _ = strings.Cut(s, "\n")
			continue
		}
		end := strings.IndexAny(s, "=\r\n")
		if end < 0 {
			break
		}
		name := strings.TrimRight(s[:end], " \t")
		more := s[end] == '='
		s = s[end+1:]
		if !more {
			continue
		}
		vars[name], s = parseEnvValue(s)
	}
	return vars
}

func parseEnvValue(s string) (value, rest string) {
	var b strings.Builder
	s = strings.TrimLeft(s, " \t")
	keep := 0 // bytes of b that trailing white space must not be cut from
	bare := false
	for s != "" {
		c := s[0]
		s = s[1:]
		switch {
		case c == '\n' || c == '\r':
			return trim(b.String(), keep), s
		case c == '"' && !bare:
			for s != "" && s[0] != '"' {
				if s[0] == '\\' && len(s) > 1 {
					switch {
					case strings.IndexByte("\"\\`$", s[1]) >= 0:
						b.WriteByte(s[1])
					case s[1] != '\n':
						b.WriteString(s[:2])
					}
					s = s[2:]
					continue
				}
				b.WriteByte(s[0])
				s = s[1:]
			}
			s = strings.TrimPrefix(s, `"`)
			keep = b.Len()
			s = strings.TrimLeft(s, " \t")
		case c == '\'' && !bare:
			part, after, _ := strings.Cut(s, "'")
			b.WriteString(part)
			keep = b.Len()
			s = strings.TrimLeft(after, " \t")
		case c == '\\' && s != "":
			if s[0] != '\n' && s[0] != '\r' {
				b.WriteByte(s[0])
			}
			s, bare = s[1:], true
			keep = b.Len()
		default:
			b.WriteByte(c)
			bare = true
		}
	}
	return trim(b.String(), keep), ""
}

func trim(s string, keep int) string { return s[:keep] + strings.TrimRight(s[keep:], " \t") }

func FuzzEncodeEnv(f *testing.F) {
	for _, v := range []string{"", " ", "a b", `a\`, `\"`, "a\nb", "a\\\nb", "$x ${y} `z`", "# no comment", "'", "'\"'", "\r\n", "\x00", "\xff", "é\u202e", "a=b", "\x1b[31m", "\ufffe", "\t"} {
		f.Add("NAME", v, "second")
	}
	f.Add("1X", "a", "b")
	f.Fuzz(func(t *testing.T, name, a, b string) {
		data, err := EncodeEnv([]Var{{name, a}, {"LAST_ONE", b}})
		if err != nil {
			if name == "NAME" && plainText(a) && plainText(b) {
				t.Fatalf("refused %q and %q: %v", a, b, err)
			}
			return
		}
		if diff := cmp.Diff(map[string]string{name: a, "LAST_ONE": b}, parseEnv(string(data))); diff != "" {
			t.Errorf("%q reads back differently (-meant +read):\n%s", data, diff)
		}
	})
}

// plainText is what must never be refused.
func plainText(s string) bool {
	return len(s) < 1000 && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// randomVars makes n variables with values of the kind that go wrong.
func randomVars(seed uint64, n int) []Var {
	r := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"\"", "'", "\\", "$", "`", "\n", "\r", "\t", " ", "#", ";", "=", "%", "%n", "${HOME}", "$HOME", "\x1b", "\x01", "\x7f", "é", "語", "a", "B7", "\\\n", "\\n", "\\x41", "-", "+map"}
	vars := make([]Var, n)
	for i := range vars {
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		vars[i] = Var{Name: "V" + strings.Repeat("x", i%3) + string(rune('A'+i%26)) + strings.Repeat("_", i/26), Value: b.String()}
	}
	return vars
}

func TestEncodeEnvRandom(t *testing.T) {
	t.Parallel()
	vars := randomVars(1, 500)
	data, err := EncodeEnv(vars)
	must(t, err)
	want := map[string]string{}
	for _, v := range vars {
		want[v.Name] = v.Value
	}
	same(t, want, parseEnv(string(data)))
}

func TestEncodeEnvRefuses(t *testing.T) {
	t.Parallel()
	for _, vars := range [][]Var{
		{{"", "a"}}, {{"1A", "a"}}, {{"A B", "a"}}, {{"A", "a\x00b"}}, {{"A", "\xff"}}, {{"A", "\ufdd0"}},
		{{"A", strings.Repeat("x", maxEnvValue+1)}}, {{"A", "1"}, {"A", "2"}},
	} {
		if data, err := EncodeEnv(vars); err == nil {
			t.Errorf("%q was written as %q", vars, data)
		}
	}
}
