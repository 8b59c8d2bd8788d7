package server

import "time"

// Server is one server as the API shows it. A value that left the orchestrator
// is never changed again.
type Server struct {
	ID      int64   `json:"id" doc:"Never used again, also not for a later server of the same name."`
	Name    Name    `json:"name"`
	Unit    string  `json:"unit" doc:"The systemd unit."`
	Desired Desired `json:"desired" enum:"running,stopped" doc:"Whether the server is enabled for the next boot."`
	State   State   `json:"state" enum:"running,starting,restarting,stopping,stopped,failed,unknown"`
	Drift   Drift   `json:"drift" enum:"masked,missing,down,flapping,not-enabled,none" doc:"Where intent and truth disagree."`

	DriftSince time.Time `json:"drift_since,omitzero"`
	Stale      bool      `json:"stale" doc:"True when the last observation is older than two resync intervals, or the link to systemd has been down for 2 s."`

	Healing *Healing `json:"healing,omitempty" doc:"What left4med does about a server that is down, where its setting heal asks for it."`

	ActiveState   string  `json:"active_state,omitempty"`
	SubState      string  `json:"sub_state,omitempty"`
	LoadState     string  `json:"load_state,omitempty"`
	UnitFileState string  `json:"unit_file_state,omitempty" doc:"enabled, disabled or masked, from the enablement links."`
	Result        string  `json:"result,omitempty" doc:"systemd's result of the last run: success, exit-code, signal, oom-kill, timeout, start-limit-hit and others."`
	MainPID       uint32  `json:"main_pid,omitempty"`
	InvocationID  string  `json:"invocation_id,omitempty" doc:"systemd's id of this run of the unit."`
	Restarts      *uint32 `json:"restarts,omitempty" doc:"Automatic restarts by systemd since the last start."`
	RestartDue    *bool   `json:"restart_due,omitempty" doc:"True when settings were changed that only the next start applies."`

	StateSince time.Time `json:"state_since,omitzero"`
	StartedAt  time.Time `json:"started_at,omitzero" doc:"When this run became active, which is since when the server is up; left out while it is not."`
	ObservedAt time.Time `json:"observed_at,omitzero"`
	ObservedBy Observer  `json:"observed_by,omitempty" enum:"signal,resync,job"`

	MemoryBytes *uint64 `json:"memory_bytes,omitempty" doc:"As last sampled. Absent when the host does not account for it."`
	CPUUsageNS  *uint64 `json:"cpu_usage_ns,omitempty" doc:"Processor time since the start. Absent when the host does not account for it."`

	CPUPercent *float64 `json:"cpu_percent,omitempty" doc:"Of one processor, between the last two samples of this run; two busy processors are 200."`
	Tasks      *uint64  `json:"tasks,omitempty" doc:"Processes and threads. Absent when the host does not account for them."`

	Game *Game `json:"game,omitempty" doc:"What the game tells of itself. Left out until it was queried in this run, and for clients that may not inspect."`

	Phase  Phase   `json:"phase" enum:"creating,ready,deleting"`
	Config *Config `json:"config,omitempty" doc:"Left out for clients that may not inspect."`
	Job    *Job    `json:"job" doc:"The job queued or running for this server, or null. Left null for clients that may not inspect."`
}

// Public is the server as a client sees it that may not inspect: the bare
// state, without settings, jobs and players.
func (s *Server) Public() *Server {
	p := *s
	p.Config, p.Job, p.RestartDue, p.Game = nil, nil, nil, nil
	return &p
}

// Phase is where a server stands in its life.
type Phase string

// The phases. A server is in the list from "creating" on and until its
// deletion ends.
const (
	PhaseCreating Phase = "creating"
	PhaseReady    Phase = "ready"
	PhaseDeleting Phase = "deleting"
)
