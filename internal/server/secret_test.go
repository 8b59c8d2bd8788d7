package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestSecretNames(t *testing.T) {
	t.Parallel()
	got := map[server.SecretName]string{}
	for _, name := range server.SecretNames() {
		parsed, err := server.ParseSecretName(string(name))
		if err != nil || parsed != name {
			t.Errorf("%s is parsed as %s, %v", name, parsed, err)
		}
		got[name] = name.CVar()
	}
	want := map[server.SecretName]string{"rcon": "rcon_password", "password": "sv_password", "gslt": "sv_setsteamaccount"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"", "RCON", "rcon_password", "rcon/../gslt", "rcon\x1b"} {
		if _, err := server.ParseSecretName(name); !errors.Is(err, &server.Error{Code: server.CodeNotFound}) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// signs are all that a secret may hold.
const signs = "!#$%&()*+,-./0123456789:<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"

func TestNewSecret(t *testing.T) {
	t.Parallel()
	const (
		unclean = "the secret %s: it must be letters, digits and signs of ASCII, without spaces, quotation marks, backslashes and semicolons: the game's configuration cannot express others"
		short   = "the secret %s: it is too short: at least 8 characters are needed"
		long    = "the secret %s: it is too long: at most 64 characters are possible"
		noToken = "the secret %s: it is not what Steam gives out as a login token, 32 digits and letters from A to F"
		open    = "the secret %s: it means to the game that there is no password"
	)
	token := strings.Repeat("0aF9", 8)
	for _, tt := range []struct {
		name  server.SecretName
		value string
		why   string // "": it is good
	}{
		{"rcon", "", ""}, {"rcon", "12345678", ""}, {"rcon", signs[:64], ""}, {"rcon", signs[len(signs)-64:], ""},
		{"rcon", "1234567", short}, {"rcon", strings.Repeat("x", 65), long}, {"rcon", strings.Repeat("x", 1<<20), long},
		{"rcon", "1234 5678", unclean}, {"rcon", "12345678\n", unclean}, {"rcon", "12345678\x00", unclean}, {"rcon", "pässwörter", unclean},
		{"rcon", `12345678"`, unclean}, {"rcon", "12345678'", unclean}, {"rcon", `12345678\`, unclean}, {"rcon", "12345678;quit", unclean},
		{"rcon", "12345678\xff", unclean}, {"rcon", "12345678\x7f", unclean}, {"rcon", "12345678\t", unclean},
		{"password", "", ""}, {"password", "a", ""}, {"password", strings.Repeat("x", 64), ""}, {"password", "none1", ""},
		{"password", strings.Repeat("x", 65), long}, {"password", "a b", unclean}, {"password", "None", open}, {"password", "none", open},
		{"gslt", "", ""}, {"gslt", token, ""}, {"gslt", strings.ToUpper(token), ""},
		{"gslt", token[1:], noToken}, {"gslt", token + "0", noToken}, {"gslt", token + "\n", noToken}, {"gslt", "G" + token[1:], noToken},
	} {
		s, err := server.NewSecret(tt.name, tt.value)
		if tt.why == "" {
			if err != nil || s.Reveal() != tt.value || s.IsSet() != (tt.value != "") {
				t.Errorf("%s %q: %q, %v", tt.name, tt.value, s.Reveal(), err)
			}
			continue
		}
		want := &server.Error{Code: server.CodeInvalidRequest, Field: "value", Detail: "this value cannot be " + fmt.Sprintf(tt.why, tt.name)}
		if diff := cmp.Diff(error(want), err); diff != "" || s.IsSet() {
			t.Errorf("%s %q:\n%s", tt.name, tt.value, diff)
		}
	}
}

func TestRandomSecret(t *testing.T) {
	t.Parallel()
	seen, letters := map[string]bool{}, map[rune]bool{}
	for range 1000 {
		s := server.RandomSecret().Reveal()
		if !regexp.MustCompile(`^[A-Za-z0-9]{32}$`).MatchString(s) || seen[s] {
			t.Fatalf("got %q", s)
		}
		if _, err := server.NewSecret(server.SecretRCON, s); err != nil {
			t.Error(err)
		}
		seen[s] = true
		for _, r := range s {
			letters[r] = true
		}
	}
	if len(letters) != 62 {
		t.Errorf("%d letters only", len(letters))
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	s, err := server.NewSecret(server.SecretRCON, "hunter2hunter2")
	if err != nil {
		t.Fatal(err)
	}
	type nested struct {
		hidden server.Secret
		Shown  server.Secret
		Map    map[string]server.Secret
		Any    any
	}
	n := nested{s, s, map[string]server.Secret{"a": s}, &s}
	for _, v := range []any{s, &s, n, &n, []server.Secret{s}, map[server.Secret]int{s: 1}, fmt.Errorf("cannot: %v", s)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, "hunter2") || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%s of %T shows it: %s", verb, v, text)
			}
		}
	}
	b, err := json.Marshal(n)
	if want := `{"Shown":"[secret]","Map":{"a":"[secret]"},"Any":"[secret]"}`; err != nil || string(b) != want {
		t.Errorf("JSON: %s, %v", b, err)
	}
	if got := fmt.Sprintf("%v %#v %s", s, s, s.String()); got != "[secret] [secret] [secret]" {
		t.Error(got)
	}
	if !s.Equal(s) || s.Equal(server.Secret{}) || !(server.Secret{}).Equal(server.Secret{}) {
		t.Error("secrets are compared wrongly")
	}
}

// What is refused among the settings says where it belongs, and repeats no value.
func TestSettingsRefuseSecrets(t *testing.T) {
	t.Parallel()
	const why = "must not stand among the settings, which can be read"
	other := "passwords and tokens are secrets and " + why + "; those of RCON, for joining and of Steam have a place of their own: `l4d2ctl initialize NAME --secret rcon`, password or gslt"
	own := func(cvar, name string) string {
		return cvar + " is a secret and " + why + "; set it with `l4d2ctl initialize NAME --secret " + name + "`"
	}
	for cvar, detail := range map[string]string{
		"rcon_password": own("rcon_password", "rcon"), "SV_Password": own("sv_password", "password"),
		"sv_setsteamaccount": own("sv_setsteamaccount", "gslt"), "tv_password": other, "sv_downloadtoken": other,
	} {
		for field, change := range map[string]func(*server.Config){
			"config.cvars": func(c *server.Config) { c.CVars = map[string]string{cvar: "hunter2"} },
			"config.args":  func(c *server.Config) { c.Args = []string{"+" + cvar, "hunter2"} },
		} {
			c := valid()
			change(&c)
			want := &server.Error{Code: server.CodeInvalidRequest, Field: field, Detail: detail}
			if diff := cmp.Diff(error(want), c.Validate(server.DefaultPorts)); diff != "" {
				t.Errorf("%s in %s:\n%s", cvar, field, diff)
			}
		}
	}
	c := valid()
	c.Args = []string{"+sv_password=hunter2"}
	if err := c.Validate(server.DefaultPorts); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// Whatever is sent, an error is one of few texts, none of which repeats it.
func FuzzNewSecret(f *testing.F) {
	for _, v := range []string{"", "a", "none", `"`, "a;b", "a\nb", "\xff", strings.Repeat("0", 32), strings.Repeat("x", 65), "//comment", "$x", "%s"} {
		f.Add(v)
	}
	known := map[string]bool{}
	for _, name := range server.SecretNames() {
		for _, v := range []string{"short", strings.Repeat("x", 65), "with space", "none"} {
			if _, err := server.NewSecret(name, v); err != nil {
				known[err.Error()] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range server.SecretNames() {
			s, err := server.NewSecret(name, value)
			switch {
			case err != nil && !known[err.Error()]:
				t.Errorf("the error is %q", err)
			case err == nil && s.Reveal() != value:
				t.Errorf("%q became %q", value, s.Reveal())
			case err == nil && strings.Trim(value, signs) != "":
				t.Errorf("%q was taken", value)
			}
		}
	})
}
