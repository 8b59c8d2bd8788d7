package server

import (
	"maps"
	"slices"
	"strings"
)

// AllowedArgs lists the arguments an operator may add, sorted.
func AllowedArgs() []string { return slices.Sorted(maps.Keys(allowedArgs)) }

// ownCVars have a setting of their own or are written by left4med.
var ownCVars = map[string]string{
	"hostname":      "config.hostname",
	"hostport":      "config.port",
	"port":          "config.port",
	"clientport":    "config.port",
	"tv_port":       "config.port",
	"map":           "config.map",
	"mp_gamemode":   "config.gamemode",
	"maxplayers":    "config.max_players",
	"sv_maxplayers": "config.max_players",
}

// cvarFamilies are the prefixes that the game's and SourceMod's variables
// begin with; a console command has none of them, but for deniedCVars.
var cvarFamilies = []string{
	"sv_", "mp_", "z_", "director_", "survivor_", "l4d_", "l4d2_", "tv_", "sm_", "nb_", "vs_", "versus_",
	"scavenge_", "fps_", "net_", "host_", "ai_", "rcon_", "tongue_", "boomer_", "smoker_", "hunter_",
	"jockey_", "charger_", "spitter_", "tank_", "witch_", "inferno_", "pain_pills_", "adrenaline_",
	"first_aid_", "ammo_", "confogl_", "decay_", "allow_", "sb_", "rescue_", "intensity_", "finale_",
}

// deniedCVars are commands and variables inside those families that reach
// outside the game's own rules.
var deniedCVars = map[string]bool{
	"sv_shutdown": true, "net_start": true, "host_writeconfig": true, "sm_rcon": true, "sm_cvar": true,
	"sm_execcfg": true, "sv_logfilename_format": true, "sv_logsdir": true, "mp_logdetail_file": true,
	"tv_record": true, "tv_stoprecord": true, "sm_exec": true, "sv_rcon_log_file": true, "rcon_address": true,
}

func validateCVars(cvars map[string]string) error {
	if len(cvars) > maxEntries {
		return fieldError("config.cvars", "%d cvars are too many: at most %d", len(cvars), maxEntries)
	}
	for _, name := range slices.Sorted(maps.Keys(cvars)) {
		if err := validateCVar(name, cvars[name]); err != nil {
			return err
		}
	}
	return nil
}

func validateCVar(name, value string) error {
	lower := strings.ToLower(name)
	shown := Quote(name, 60)
	if own, ok := ownCVars[lower]; ok {
		return fieldError("config.cvars", "the cvar %s is set through %s", shown, own)
	}
	if err := secretError("config.cvars", name); err != nil {
		return err
	}
	if !word(name, 64) || name != lower || strings.Contains(name, "-") {
		return fieldError("config.cvars", "%s is no cvar: lower-case letters, digits and '_', at most 64", shown)
	}
	family := slices.ContainsFunc(cvarFamilies, func(p string) bool { return strings.HasPrefix(name, p) })
	if !family || deniedCVars[name] {
		return fieldError("config.cvars", "the cvar %s may not be set here; put it into user.cfg if the game needs it", shown)
	}
	if len(value) > maxValue {
		return fieldError("config.cvars", "the value of %s is %d bytes long; at most %d are allowed", name, len(value), maxValue)
	}
	if why := unquotable(value); why != "" {
		return fieldError("config.cvars", "the value of %s %s", name, why)
	}
	return nil
}

func validateOverlays(overlays []string) error {
	if len(overlays) > maxOverlays {
		return fieldError("config.overlays", "%d overlays are too many: at most %d", len(overlays), maxOverlays)
	}
	seen := map[string]bool{}
	for _, o := range overlays {
		switch {
		case !IsOverlayName(o):
			return fieldError("config.overlays", "%s is no overlay: 1 to 64 letters, digits, '_', '-' and '.', beginning with a letter or a digit", Quote(o, 70))
		case seen[o]:
			return fieldError("config.overlays", "the overlay %s stands there twice", Quote(o, 70))
		}
		seen[o] = true
	}
	return nil
}

// IsOverlayName says whether an overlay can have a name: 1 to 64 letters, digits,
// '_', '-' and '.', beginning with a letter or a digit.
func IsOverlayName(s string) bool {
	return len(s) <= 64 && word(strings.ReplaceAll(s, ".", "_"), 64) && s[0] != '.' && s[0] != '_'
}
