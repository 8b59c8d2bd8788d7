package orchestrator

import "github.com/left4med/left4med/internal/server"

// Refusal says why one server of a request over many was left out.
type Refusal struct {
	Server string
	Err    *server.Error
}

// JobFilter selects jobs, newest first.
type JobFilter struct {
	Server server.Name     // empty: all, also of deleted servers
	State  server.JobState // empty: all
	Before int64           // only ids below; 0: from the newest
	Limit  int             // at most so many; 0: 100
}

// What the daemon knows of itself is part of the domain, so that clients can
// read it without this package.
type (
	Health        = server.Health
	SystemdHealth = server.SystemdHealth
	ResyncHealth  = server.ResyncHealth
	JobsHealth    = server.JobsHealth
	DBHealth      = server.DBHealth
	ProbeHealth   = server.ProbeHealth
	Check         = server.Check
	AlertHealth   = server.AlertHealth
	AlertResult   = server.AlertResult
)
