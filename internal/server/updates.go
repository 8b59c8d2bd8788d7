package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The units that install the game, and that ask Steam for its newest build.
const (
	InstallUnit      = "left4me-install.service"
	InstallCheckUnit = "left4me-install-check.service"
)

// CodeInstallationInUse says that servers run on the files that an install would
// change.
const CodeInstallationInUse Code = "installation-in-use"

// InstallOptions say how the game is to be installed or updated.
type InstallOptions struct {
	Validate bool `json:"validate,omitempty"` // every file is compared with Steam's
	Restart  bool `json:"restart,omitempty"`  // servers that run are stopped for it and brought back
	When     When `json:"when,omitempty"`     // with Restart: not before nobody plays on any of them
}

// Updates is what is known of the builds of the game. What is not known is left
// out.
type Updates struct {
	InstalledBuild  string    `json:"installed_build,omitempty" doc:"Steam's id of the build that is installed, digits."`
	LatestBuild     string    `json:"latest_build,omitempty" doc:"The newest build that Steam has given out, as of the last check."`
	UpdateAvailable *bool     `json:"update_available,omitempty" doc:"Whether the two differ."`
	CheckedAt       time.Time `json:"checked_at,omitzero" doc:"When Steam was last asked."`
	InstalledAt     time.Time `json:"installed_at,omitzero" doc:"When Steam last wrote the installation."`
}

// InstallRequest is what left4me-install is told, as JSON.
type InstallRequest struct {
	Validate bool   `json:"validate"`
	SteamCMD string `json:"steamcmd"` // empty: where it is usually found
	Space    int64  `json:"space"`    // bytes that must be free for a first install
}

// InstallLine is a line that left4me-install says for programs. Of a line for
// people all is empty.
type InstallLine struct {
	State       string // what is under way, as "downloading"; with Done and Total
	Done, Total int64  // bytes
	Step        string // what it does now, in words
	Fault       string // why it is about to fail, one sentence
	Installed   string // the build that is installed, digits
	Latest      string // the newest build that Steam has, digits
}

// ParseInstallLine reads a line of the journal of InstallUnit or
// InstallCheckUnit.
func ParseInstallLine(s string) (l InstallLine) {
	word, rest, _ := strings.Cut(s, " ")
	switch word {
	case "step":
		l.Step = rest
	case "fault":
		l.Fault = rest
	case "build":
		which, id, _ := strings.Cut(rest, " ")
		switch {
		case !IsBuild(id):
		case which == "installed":
			l.Installed = id
		case which == "latest":
			l.Latest = id
		}
	case "progress":
		f := strings.Split(rest, " ")
		if len(f) != 3 || strings.Trim(f[0], "abcdefghijklmnopqrstuvwxyz-") != "" {
			break
		}
		done, err1 := strconv.ParseInt(f[1], 10, 64)
		total, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 == nil && err2 == nil && done >= 0 && total >= 0 {
			l.State, l.Done, l.Total = f[0], done, total
		}
	}
	return l
}

// IsBuild says whether s is an id of a build: 1 to 18 digits.
func IsBuild(s string) bool {
	return len(s) > 0 && len(s) <= 18 && strings.Trim(s, "0123456789") == ""
}

// Bytes is a number of bytes for people, in decimal units: "12.3 MB".
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, i := float64(n)/unit, 0
	for value >= unit*0.99995 && i < 4 {
		value, i = value/unit, i+1
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGTP"[i])
}
