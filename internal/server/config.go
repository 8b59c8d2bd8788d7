package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Config is what an operator sets for a server. It applies at the next
// start, but for the limits, which apply at once.
type Config struct {
	Port       uint16            `json:"port" doc:"The game's UDP and RCON port; when left out of a new server, the lowest free one of the range."`
	Map        string            `json:"map" doc:"The first map."`
	GameMode   string            `json:"gamemode" doc:"mp_gamemode, for instance coop or versus."`
	MaxPlayers int               `json:"max_players" doc:"Player slots, 1 to 32."`
	Hostname   string            `json:"hostname" doc:"The name players see; the server's name when left out."`
	Args       []string          `json:"args" doc:"Further srcds arguments, from an allow-list."`
	Overlays   []string          `json:"overlays" doc:"Directories below overlays/, the topmost first."`
	CVars      map[string]string `json:"cvars" doc:"Console variables, written to server.cfg."`
	Heal       Heal              `json:"heal" enum:"off,failed,always" doc:"When left4med starts the server again by itself: failed, once systemd has given it up; always, also after it ended or was stopped while enabled."`

	MemoryMax uint64 `json:"memory_max,omitempty" doc:"The most memory the game may have, in bytes, in force at once; left out for the unit's own, 2 GiB."`
	CPUWeight uint64 `json:"cpu_weight,omitempty" doc:"Its share of busy processors against other servers, 1 to 10000, in force at once; left out for systemd's own, 100."`
	CPUs      string `json:"cpus,omitempty" doc:"The only processors it may run on, as 0-1,3, in force at once; left out for all."`
}

// Heal is the operator's wish for what happens after systemd gave up.
type Heal string

// The wishes.
const (
	HealOff    Heal = "off"
	HealFailed Heal = "failed"
	HealAlways Heal = "always"
)

// ConfigPatch is a change of some settings: what is nil stays. Args, Overlays
// and CVars are replaced whole.
type ConfigPatch struct {
	Port       *uint16            `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"The game's UDP and RCON port; the lowest free one of the range when a new server leaves it out."`
	Map        *string            `json:"map,omitempty" doc:"The first map. Default c1m1_hotel."`
	GameMode   *string            `json:"gamemode,omitempty" doc:"mp_gamemode, for instance coop or versus. Default coop."`
	MaxPlayers *int               `json:"max_players,omitempty" doc:"Player slots, 1 to 32. Default 8."`
	Hostname   *string            `json:"hostname,omitempty" doc:"The name players see. Default: the server's name."`
	Args       *[]string          `json:"args,omitempty" doc:"Further srcds arguments, from an allow-list; replaces all."`
	Overlays   *[]string          `json:"overlays,omitempty" doc:"Directories below overlays/, the topmost first; replaces all."`
	CVars      *map[string]string `json:"cvars,omitempty" doc:"Console variables, written to server.cfg; replaces all."`
	Heal       *Heal              `json:"heal,omitempty" enum:"off,failed,always" doc:"When left4med starts the server again by itself: failed, once systemd has given it up; always, also after it ended or was stopped while enabled. Default off."`

	MemoryMax *uint64 `json:"memory_max,omitempty" doc:"The most memory the game may have, in bytes, at least 256 MiB; 0 for the default, 2 GiB. In force at once."`
	CPUWeight *uint64 `json:"cpu_weight,omitempty" doc:"Its share of busy processors against other servers, 1 to 10000; 0 for the default, 100. In force at once."`
	CPUs      *string `json:"cpus,omitempty" doc:"The only processors it may run on, as 0-1,3; empty for all. In force at once."`
}

// DefaultConfig is the configuration of a new server before its patch, without
// a port.
func DefaultConfig(name Name) Config {
	return Config{
		Map: "c1m1_hotel", GameMode: "coop", MaxPlayers: 8, Hostname: string(name),
		Args: []string{}, Overlays: []string{}, CVars: map[string]string{}, Heal: HealOff,
	}
}

// Apply returns c with the patch applied. It does not validate.
func (p ConfigPatch) Apply(c Config) Config {
	set(&c.Port, p.Port)
	set(&c.Map, p.Map)
	set(&c.GameMode, p.GameMode)
	set(&c.MaxPlayers, p.MaxPlayers)
	set(&c.Hostname, p.Hostname)
	set(&c.Heal, p.Heal)
	set(&c.Args, p.Args)
	set(&c.Overlays, p.Overlays)
	set(&c.CVars, p.CVars)
	set(&c.MemoryMax, p.MemoryMax)
	set(&c.CPUWeight, p.CPUWeight)
	set(&c.CPUs, p.CPUs)
	return c.Clone()
}

func set[T any](dst *T, src *T) {
	if src != nil {
		*dst = *src
	}
}

// Clone returns a copy that shares nothing with c and has no nil collection.
func (c Config) Clone() Config {
	c.Args = append([]string{}, c.Args...)
	c.Overlays = append([]string{}, c.Overlays...)
	m := make(map[string]string, len(c.CVars))
	maps.Copy(m, c.CVars)
	c.CVars = m
	return c
}

