package server

import "time"

// State is what a server is doing, derived from what systemd says of its unit.
type State string

// The states of a server.
const (
	StateRunning    State = "running"
	StateStarting   State = "starting"
	StateRestarting State = "restarting" // systemd's own Restart= is at work
	StateStopping   State = "stopping"
	StateStopped    State = "stopped"
	StateFailed     State = "failed"
	StateUnknown    State = "unknown" // never observed, or the unit cannot be loaded
)

// Desired is the intent: whether the server is enabled for the next boot.
type Desired string

// The two intents.
const (
	DesiredRunning Desired = "running"
	DesiredStopped Desired = "stopped"
)

// Observer says how an observation was made.
type Observer string

// The ways to observe a unit.
const (
	BySignal Observer = "signal"
	ByResync Observer = "resync"
	ByJob    Observer = "job"
)

// Unit is what systemd says of a server's unit, in systemd's own words
// (org.freedesktop.systemd1(5)). The zero value means never observed.
type Unit struct {
	Load         string    // LoadState: loaded, not-found, masked, error, bad-setting …
	Active       string    // ActiveState
	Sub          string    // SubState
	Result       string    // Service.Result: success, exit-code, signal, oom-kill, timeout …
	MainPID      uint32    // Service.MainPID, 0 when there is no process
	Restarts     uint32    // Service.NRestarts
	Job          uint32    // id of the systemd job queued for the unit, 0 when there is none
	JobType      string    // start, stop, restart …; empty when there is none or it is not known yet
	InvocationID string    // 32 hex digits, empty when the unit never ran
	Since        time.Time // StateChangeTimestamp, zero when unknown
}

// DeriveState maps systemd's words to a State. It is total over what systemd
// 252 to 258 can say; words it does not know end in StateUnknown rather than in
// a guess.
func DeriveState(u Unit) State {
	switch u.Active {
	case "active":
		if u.Sub == "exited" {
			return StateStopped
		}
		return StateRunning
	case "reloading", "refreshing":
		return StateRunning
	case "activating":
		switch u.Sub {
		case "auto-restart", "auto-restart-queued":
			return StateRestarting
		}
		return StateStarting
	case "deactivating":
		return StateStopping
	case "inactive":
		return inactiveState(u)
	case "maintenance":
		return StateStopped
	case "failed":
		switch {
		case restartPending(u.Sub):
			return StateRestarting
		case startQueued(u):
			return StateStarting
		}
		return StateFailed
	}
	return StateUnknown
}

func inactiveState(u Unit) State {
	switch {
	case restartPending(u.Sub):
		return StateRestarting
	case startQueued(u):
		return StateStarting
	}
	switch u.Load {
	case "loaded", "masked", "":
		return StateStopped
	}
	return StateUnknown
}

// restartPending recognises the sub states in which systemd 254 and later pass
// through "failed" or "inactive" on the way to the next automatic restart
// (service_state_table in systemd's src/basic/unit-def.c).
func restartPending(sub string) bool {
	switch sub {
	case "failed-before-auto-restart", "dead-before-auto-restart", "auto-restart", "auto-restart-queued":
		return true
	}
	return false
}

// startQueued says whether systemd has the unit's start before it, as at boot
// while a server waits for the network.
func startQueued(u Unit) bool {
	switch u.JobType {
	case "start", "restart", "try-restart", "reload-or-start": // job_type_table in systemd's src/core/job.c
		return u.Job != 0
	}
	return false
}

// Live says whether the server has, is getting or is losing a process.
func (s State) Live() bool {
	switch s {
	case StateRunning, StateStarting, StateRestarting, StateStopping:
		return true
	}
	return false
}

// Drift is where intent and truth disagree.
type Drift string

// The kinds of drift; the first that applies is shown.
const (
	DriftMasked     Drift = "masked"      // the unit is masked, so it cannot be started
	DriftMissing    Drift = "missing"     // the instance's files or the template are gone
	DriftDown       Drift = "down"        // should run, but is stopped or failed
	DriftFlapping   Drift = "flapping"    // restarted by systemd too often in the window
	DriftNotEnabled Drift = "not-enabled" // runs now, will be gone after a reboot
	DriftNone       Drift = "none"
)

// Circumstances is what a drift is judged by.
type Circumstances struct {
	Desired  Desired
	State    State
	Masked   bool
	Missing  bool
	Flapping bool
}

// DeriveDrift judges where intent and truth disagree. Callers do not ask while
// a job is queued or in flight.
func DeriveDrift(c Circumstances) Drift {
	switch {
	case c.Masked:
		return DriftMasked
	case c.Missing:
		return DriftMissing
	case c.Desired == DesiredRunning && (c.State == StateStopped || c.State == StateFailed):
		return DriftDown
	case c.Flapping:
		return DriftFlapping
	case c.Desired == DesiredStopped && (c.State == StateRunning || c.State == StateRestarting):
		return DriftNotEnabled
	}
	return DriftNone
}
