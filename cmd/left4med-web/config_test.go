package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sameConfig compares all of a config but what check makes of it.
func sameConfig(want, got config) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(config{}))
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"missing file": filepath.Join(t.TempDir(), "none.toml"),
		"empty file":   write(t, ""),
		"as shipped":   "../../deploy/web.toml",
	} {
		c, err := readConfig(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := sameConfig(defaultConfig(), c); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		want := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		if diff := cmp.Diff(want, c.proxies, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s: proxies (-want +got):\n%s", name, diff)
		}
	}
}

// What the shipped file shows as the defaults are the defaults.
func TestShippedSettingsAreTheDefaults(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/web.toml")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for line := range strings.Lines(string(text)) {
		if setting, ok := strings.CutPrefix(line, "#"); ok && strings.Contains(setting, " = ") && setting[0] != ' ' {
			line = setting
		}
		shown.WriteString(line)
	}
	c, err := readConfig(write(t, shown.String()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := sameConfig(defaultConfig(), c); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestConfigReadsEverySetting(t *testing.T) {
	t.Parallel()
	c, err := readConfig(write(t, `
[http]
listen = "[::]:80"
trusted_proxies = ["10.1.2.3", "fd00::/8"]
[session]
idle = "1h"
max = "2h"
[metrics]
token = "0123456789abcdef"
[left4med]
socket = "/tmp/l.sock"
[log]
level = "debug"
`))
	if err != nil {
		t.Fatal(err)
	}
	var want config
	want.HTTP.Listen, want.HTTP.TrustedProxies = "[::]:80", []string{"10.1.2.3", "fd00::/8"}
	want.Session.Idle.Duration, want.Session.Max.Duration = time.Hour, 2*time.Hour
	want.Metrics.Token, want.Left4med.Socket, want.Log.Level = "0123456789abcdef", "/tmp/l.sock", zerolog.DebugLevel
	if diff := sameConfig(want, c); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"[http]\nlisten = \"8000\"":                               "listen",
		"[http]\nlisten = \"localhost:8000\"":                     "listen",
		"[http]\nlisten = \"127.0.0.1:http\"":                     "listen",
		"[http]\nlisten = \"127.0.0.1:70000\"":                    "listen",
		"[http]\ntrusted_proxies = [\"proxy\"]":                   "trusted_proxies",
		"[session]\nidle = \"5s\"":                                "idle",
		"[session]\nidle = \"800h\"":                              "idle",
		"[session]\nmax = \"9000h\"":                              "max",
		"[metrics]\ntoken = \"geheim\"":                           "token",
		"[metrics]\ntoken = \"geheim geheim geheim\"":             "token",
		"[metrics]\ntoken = \"geheim-geheim-geheim\nx":            "web.toml(5)",
		"[left4med]\nsocket = \"left4med.sock\"":                  "socket",
		"[http]\nport = 80":                                       "http.port",
		"[log]\nlevel = \"loud\"":                                 "level",
		"[metrics]\ntoken = \"" + strings.Repeat("x", 257) + "\"": "token",
	} {
		_, err := readConfig(write(t, text))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("readConfig(%q) = %v; the error should name %q", text, err, says)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("the error repeats a secret: %v", err)
		}
	}
}
