package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func valid() server.Config {
	c := server.DefaultConfig("a")
	c.Port = 27015
	return c
}

func TestDefaultConfigIsValid(t *testing.T) {
	t.Parallel()
	if err := valid().Validate(server.DefaultPorts); err != nil {
		t.Error(err)
	}
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	c := valid()
	c.Map, c.GameMode, c.MaxPlayers, c.Hostname = "c5m5_bridge", "versus", 32, "Größe' [EU] #1 → 8 slots"
	c.Args = []string{"-tickrate", "100", "-nohltv", "+fps_max", "0"}
	c.Overlays = []string{"sourcemod-1.12", "7"}
	c.CVars = map[string]string{"sv_cheats": "0", "z_difficulty": "Expert", "mp_disable_autokick": "1", "director_no_death_check": ""}
	c.Heal = server.HealAlways
	c.MemoryMax, c.CPUWeight, c.CPUs = 256<<20, 10000, "0-3,7"
	if err := c.Validate(server.DefaultPorts); err != nil {
		t.Error(err)
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10<<10)
	tests := map[string]struct {
		field  string
		change func(*server.Config)
	}{
		"port zero":           {"config.port", func(c *server.Config) { c.Port = 0 }},
		"port outside":        {"config.port", func(c *server.Config) { c.Port = 80 }},
		"map empty":           {"config.map", func(c *server.Config) { c.Map = "" }},
		"map with a command":  {"config.map", func(c *server.Config) { c.Map = "a;quit" }},
		"map as an option":    {"config.map", func(c *server.Config) { c.Map = "-gdb" }},
		"map long":            {"config.map", func(c *server.Config) { c.Map = long }},
		"mode with a quote":   {"config.gamemode", func(c *server.Config) { c.GameMode = `coop"` }},
		"no slots":            {"config.max_players", func(c *server.Config) { c.MaxPlayers = 0 }},
		"too many slots":      {"config.max_players", func(c *server.Config) { c.MaxPlayers = 1 << 30 }},
		"hostname empty":      {"config.hostname", func(c *server.Config) { c.Hostname = "" }},
		"hostname quote":      {"config.hostname", func(c *server.Config) { c.Hostname = `a" ; quit "` }},
		"hostname newline":    {"config.hostname", func(c *server.Config) { c.Hostname = "a\nrcon_password x" }},
		"hostname escape":     {"config.hostname", func(c *server.Config) { c.Hostname = "\x1b[2J" }},
		"hostname long":       {"config.hostname", func(c *server.Config) { c.Hostname = long }},
		"hostname not UTF-8":  {"config.hostname", func(c *server.Config) { c.Hostname = "\xff" }},
		"heal":                {"config.heal", func(c *server.Config) { c.Heal = "sometimes" }},
		"arg that runs":       {"config.args", func(c *server.Config) { c.Args = []string{"-binary", "/bin/sh"} }},
		"arg gdb":             {"config.args", func(c *server.Config) { c.Args = []string{"-gdb"} }},
		"arg pidfile":         {"config.args", func(c *server.Config) { c.Args = []string{"-pidfile", "/etc/passwd"} }},
		"arg autoupdate":      {"config.args", func(c *server.Config) { c.Args = []string{"-autoupdate"} }},
		"arg exec":            {"config.args", func(c *server.Config) { c.Args = []string{"+exec", "x.cfg"} }},
		"arg ip":              {"config.args", func(c *server.Config) { c.Args = []string{"+ip", "1.2.3.4"} }},
		"arg without number":  {"config.args", func(c *server.Config) { c.Args = []string{"-tickrate"} }},
		"arg number is words": {"config.args", func(c *server.Config) { c.Args = []string{"-tickrate", "$(reboot)"} }},
		"arg with space":      {"config.args", func(c *server.Config) { c.Args = []string{"-nohltv -gdb"} }},
		"overlay up":          {"config.overlays", func(c *server.Config) { c.Overlays = []string{".."} }},
		"overlay path":        {"config.overlays", func(c *server.Config) { c.Overlays = []string{"a/b"} }},
		"overlay colon":       {"config.overlays", func(c *server.Config) { c.Overlays = []string{"a:b"} }},
		"overlay twice":       {"config.overlays", func(c *server.Config) { c.Overlays = []string{"a", "a"} }},
		"overlay empty":       {"config.overlays", func(c *server.Config) { c.Overlays = []string{""} }},
		"cvar rcon":           {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"rcon_password": "x"} }},
		"cvar password":       {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"SV_Password": "x"} }},
		"cvar gslt":           {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"sv_setsteamaccount": "x"} }},
		"cvar command":        {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"exec": "x"} }},
		"cvar shutdown":       {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"sv_shutdown": ""} }},
		"cvar hostname":       {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"hostname": "x"} }},
		"cvar newline":        {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"sv_cheats": "1\nquit"} }},
		"cvar semicolon":      {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"sv_cheats": "1;quit"} }},
		"cvar name injection": {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"sv_a;quit": "1"} }},
		"memory low":          {"config.memory_max", func(c *server.Config) { c.MemoryMax = 256<<20 - 1 }},
		"weight high":         {"config.cpu_weight", func(c *server.Config) { c.CPUWeight = 10001 }},
		"cpus of words":       {"config.cpus", func(c *server.Config) { c.CPUs = "all" }},
		"cpus backwards":      {"config.cpus", func(c *server.Config) { c.CPUs = "3-1" }},
		"cpus huge":           {"config.cpus", func(c *server.Config) { c.CPUs = "0-99999999999" }},
		"cpus newline":        {"config.cpus", func(c *server.Config) { c.CPUs = "0\n1" }},
		"cpus space":          {"config.cpus", func(c *server.Config) { c.CPUs = "0 1" }},
		"cpus long":           {"config.cpus", func(c *server.Config) { c.CPUs = long }},
		"cvar long":           {"config.cvars", func(c *server.Config) { c.CVars = map[string]string{"sv_tags": long} }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := valid()
			tt.change(&c)
			err := c.Validate(server.DefaultPorts)
			var e *server.Error
			if !errors.As(err, &e) {
				t.Fatalf("Validate = %v, want an error of the domain", err)
			}
			if e.Field != tt.field || e.Code != server.CodeInvalidRequest {
				t.Errorf("field %q, code %q; want %q, %q", e.Field, e.Code, tt.field, server.CodeInvalidRequest)
			}
			if server.Visible(e.Detail) != e.Detail || len(e.Detail) > 1000 {
				t.Errorf("the detail is not fit to show: %.200q", e.Detail)
			}
		})
	}
}

