package server

import "time"

// Health is what the daemon knows of itself.
type Health struct {
	Status    string        `json:"status" enum:"ok,degraded" doc:"degraded when a check failed."`
	Version   string        `json:"version"`
	Host      string        `json:"host"`
	StartedAt time.Time     `json:"started_at"`
	Servers   int           `json:"servers"`
	Systemd   SystemdHealth `json:"systemd"`
	Resync    ResyncHealth  `json:"resync"`
	Jobs      JobsHealth    `json:"jobs"`
	Database  DBHealth      `json:"database"`
	Probe     ProbeHealth   `json:"probe"`
	Alerts    []AlertHealth `json:"alerts,omitempty" doc:"The targets of the rules in the settings; left out when there are none."`
	Checks    []Check       `json:"checks" doc:"What was looked at on this host, what was found, and the cure."`
}

// SystemdHealth is the state of the link to systemd.
type SystemdHealth struct {
	Connected  bool      `json:"connected"`
	Since      time.Time `json:"since,omitzero" doc:"Since when it is so."`
	Version    string    `json:"version,omitempty"`
	Reconnects uint64    `json:"reconnects"`
	Error      string    `json:"error,omitempty"`
}

// ResyncHealth is when all servers were last checked against systemd.
type ResyncHealth struct {
	Enabled         bool      `json:"enabled"`
	IntervalSeconds float64   `json:"interval_seconds"`
	LastAt          time.Time `json:"last_at,omitzero"`
	LastMillis      float64   `json:"last_ms"`
	Error           string    `json:"error,omitempty" doc:"Why the last one failed."`
}

// JobsHealth says whether jobs are accepted.
type JobsHealth struct {
	Enabled bool `json:"enabled"`
	Active  int  `json:"active" doc:"Queued or running."`
}

// DBHealth is the state of the database.
type DBHealth struct {
	OK     bool   `json:"ok"`
	Path   string `json:"path"`
	Schema int    `json:"schema"`
	Error  string `json:"error,omitempty"`
}

// ProbeHealth is how left4med-probe, which speaks to the games, answers.
type ProbeHealth struct {
	Querying bool      `json:"querying" doc:"Whether running games are asked for map and players."`
	Interval float64   `json:"interval_seconds" doc:"Between two queries of a server."`
	OK       bool      `json:"ok" doc:"False when left4med-probe did not do what it was last asked."`
	Gone     bool      `json:"-"` // it does not answer at all, which a check says in words
	Since    time.Time `json:"since,omitzero" doc:"Since when it is so; left out until it was asked for anything."`
	LastAt   time.Time `json:"last_at,omitzero" doc:"When it was last asked."`
	Error    string    `json:"error,omitempty"`
	Queries  uint64    `json:"queries" doc:"Queries of games since left4med was started."`
	Failed   uint64    `json:"failed" doc:"Those of them that no game answered."`
}

// Check is one thing that was looked at on this host.
type Check struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	LookedAt string `json:"looked_at" doc:"What was examined."`
	Found    string `json:"found"`
	Cure     string `json:"cure,omitempty" doc:"The one command that mends it or, where none can, that shows more. Left out when all is well, and where a person must do something else, which found says."`
}
