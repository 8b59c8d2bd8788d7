package server

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func secretOf(t testing.TB, name SecretName, value string) Secret {
	t.Helper()
	s, err := NewSecret(name, value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCheckCommand(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"status", "say hello; changelevel c1m1_hotel", `sv_password "x"`, "say grüß dich", strings.Repeat("a", MaxCommand)} {
		if err := CheckCommand(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", " ", "say a\nquit", "say a\rquit", "\x00", "say \x1b[2J", "say \xff", "say\x7f", "say\tx", strings.Repeat("a", MaxCommand+1), "topsecret\n"} {
		var e *Error
		if err := CheckCommand(bad); !errors.As(err, &e) || e.Code != CodeInvalidRequest || e.Field != "command" || strings.Contains(e.Detail, "topsecret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRedactCommand(t *testing.T) {
	t.Parallel()
	secrets := []Secret{secretOf(t, SecretRCON, "Stored-1"), secretOf(t, SecretPassword, "ab"), {}}
	got := map[string]string{}
	want := map[string]string{
		"status":                                 "status",
		"say a; changelevel c1m1_hotel":          "say a; changelevel c1m1_hotel",
		"sv_password":                            "sv_password",
		`"sv_password"`:                          `"sv_password"`,
		"sv_password hunter2":                    "sv_password [secret]",
		"SV_Password hunter2":                    "SV_Password [secret]",
		`sv_password "hunter 2;x"; say a`:        "sv_password [secret]; say a",
		`say a;rcon_password x;say b`:            `say a;rcon_password [secret];say b`,
		`"sv_password" "x"`:                      `"sv_password [secret]`,
		"sv_setsteamaccount ABCDEF":              "sv_setsteamaccount [secret]",
		"tv_relaypassword x":                     "tv_relaypassword [secret]",
		"sm_token x":                             "sm_token [secret]",
		"sv_logsecret 123":                       "sv_logsecret [secret]",
		`alias a "sv_password x; say b"`:         `alias a "sv_password [secret]`,
		`alias a "say b; sv_password x"; status`: `alias a "say b; sv_password [secret]; status`,
		`say "open; sv_password x`:               `say "open; sv_password [secret]`,
		"sm_cvar sv_password x":                  "sm_cvar sv_password [secret]",
		"sv_password{x":                          "sv_password [secret]",
		"echo Stored-1":                          "echo [secret]",
		"echo xStored-1x":                        "echo x[secret]x",
		"echo ab absent":                         "echo [secret] absent",
	}
	for command := range want {
		got[command] = RedactCommand(command, secrets...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRedactText(t *testing.T) {
	t.Parallel()
	secrets := []Secret{secretOf(t, SecretRCON, "Stored-1")}
	got := RedactText("\"rcon_password\" = \"Stored-1\" ( def. \"\" )\n\"sv_password\" = \"older\"\nhostname: a Stored-1 b\n\"sv_cheats\" = \"0\"\n", secrets...)
	if diff := cmp.Diff("\"rcon_password\" = \"[secret]\" ( def. \"\" )\n\"sv_password\" = \"[secret]\"\nhostname: a [secret] b\n\"sv_cheats\" = \"0\"\n", got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := RedactCut("and so: Stored", secrets...); got != "and so: [secret]" {
		t.Errorf("cut within a secret: %q", got)
	}
}

func TestSayCommand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                        "",
		"\n;\"":                   "",
		"The server restarts.":    "say The server restarts.",
		`a"; quit; "b`:            "say a quit b",
		"a\nquit":                 "say a quit",
		"a\x1b[2J\u202eb":         "say a[2Jb",
		"see https://example.com": "say see https:/example.com",
		"a////b":                  "say a/b",
		"a\xffb":                  "say a b",
		strings.Repeat("ü", 100):  "say " + strings.Repeat("ü", 60),
	} {
		if got := SayCommand(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// FuzzRedactCommand: no secret that follows its cvar is left, and what is said to
// players is one command.
func FuzzRedactCommand(f *testing.F) {
	for _, s := range []string{"status", `say "a; `, `alias x "`, `a;b"c";`, "//", "\\"} {
		f.Add(s)
	}
	const value = "Stored-1"
	secret := secretOf(f, SecretRCON, value)
	f.Fuzz(func(t *testing.T, around string) {
		for _, command := range []string{around + value + around, around + " sv_password hunter2"} {
			if got := RedactCommand(command, secret); strings.Contains(got, value) || strings.Contains(got, "password hunter2") {
				t.Errorf("%q: %q", command, got)
			}
		}
		if said := SayCommand(around); len(said) > maxSay+4 || strings.ContainsAny(said, "\";\\\n\r\x00") || strings.Contains(said, "//") {
			t.Errorf("%q is said as %q", around, said)
		} else if said != "" {
			if err := CheckCommand(said); err != nil {
				t.Errorf("%q is said as %q: %v", around, said, err)
			}
		}
	})
}