func TestPatch(t *testing.T) {
	t.Parallel()
	before := valid()
	before.CVars["sv_cheats"] = "1"
	mode, args := "versus", []string{"-nohltv"}
	got := server.ConfigPatch{GameMode: &mode, Args: &args}.Apply(before)
	want := valid()
	want.GameMode, want.Args, want.CVars = "versus", []string{"-nohltv"}, map[string]string{"sv_cheats": "1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("patched (-want +got):\n%s", diff)
	}
	got.CVars["sv_cheats"], args[0] = "0", "-gdb"
	if before.CVars["sv_cheats"] != "1" || got.Args[0] != "-nohltv" {
		t.Error("the patched settings share memory with what they were made of")
	}
	if !want.Equal(want.Clone()) || want.Equal(before) {
		t.Error("Equal does not tell settings apart")
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	before := valid()
	after := before.Clone()
	if got := before.Changes(after); got != "" {
		t.Errorf("changes of nothing: %q", got)
	}
	after.Map, after.Heal, after.MaxPlayers = "c9m1_alleys", server.HealAlways, 3
	after.CVars["sv_gravity"], after.Args, after.Overlays = "a value that is not told", []string{"-x"}, []string{"y"}
	after.MemoryMax, after.CPUWeight, after.CPUs = 1<<30, 50, "0"
	want := fmt.Sprintf("map %s -> c9m1_alleys, max_players %d -> 3, args, overlays, cvars, heal %s -> always, memory_max 0 -> 1073741824, cpu_weight 0 -> 50, cpus \"\" -> \"0\"", before.Map, before.MaxPlayers, before.Heal)
	if diff := cmp.Diff(want, before.Changes(after)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLowestPort(t *testing.T) {
	t.Parallel()
	r := server.PortRange{Low: 27000, High: 27002}
	taken := map[uint16]bool{27000: true}
	if p, ok := r.Lowest(func(p uint16) bool { return taken[p] }); p != 27001 || !ok {
		t.Errorf("Lowest = %d, %v", p, ok)
	}
	if _, ok := r.Lowest(func(uint16) bool { return true }); ok {
		t.Error("a full range has a free port")
	}
}