// Equal says whether both mean the same.
func (c Config) Equal(d Config) bool {
	return c.Port == d.Port && c.Map == d.Map && c.GameMode == d.GameMode && c.MaxPlayers == d.MaxPlayers &&
		c.Hostname == d.Hostname && c.Heal == d.Heal &&
		c.SameLimits(d) &&
		slices.Equal(c.Args, d.Args) && slices.Equal(c.Overlays, d.Overlays) && maps.Equal(c.CVars, d.CVars)
}

// Changes names the settings in which d differs from c, with both values where
// they are short: "map c1m1_hotel -> c2m1_highway, cvars". It is empty when both
// mean the same.
func (c Config) Changes(d Config) string {
	var names []string
	value := func(name string, from, to any) {
		if from != to {
			names = append(names, fmt.Sprintf("%s %v -> %v", name, from, to))
		}
	}
	list := func(name string, same bool) {
		if !same {
			names = append(names, name)
		}
	}
	value("port", c.Port, d.Port)
	value("map", c.Map, d.Map)
	value("gamemode", c.GameMode, d.GameMode)
	value("max_players", c.MaxPlayers, d.MaxPlayers)
	value("hostname", c.Hostname, d.Hostname)
	list("args", slices.Equal(c.Args, d.Args))
	list("overlays", slices.Equal(c.Overlays, d.Overlays))
	list("cvars", maps.Equal(c.CVars, d.CVars))
	value("heal", c.Heal, d.Heal)
	value("memory_max", c.MemoryMax, d.MemoryMax)
	value("cpu_weight", c.CPUWeight, d.CPUWeight)
	value("cpus", fmt.Sprintf("%q", c.CPUs), fmt.Sprintf("%q", d.CPUs))
	return strings.Join(names, ", ")
}

// PortRange is the range of ports that servers may have, both ends included.
type PortRange struct{ Low, High uint16 }

// DefaultPorts is the range in which srcds and its clients are at home.
var DefaultPorts = PortRange{Low: 27000, High: 27999}

// Contains says whether p lies in the range.
func (r PortRange) Contains(p uint16) bool { return p >= r.Low && p <= r.High }

// Lowest returns the lowest port of the range that taken does not claim.
func (r PortRange) Lowest(taken func(uint16) bool) (uint16, bool) {
	for p := int(r.Low); p <= int(r.High); p++ {
		if !taken(uint16(p)) {
			return uint16(p), true
		}
	}
	return 0, false
}

// Limits of settings.
const (
	maxHostname = 96 // bytes
	maxValue    = 255
	maxEntries  = 128 // cvars, args
	maxOverlays = 64
	maxPlayers  = 32
)

// Validate checks every setting. The error is an *Error that names the field.
func (c Config) Validate(ports PortRange) error {
	switch {
	case !ports.Contains(c.Port):
		return fieldError("config.port", "the port %d lies outside the range %d to %d", c.Port, ports.Low, ports.High)
	case !word(c.Map, 64):
		return fieldError("config.map", "%s is no map name: 1 to 64 letters, digits, '_' and '-'", Quote(c.Map, 70))
	case !word(c.GameMode, 32):
		return fieldError("config.gamemode", "%s is no game mode: 1 to 32 letters, digits, '_' and '-'", Quote(c.GameMode, 40))
	case c.MaxPlayers < 1 || c.MaxPlayers > maxPlayers:
		return fieldError("config.max_players", "%d player slots are not possible: 1 to %d are", c.MaxPlayers, maxPlayers)
	case c.Hostname == "" || len(c.Hostname) > maxHostname:
		return fieldError("config.hostname", "the host name must be 1 to %d bytes long", maxHostname)
	case c.Heal != HealOff && c.Heal != HealFailed && c.Heal != HealAlways:
		return fieldError("config.heal", "%s is no way to heal: off, failed or always", Quote(string(c.Heal), 20))
	}
	if why := unquotable(c.Hostname); why != "" {
		return fieldError("config.hostname", "the host name %s %s", Quote(c.Hostname, maxHostname), why)
	}
	if err := validateArgs(c.Args); err != nil {
		return err
	}
	if err := validateOverlays(c.Overlays); err != nil {
		return err
	}
	if err := validateCVars(c.CVars); err != nil {
		return err
	}
	return c.validateLimits()
}

func fieldError(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalidRequest, Field: field, Detail: fmt.Sprintf(format, args...)}
}

// word accepts 1 to max letters, digits, '_' and '-', not beginning with '-'.
func word(s string, max int) bool {
	if s == "" || len(s) > max || s[0] == '-' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}) < 0
}

// unquotable says why a value cannot stand between the quotes of a line of
// server.cfg; Source's parser knows no escape there, and ends a command at ';'
// in places where the quotes were dropped. It returns "" for a good value.
func unquotable(s string) string {
	switch {
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case strings.ContainsAny(s, "\";"):
		return "must not hold quotation marks or semicolons: the game's configuration files cannot express them"
	case strings.Contains(s, `\`):
		return `must not hold a backslash`
	case Visible(s) != s || strings.Contains(s, "\t"):
		return "must not hold control or invisible characters, tabs or line breaks"
	}
	return ""
}
