package orchestrator

import (
	"time"

	"github.com/left4med/left4med/internal/server"
)

// Meter is told what the orchestrator did, to be counted. Its methods are called
// from many goroutines, also with the truth locked: they must not wait.
type Meter interface {
	// Shown: a change of a unit's state that a signal told of is what readers see,
	// so long after it came about, by systemd's own word
	// (StateChangeTimestampMonotonic). What takes a second look, as a unit that is
	// perhaps only passing through a state, is not told of.
	Shown(after time.Duration)
	// Resynced: a resync ended.
	Resynced(took time.Duration, err error)
	// JobEnded: a job ended so (server.Job.Result).
	JobEnded(kind server.JobKind, result string)
	// JobTook: a job ended, so long after it was asked for, or its wait until nobody
	// plays was over; not told of one that still waited.
	JobTook(kind server.JobKind, took time.Duration)
	// Healed: left4med starts a server by itself.
	Healed()
}

type noMeter struct{}

func (noMeter) Shown(time.Duration)                   {}
func (noMeter) Resynced(time.Duration, error)         {}
func (noMeter) JobEnded(server.JobKind, string)       {}
func (noMeter) JobTook(server.JobKind, time.Duration) {}
func (noMeter) Healed()                               {}

// Figures are the numbers of one moment, from memory.
type Figures struct {
	Servers []ServerFigures // sorted by name
	Orphans int
	Queued  int // jobs that have not begun
	Running int // jobs

	SystemdConnected bool
	Reconnects       uint64 // to systemd, since the daemon's start

	LastResync    time.Time     // the last that went well; zero before the first
	ResyncEvery   time.Duration // 0 when resyncs are switched off
	DatabaseBytes int64         // at the last resync; 0 when unknown
}

// ServerFigures are the numbers of one server. Entry is shared and must not be
// changed.
type ServerFigures struct {
	*Entry
	RestartsSeen uint64 // by systemd, since the daemon knows the server; it only grows
}

// Figures returns the numbers of this moment.
func (o *Orchestrator) Figures() Figures {
	f := o.resync.figures()
	o.mu.RLock()
	defer o.mu.RUnlock()
	f.Servers = make([]ServerFigures, len(o.order))
	for i, r := range o.order {
		f.Servers[i] = ServerFigures{Entry: r.entry, RestartsSeen: r.restarts}
	}
	for _, n := range o.orphans.known {
		if !o.hasOwner(n.instance) {
			f.Orphans++
		}
	}
	for _, r := range o.runs {
		switch r.job.State {
		case server.JobQueued:
			f.Queued++
		case server.JobRunning:
			f.Running++
		}
	}
	f.SystemdConnected, f.Reconnects = o.link.connected, o.link.reconnects
	return f
}

// figures are those of the last resync.
func (s *resyncer) figures() Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := Figures{LastResync: s.lastAt, DatabaseBytes: s.stored}
	if s.o.Settings.ResyncEnabled {
		f.ResyncEvery = s.o.Settings.ResyncInterval
	}
	return f
}
