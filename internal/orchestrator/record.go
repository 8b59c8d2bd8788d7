package orchestrator

import (
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// record is all that is known of one server. o.mu guards it.
type record struct {
	row    store.ServerRow
	config *server.Config // what is published; replaced, never changed

	unit       server.Unit
	stamp      unitctl.Stamp // of the newest observation
	loadStamp  unitctl.Stamp // of the newest that told unit.Load, which signals do not
	observedAt time.Time
	observedBy server.Observer
	unsure     bool // unit may hold for a moment alone; readers see what was before

	enabled bool // the link stands
	masked  bool
	missing bool // the instance's files are gone
	stale   bool

	restarted []time.Time // by systemd, the newest FlapRestarts+1
	restarts  uint64      // by systemd, all that were seen; other than systemd's own count it only grows

	healing healing

	usage usage // of the host, as last sampled

	heard  heard  // of the game, over the network
	census census // who plays, as the game last told
	denied denied // the password that the game refused; guarded by spoken alone

	toldToStop bool // this run of the unit: systemd was told to end it

	orphan bool // of no server: nothing of it is published
	held   bool // stopped for an install, which brings it back

	overlooked bool // a resync found a change and left it to the job

	told *told // what the rules for alerts were told of; nil: not known yet

	drift      server.Drift
	driftSince time.Time

	run     *run // the job queued or running
	waiting *run // a job that waits beside it until nobody plays
	entry   *Entry
	changed chan struct{} // closed at the next publication
	claimed chan struct{} // holds a value while a request is being judged; not guarded
	spoken  chan struct{} // holds a value while something is asked on its console; not guarded
}

func newRecord(row store.ServerRow) *record {
	cfg := row.Config.Clone()
	r := &record{
		row: row, config: &cfg, drift: server.DriftNone,
		enabled: row.Desired == server.DesiredRunning, stale: true,
		changed: make(chan struct{}), claimed: make(chan struct{}, 1), spoken: make(chan struct{}, 1),
	}
	if row.Seen != nil {
		r.drift, r.driftSince = row.Seen.Drift, row.Seen.DriftSince
		r.healing = healing{attempts: row.Seen.Heals, next: row.Seen.NextHeal, gaveUp: row.Seen.GaveUp}
	}
	return r
}

// state derives the server's state. A start of ours that has not reached the
// unit yet counts as starting.
func (r *record) state() server.State {
	if r.observedAt.IsZero() {
		return server.StateUnknown
	}
	s := server.DeriveState(r.unit)
	if r.run != nil && r.run.job.State == server.JobRunning && !s.Live() &&
		(r.run.job.Kind == server.JobStart || r.run.job.Kind == server.JobRestart) {
		return server.StateStarting
	}
	return s
}

func (r *record) desired() server.Desired {
	if r.enabled {
		return server.DesiredRunning
	}
	return server.DesiredStopped
}

func (r *record) unitFileState() string {
	switch {
	case r.masked:
		return "masked"
	case r.enabled:
		return "enabled"
	}
	return "disabled"
}

// unsettled says whether what is seen of r may be but a step on its way.
func (r *record) unsettled() bool {
	return r.run != nil || r.held || r.unit.Job != 0 || r.row.Phase != server.PhaseReady || r.observedAt.IsZero()
}

// judge sets the drift anew, unless a job of ours or of systemd's own is queued
// or in flight.
func (o *Orchestrator) judge(r *record, now time.Time) {
	if r.unsettled() {
		return
	}
	drift := server.DeriveDrift(server.Circumstances{
		Desired: r.desired(), State: r.state(),
		Masked:   r.masked,
		Missing:  r.missing || o.host.template == "",
		Flapping: o.flapping(r, now),
	})
	if drift == r.drift {
		return
	}
	r.drift, r.driftSince = drift, now.UTC().Round(0)
	if drift == server.DriftNone {
		r.driftSince = time.Time{}
	}
}

// publish derives what readers see of r. When it differs from before in more
// than the time of observation, it is an event; what the history tells of is put
// there, as seen by by. The caller holds o.mu.
func (o *Orchestrator) publish(r *record, by server.Observer) {
	if r.orphan || r.unsure && r.run == nil {
		return
	}
	o.judge(r, time.Now())
	o.considerHealing(r, time.Now())
	o.chronicleOf(r, by)
	o.show(r, &Entry{Server: r.view(o.Settings.Heal)})
	o.queries.begins(r)
}

// show puts e in the place of what readers see of r: an event, if it differs in
// what is worth one. The caller holds o.mu.
func (o *Orchestrator) show(r *record, e *Entry) {
	if r.entry != nil && same(&r.entry.Server, &e.Server) {
		r.entry = e
		return
	}
	inner := r.entry != nil && same(r.entry.Public(), e.Public())
	r.entry = e
	o.emit(&Event{Type: EventServer, entry: e, inner: inner})
	close(r.changed)
	r.changed = make(chan struct{})
}

// view builds the server as the API shows it.
func (r *record) view(heal server.HealPolicy) server.Server {
	s := server.Server{
		ID: r.row.ID, Name: r.row.Name, Unit: r.row.Name.Unit(),
		Desired: r.desired(), State: r.state(),
		Drift: r.drift, DriftSince: r.driftSince.UTC(), Stale: r.stale,
		UnitFileState: r.unitFileState(),
		Phase:         r.row.Phase, Config: r.config, Healing: r.healing.view(heal),
	}
	if !r.observedAt.IsZero() {
		restarts, due := r.unit.Restarts, r.restartDue()
		s.ActiveState, s.SubState, s.LoadState = r.unit.Active, r.unit.Sub, r.unit.Load
		s.Result, s.MainPID, s.InvocationID = r.unit.Result, r.unit.MainPID, r.unit.InvocationID
		s.Restarts, s.RestartDue = &restarts, &due
		s.StateSince, s.ObservedAt, s.ObservedBy = r.unit.Since.UTC(), r.observedAt.UTC(), r.observedBy
		if r.unit.Active == "active" {
			s.StartedAt = s.StateSince // a unit of this type changes its state once more when it ends
		}
		r.usage.show(&s)
		r.heard.show(&s)
	}
	if r.run != nil {
		s.Job = r.run.job
	} else if w := r.waiter(); w != nil {
		s.Job = w.job
	}
	return s
}

// restartDue says whether settings were changed since this run of the unit
// began.
func (r *record) restartDue() bool {
	return r.row.ChangedInvocation != "" && r.row.ChangedInvocation == r.unit.InvocationID && r.state().Live()
}

// same compares all that is worth an event: not the times of observation, not
// the counters of resources, not how fast a game answered.
func same(a, b *server.Server) bool {
	x, y := *a, *b
	x.ObservedAt, x.ObservedBy = y.ObservedAt, y.ObservedBy
	x.MemoryBytes, x.CPUUsageNS, x.CPUPercent, x.Tasks = y.MemoryBytes, y.CPUUsageNS, y.CPUPercent, y.Tasks
	if !equal(x.Restarts, y.Restarts) || !equal(x.RestartDue, y.RestartDue) || !sameJob(x.Job, y.Job) {
		return false
	}
	if !equal(x.Healing, y.Healing) || !sameGame(x.Game, y.Game) {
		return false
	}
	x.Restarts, x.RestartDue, x.Job, x.Healing, x.Game = y.Restarts, y.RestartDue, y.Job, y.Healing, y.Game
	return x == y // settings and times are compared as pointers and values that only a change replaces
}

// sameJob leaves out the progress, of which job events tell.
func sameJob(a, b *server.Job) bool {
	return a == b || a != nil && b != nil && a.ID == b.ID && a.State == b.State
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
