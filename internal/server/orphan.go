package server

import "time"

// Orphan is what belongs to no server and is of our template: a unit that is
// enabled, or has been started and not stopped, or an instance's directory, or
// these together.
type Orphan struct {
	Unit    string  `json:"unit" doc:"The systemd unit."`
	Name    string  `json:"name" doc:"The unit's instance, as systemd spells it; it may break the rule for the names of servers."`
	Desired Desired `json:"desired" enum:"running,stopped" doc:"Whether the unit is enabled for the next boot."`
	State   State   `json:"state" enum:"running,starting,restarting,stopping,stopped,failed,unknown"`
	Files   bool    `json:"files" doc:"Whether there is a directory of the instance."`

	Since     time.Time `json:"since" doc:"When left4med found it."`
	Adoptable bool      `json:"adoptable" doc:"Whether it can be made a server as it is."`
	Obstacle  string    `json:"obstacle,omitempty" doc:"Why it cannot."`

	ActiveState   string `json:"active_state,omitempty"`
	SubState      string `json:"sub_state,omitempty"`
	LoadState     string `json:"load_state,omitempty"`
	UnitFileState string `json:"unit_file_state,omitempty" enum:"enabled,disabled,masked"`
	Result        string `json:"result,omitempty"`
	MainPID       uint32 `json:"main_pid,omitempty"`

	Restarts   *uint32   `json:"restarts,omitempty"`
	StateSince time.Time `json:"state_since,omitzero"`

	Config *Config `json:"config,omitempty" doc:"The settings that it would have as a server, where they can be read."`
	Job    *Job    `json:"job" doc:"The job that disables it, or null."`
}

// What the history says of orphans.
const (
	OrphanFound = "found"
	OrphanGone  = "gone"
)
