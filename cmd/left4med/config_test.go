package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "left4med.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"missing file": filepath.Join(t.TempDir(), "none.toml"),
		"empty file":   write(t, ""),
		"as shipped":   "../../deploy/left4med.toml",
	} {
		c, err := readConfig(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(orchestrator.DefaultSettings(), c.settings()); diff != "" {
			t.Errorf("%s: settings (-default +got):\n%s", name, diff)
		}
	}
}

func TestConfigReadsEverySetting(t *testing.T) {
	t.Parallel()
	c, err := readConfig(write(t, `
[resync]
enabled = false
interval = "1m30s"
[jobs]
enabled = false
[start]
settle = "0s"
[resources]
interval = "0s"
[query]
enabled = false
interval = "1m"
[flapping]
restarts = 2
window = "1h"
[heal]
first = "5s"
max = "1m"
limit = 3
window = "2h"
[when_empty]
timeout = "12h"
grace = "1s"
warn = ["30s"]
say = "Soon: %t"
[history]
entries = 2000
days = 7
[series]
enabled = false
days = 30
[servers]
port_min = 28000
port_max = 28010
[install]
check = "0s"
steamcmd = "/opt/steam/steamcmd.sh"
space_gib = 1
[backups]
keep = 3
frozen = "5s"
[log]
level = "debug"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := orchestrator.Settings{
		ResyncInterval: 90 * time.Second,
		FlapRestarts:   2, FlapWindow: time.Hour,
		Heal:           server.HealPolicy{First: 5 * time.Second, Max: time.Minute, Limit: 3, Window: 2 * time.Hour},
		WhenEmpty:      server.EmptyPolicy{Timeout: 12 * time.Hour, Grace: time.Second, Warn: []time.Duration{30 * time.Second}, Say: "Soon: %t"},
		HistoryEntries: 2000, HistoryDays: 7, SeriesDays: 30,
		QueryInterval: time.Minute,
		Ports:         server.PortRange{Low: 28000, High: 28010}, KeepBackups: 3, FrozenAtMost: 5 * time.Second,
		SteamCMD: "/opt/steam/steamcmd.sh", InstallSpace: 1 << 30,
	}
	if diff := cmp.Diff(want, c.settings(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if c.Log.Level != zerolog.DebugLevel {
		t.Errorf("log level %s", c.Log.Level)
	}
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"[resync]\nintervall = \"30s\"":                 "resync.intervall",
		"[resync]\ninterval = \"10ms\"":                 "between 1s and 24h",
		"[resync]\ninterval = 30":                       "interval",
		"[start]\nsettle = \"-1s\"":                     "settle",
		"[query]\ninterval = \"4s\"":                    "between 5s and 10m",
		"[query]\ninterval = \"1h\"":                    "between 5s and 10m",
		"[flapping]\nrestarts = 0":                      "restarts",
		"[flapping]\nwindow = \"200h\"":                 "window",
		"[heal]\nfirst = \"0s\"":                        "first",
		"[heal]\nfirst = \"20m\"":                       "first",
		"[heal]\nmax = \"48h\"":                         "max",
		"[heal]\nlimit = 0":                             "limit",
		"[heal]\nwindow = \"5s\"":                       "window",
		"[when_empty]\ntimeout = \"59s\"":               "[when_empty] timeout",
		"[when_empty]\nwarn = [\"10m\", \"0s\"]":        "[when_empty] warn",
		"[when_empty]\nsay = \"a; quit\"":               "[when_empty] say",
		"[history]\nentries = 5":                        "entries",
		"[history]\ndays = 0":                           "days",
		"[series]\ndays = 0":                            "days",
		"[series]\ndays = 401":                          "days",
		"[servers]\nport_min = 80":                      "port_min",
		"[servers]\nport_min = 28000\nport_max = 27000": "port_max",
		"[servers]\nport_max = 70000":                   "port_max",
		"[install]\ncheck = \"5s\"":                     "check",
		"[install]\nsteamcmd = \"steamcmd\"":            "steamcmd",
		"[install]\nsteamcmd = \"/opt/../bin/sh\"":      "steamcmd",
		"[install]\nspace_gib = -1":                     "space_gib",
		"[backups]\nfrozen = \"10ms\"":                  "frozen",
		"[backups]\nkeep = 0":                           "keep",
		"[log]\nlevel = \"loud\"":                       "level",
		"this is no toml":                               "left4med.toml",
	} {
		if _, err := readConfig(write(t, text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("readConfig(%q) = %v; the error should name %q", text, err, says)
		}
	}
}
