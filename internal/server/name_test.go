package server_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	good := []string{"a", "0", "versus-1", "a_b", strings.Repeat("x", server.MaxNameLen)}
	for _, s := range good {
		n, err := server.ParseName(s)
		if err != nil || string(n) != s {
			t.Errorf("ParseName(%q) = %q, %v", s, n, err)
		}
	}
	bad := []string{"", "..", ".", "-a", "_a", "A", "a@b", "a.service", "a/b", "a b", "ä", "a\n", "a\x00",
		strings.Repeat("x", server.MaxNameLen+1), strings.Repeat("y", 10<<10)}
	for _, s := range bad {
		_, err := server.ParseName(s)
		if !errors.Is(err, &server.Error{Code: server.CodeInvalidName}) {
			t.Errorf("ParseName(%.30q) = %v, want %s", s, err, server.CodeInvalidName)
		} else if len(err.Error()) > 300 {
			t.Errorf("ParseName(%.30q) echoes %d bytes", s, len(err.Error()))
		}
	}
}

func TestUnitNames(t *testing.T) {
	t.Parallel()
	if got := server.Name("a-1").Unit(); got != "left4me-server@a-1.service" {
		t.Errorf("Unit() = %q", got)
	}
	for unit, want := range map[string]string{
		"left4me-server@a-1.service":   "a-1",
		"left4me-server@Foo_1.service": "Foo_1",
		"left4me-server@.service":      "",
		"left4me-overlay@a.service":    "",
		"ssh.service":                  "",
	} {
		got, ok := server.Instance(unit)
		if ok != (want != "") || ok && got != want {
			t.Errorf("Instance(%q) = %q, %v", unit, got, ok)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"a", "", "..", "versus-1", "A", "é", strings.Repeat("a", 25)} {
		f.Add(s)
	}
	rule := regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,23}$`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := server.ParseName(s)
		if ok := rule.MatchString(s) && !strings.HasSuffix(s, "\n"); ok != (err == nil) {
			t.Fatalf("ParseName(%q) = %v, the rule says %v", s, err, ok)
		}
		if err != nil {
			if server.Visible(err.Error()) != err.Error() {
				t.Fatalf("the error is not safe to show: %q", err)
			}
			return
		}
		for _, unit := range []string{n.OverlayUnit(), n.UpperUnit(), n.ClearUnit(), n.AdoptUnit(), n.BackupUnit(), n.VerifyUnit(), n.RestoreUnit(), n.MountUnit()} {
			if !server.Helper(unit) {
				t.Fatalf("%s is not told to be a helper of %q", unit, s)
			}
		}
		if got, ok := server.Instance(n.Unit()); !ok || got != s {
			t.Fatalf("Instance(Unit(%q)) = %q, %v", s, got, ok)
		}
	})
}

func TestHelper(t *testing.T) {
	t.Parallel()
	want := map[string]bool{
		`var-lib-left4me-runtime-versus\x2d1-merged.mount`: true, "var-lib-left4me-runtime-a_b-merged.mount": true,
		"left4me-adopt@a.service": true, "left4me-server@a.service": false, "left4me-adopt@A.service": false,
		"var-lib-left4me-runtime-versus-1-merged.mount": false, "var-lib-left4me-runtime-a.mount": false,
		"var-lib-left4me-runtime-.mount": false, "var-lib-left4me-runtime-A-merged.mount": false,
		"var-lib-left4me.mount": false, "-.mount": false,
	}
	got := map[string]bool{}
	for unit := range want {
		got[unit] = server.Helper(unit)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := server.Name("versus-1").MountUnit(); got != `var-lib-left4me-runtime-versus\x2d1-merged.mount` {
		t.Error(got)
	}
}

func TestVisible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain text\tand a tab":     "plain text\tand a tab",
		"Größe → 漢字":                "Größe → 漢字",
		"\x1b[31mred\x1b[0m":        `\x1b[31mred\x1b[0m`,
		"a\nb\r":                    `a\x0ab\x0d`,
		"bad \xff\xfe":              `bad \xff\xfe`,
		"over\u202eride":            `over\u{202e}ride`,
		"zero\u200bwidth":           `zero\u{200b}width`,
		"c1 \u009b31m":              `c1 \u{009b}31m`,
		"line\u2028sep":             `line\u{2028}sep`,
		"del\x7f":                   `del\x7f`,
		"a real \ufffd replacement": "a real \ufffd replacement",
	} {
		if got := server.Visible(in); got != want {
			t.Errorf("Visible(%q) = %q, want %q", in, got, want)
		}
	}
	if got, want := server.Quote("äbcdef\n", 3), `"äbc…"`; got != want {
		t.Errorf("Quote = %s, want %s", got, want)
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("a\x1b[2J\xff")
	f.Fuzz(func(t *testing.T, s string) {
		v := server.Visible(s)
		if strings.ContainsAny(v, "\x1b\n\r\x00\x7f\u202e\u200b") || strings.ToValidUTF8(v, "") != v {
			t.Fatalf("Visible(%q) = %q is not safe to show", s, v)
		}
		if server.Visible(v) != v {
			t.Fatalf("Visible is not stable for %q", s)
		}
	})
}

func TestParseUnit(t *testing.T) {
	t.Parallel()
	for _, instance := range []string{"a-1", "Foo_1", `no\x20name`, "a:b.c@d", strings.Repeat("x", 232)} {
		got, err := server.ParseUnit(server.Name(instance).Unit())
		if err != nil || got != instance {
			t.Errorf("ParseUnit of %q = %q, %v", instance, got, err)
		}
	}
	for _, unit := range []string{
		"", "ssh.service", "left4me-server@.service", "left4me-server@a.socket", "left4me-server@a b.service",
		"left4me-server@*.service", "left4me-server@../a.service", "left4me-server@é.service",
		server.Name(strings.Repeat("x", 233)).Unit(),
	} {
		_, err := server.ParseUnit(unit)
		if !errors.Is(err, &server.Error{Code: server.CodeInvalidName}) {
			t.Errorf("ParseUnit(%.40q) = %v, want %s", unit, err, server.CodeInvalidName)
		}
	}
}

// Whatever a directory is called, it stands for a unit that systemd could have,
// and no two for the same unless one is spelt as the other's escape.
func FuzzInstanceOf(f *testing.F) {
	for _, s := range []string{"a", "no name", "Foo_1", `a\x20b`, "ä", "\xff", "a/b", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dir string) {
		instance := server.InstanceOf(dir)
		if dir == "" || len(instance) > 200 {
			return
		}
		got, err := server.ParseUnit(server.Name(instance).Unit())
		if err != nil || got != instance {
			t.Fatalf("InstanceOf(%q) = %q, whose unit is %q, %v", dir, instance, got, err)
		}
		if server.InstanceOf(instance) != instance {
			t.Fatalf("InstanceOf(%q) = %q is escaped twice", dir, instance)
		}
	})
}
