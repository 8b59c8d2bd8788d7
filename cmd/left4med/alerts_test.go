package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestAlertSettings(t *testing.T) {
	t.Parallel()
	c, err := readConfig(write(t, `
[[alerts]]
name = "ops"
url = "https://hooks.example.net/T0KEN"
[[alerts]]
name = "night"
on = ["down", "recovered"]
url = "http://192.0.2.1/T0KEN"
format = "discord"
servers = ["versus-*"]
after = "1m"
allow_http = true
allow_private = true
units = ["notify-me@%i.service"]
`))
	if err != nil {
		t.Fatal(err)
	}
	address := func(s string) server.Secret {
		secret, err := server.NewWebhook(s)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	want := []server.AlertRule{
		{Name: "ops", On: server.AlertEvents(), URL: address("https://hooks.example.net/T0KEN"), Format: server.FormatJSON},
		{
			Name: "night", On: []server.AlertEvent{server.AlertDown, server.AlertRecovered}, URL: address("http://192.0.2.1/T0KEN"),
			Format: server.FormatDiscord, Servers: []string{"versus-*"}, After: time.Minute, AllowHTTP: true, AllowPrivate: true,
			Units: []string{"notify-me@%i.service"},
		},
	}
	if diff := cmp.Diff(want, c.settings().Alerts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is wrong is said with the entry's name, and never with an address.
func TestAlertSettingsRefused(t *testing.T) {
	t.Parallel()
	const good = "[[alerts]]\nname = \"ops\"\nurl = \"https://h/T0KEN\"\n"
	for text, says := range map[string]string{
		good + "urll = \"https://h/T0KEN\"":                                         "alerts.urll",
		good + "on = [\"up\"]":                                                      `number 1 ("ops"): on`,
		good + "on = \"down\"":                                                      "alerts.on",
		good + "after = \"2h\"":                                                     "after",
		good + "after = \"soon\"":                                                   "after",
		good + good:                                                                 `number 2 ("ops"): name is that of number 1`,
		good + "units = [\"left4me-server@%i.service\"]":                            "units",
		"[[alerts]]\nurl = \"https://h/T0KEN\"":                                     "number 1",
		"[[alerts]]\nname = \"ops\"":                                                "neither url nor units",
		"[[alerts]]\nname = \"ops\"\nurl = \"http://h/T0KEN\"":                      "allow_http",
		"[[alerts]]\nname = \"ops\"\nurl = \"https://h/ T0KEN\"":                    "url",
		"[[alerts]]\nname = \"ops\"\nurl = \"https://h/T0KEN":                       "left4med.toml",
		"[[alerts]]\nname = \"ops\"\nurl = https://h/T0KEN":                         "left4med.toml",
		"[[alerts]]\nname = \"ops\"\nurl = \"https://h/\\T0KEN\"":                   "left4med.toml",
		"[[alerts]]\nname = \"ops\"\nurl = [\"https://h/T0KEN\"]":                   "url",
		"[[alerts]]\nname = \"ops\"\nafter = \"https://h/T0KEN\"":                   "after",
		"[alerts]\nname = \"ops\"\nurl = \"https://h/T0KEN\"":                       "alerts",
		strings.Repeat("[[alerts]]\nname = \"ops\"\nunits = [\"a.service\"]\n", 33): "32 at most",
	} {
		_, err := readConfig(write(t, text))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("readConfig(%q) = %v; the error should name %q", text, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("readConfig(%q) gives the address away: %v", text, err)
		}
	}
}

func TestSettingsAreRootsAlone(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to own a file as root and as others")
	}
	path := filepath.Join(t.TempDir(), "left4med.toml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for name, c := range map[string]struct {
		mode     os.FileMode
		uid, gid int
	}{
		"0600": {0o600, 0, 0}, "0640": {0o640, 0, 0}, "0640 of a group": {0o640, 0, 27}, "0604": {0o604, 0, 0}, "0600 of a user": {0o600, 1000, 0},
	} {
		if err := os.Chown(path, c.uid, c.gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		got[name] = checkSettings(path)(t.Context()).OK
	}
	want := map[string]bool{"0600": true, "0640": true, "0640 of a group": false, "0604": false, "0600 of a user": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
