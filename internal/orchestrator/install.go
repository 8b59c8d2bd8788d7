package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// installation is what is known of the game's files, which all servers share, and
// of the job that works on them. o.mu guards it, but for what says otherwise.
type installation struct {
	rec    *record // what jobs about the installation work on
	asking bool    // an install is being judged: no start may come between

	build   string // installed; empty: not known
	builtAt time.Time
	checked store.Check

	judging sync.Mutex    // one request at a time; taken before the servers are claimed
	unit    chan struct{} // holds a value while one of the units works for us; not guarded
}

func newInstallation() installation {
	return installation{rec: orphanRecord(""), unit: make(chan struct{}, 1)}
}

// installMark is what a job about the installation keeps beside its step.
type installMark struct {
	Options server.InstallOptions `json:"options"`
	Held    []held                `json:"held,omitempty"` // what ran when it was asked for

	Before string    `json:"before,omitempty"` // the unit's last run before ours
	Run    string    `json:"run,omitempty"`    // ours; empty: not known
	Began  time.Time `json:"began,omitzero"`

	Failure  *server.JobError `json:"failure,omitempty"` // what came of it
	Canceled bool             `json:"canceled,omitempty"`
}

// held is a server, or an orphan, that ran on the files when an install was asked
// for.
type held struct {
	Name   string `json:"name"`         // the unit's instance
	ID     int64  `json:"id,omitempty"` // the server's; 0: an orphan
	Linked bool   `json:"linked"`       // it was enabled
}

// Install asks for a job that installs or updates the game. While servers run on
// the files, it is refused, unless they are to be stopped for it and brought back:
// at once, or when nobody plays on any of them. The same request twice is one job,
// and any other takes the place of one that waits.
func (o *Orchestrator) Install(ctx context.Context, opts server.InstallOptions, who server.Requester) (_ *server.Job, err error) {
	defer o.noteRefused(who, string(server.JobInstall), "", &err)
	if err := o.writable(); err != nil {
		return nil, err
	}
	if err := o.Resync(ctx); err != nil {
		return nil, fmt.Errorf("cannot look which servers run: %w", err)
	}
	o.game.judging.Lock()
	defer o.game.judging.Unlock()
	if job, err := o.sameOfHost(server.JobInstall, opts); job != nil || err != nil {
		return job, err
	}
	m := installMark{Options: opts}
	if opts.When == server.WhenEmpty {
		if err := o.canWait(); err != nil {
			return nil, err
		}
		return o.engageOfHost(ctx, server.JobInstall, mark{Install: &m, Wait: o.newWait(time.Now().UTC())}, who)
	}
	if err := o.untouched(ctx); err != nil {
		return nil, err
	}
	// A start that was judged before is in its server's record once the server is
	// claimed; those judged from now on are refused.
	o.setAsking(true)
	defer o.setAsking(false)
	claimed, _, err := o.claim(ctx, o.names())
	if err != nil {
		return nil, err
	}
	defer unclaim(claimed)
	if m.Held, err = o.inUse(); err != nil {
		return nil, err
	}
	if len(m.Held) > 0 && !opts.Restart {
		return nil, errInUse(m.Held)
	}
	return o.engageOfHost(ctx, server.JobInstall, mark{Install: &m}, who)
}

// CheckUpdates asks for a job that asks Steam for its newest build. It changes no
// file of the game's.
func (o *Orchestrator) CheckUpdates(ctx context.Context, who server.Requester) (_ *server.Job, err error) {
	defer o.noteRefused(who, string(server.JobCheck), "", &err)
	if err := o.writable(); err != nil {
		return nil, err
	}
	o.game.judging.Lock()
	defer o.game.judging.Unlock()
	if job, err := o.sameOfHost(server.JobCheck, server.InstallOptions{}); job != nil || err != nil {
		return job, err
	}
	return o.engageOfHost(ctx, server.JobCheck, mark{Install: &installMark{}}, who)
}

// sameOfHost judges a request against the job about the installation, if there is
// one: it answers with the same, and refuses beside another.
func (o *Orchestrator) sameOfHost(kind server.JobKind, opts server.InstallOptions) (*server.Job, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if w := o.game.rec.waiter(); w != nil && kind == server.JobInstall && w.options == opts {
		return w.job, nil
	}
	judge := server.Judge
	if opts.When == server.WhenEmpty {
		judge = server.JudgeWait
	}
	current, verdict := o.game.rec.judged(kind, judge)
	switch {
	case verdict == server.Accept:
		return nil, nil
	case verdict == server.Join && o.game.rec.run.options == opts:
		return current, nil
	}
	e := server.Errorf(server.CodeBusy, "another %s job is under way (job %d); wait for it, or cancel it with `l4d2ctl jobs --cancel %d`", current.Kind, current.ID, current.ID)
	e.Job = current.ID
	return nil, e
}

// engageOfHost stores a job about the installation and begins it.
func (o *Orchestrator) engageOfHost(ctx context.Context, kind server.JobKind, m mark, who server.Requester) (*server.Job, error) {
	var supersedes []int64
	o.mu.RLock()
	if w := o.game.rec.waiter(); w != nil && kind.EndsWait() {
		supersedes = []int64{w.job.ID}
	}
	o.mu.RUnlock()
	rows, err := o.Store.InsertJobs(ctx, []store.NewJob{{Supersedes: supersedes, Row: store.JobRow{
		Job:  server.Job{Kind: kind, State: server.JobQueued, RequestedBy: who, CreatedAt: time.Now().UTC()},
		Mark: m.encode(), BootID: o.BootID,
	}}})
	if err != nil {
		return nil, err
	}
	o.logJob(&rows[0].Job, nil)
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.newRun(o.game.rec, rows[0])
	o.holdAll(m.Install.Held)
	o.publishAll(server.ByJob) // healing holds still
	o.launch(r)
	return r.job, nil
}

// loadInstallation takes up what an earlier run of the daemon knew.
func (o *Orchestrator) loadInstallation(ctx context.Context) error {
	checked, err := o.Store.LastCheck(ctx)
	if err != nil {
		return err
	}
	rows, err := o.Store.UnfinishedJobs(ctx)
	if err != nil {
		return fmt.Errorf("cannot read the unfinished jobs: %w", err)
	}
	o.readBuild()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.game.checked = checked
	for _, row := range rows {
		var m mark
		if o.Settings.JobsEnabled && row.Kind == server.JobInstall && row.BootID == o.BootID && json.Unmarshal(row.Mark, &m) == nil && m.Install != nil {
			o.holdAll(m.Install.Held) // before they are judged to be down
		}
	}
	return nil
}

// holdAll notes that servers are stopped for an install. The caller holds o.mu.
func (o *Orchestrator) holdAll(all []held) {
	for _, h := range all {
		if r := o.records[server.Name(h.Name)]; r != nil && r.row.ID == h.ID {
			r.held = true
		}
	}
}

func (o *Orchestrator) setAsking(on bool) {
	o.mu.Lock()
	o.game.asking = on
	o.mu.Unlock()
}

// installing is the install under way, or nil. The caller holds o.mu.
func (o *Orchestrator) installing() *server.Job {
	r := o.game.rec.run
	if r == nil || r.job.Kind != server.JobInstall || r.ending {
		return nil
	}
	return r.job
}

// holdsStill says whether a job of a kind has to wait for an install. The caller
// holds o.mu.
func (o *Orchestrator) holdsStill(kind server.JobKind) bool {
	return (kind.Starts() || kind == server.JobReset) && (o.game.asking || o.installing() != nil)
}

// errInstalling refuses what an install, nil while it is being judged, has no room
// for.
func errInstalling(job *server.Job) *server.Error {
	if job == nil {
		return server.Errorf(server.CodeBusy, "an install of the game is being asked for, so no server can be started; ask again in a moment")
	}
	e := server.Errorf(server.CodeBusy, "the game is being installed (job %d), so no server can be started; wait for it, or cancel it with `l4d2ctl jobs --cancel %d`", job.ID, job.ID)
	e.Job = job.ID
	return e
}

// names are the servers' names.
func (o *Orchestrator) names() []server.Name {
	o.mu.RLock()
	defer o.mu.RUnlock()
	names := make([]server.Name, len(o.order))
	for i, r := range o.order {
		names[i] = r.row.Name
	}
	return names
}

// inUse lists what runs on the installation, by name, or is about to. One that has
// a job under way is an error, since what it is after that job is not known.
func (o *Orchestrator) inUse() (all []held, err error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, r := range o.order {
		job, verdict := r.judged(server.JobInstall, server.Judge)
		busy := verdict != server.Accept
		if busy && (r.state().Live() || job.Kind.Starts()) {
			return nil, errBusy(r.row.Name, job)
		}
		if r.state().Live() {
			all = append(all, held{Name: string(r.row.Name), ID: r.row.ID, Linked: r.enabled})
		}
	}
	for _, n := range o.orphanUnits() {
		if server.DeriveState(n.unit).Live() {
			all = append(all, held{Name: n.instance, Linked: n.enabled})
		}
	}
	slices.SortFunc(all, func(a, b held) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// errInUse names what runs on the files.
func errInUse(all []held) *server.Error {
	return server.Errorf(server.CodeInstallationInUse, "the game cannot be installed or updated while servers run on its files: %s. Stop them, or run `l4d2ctl install --restart`, which stops them and brings back what ran (with --restart-when-empty, once nobody plays)", heldNames(all))
}

// heldNames names what is held, the orphans among them by their units.
func heldNames(all []held) string {
	list := make([]string, len(all))
	for i, h := range all {
		list[i] = h.Name
		if h.ID == 0 {
			list[i] = server.Visible(unitOf(h.Name)) + " (an orphan)"
		}
	}
	return someOf(list)
}

// untouched refuses beside an install that another hand has started.
func (o *Orchestrator) untouched(ctx context.Context) error {
	unit, err := o.Units.Oneshot(ctx, server.InstallUnit)
	if err != nil || !unit.Working() {
		return err
	}
	return server.Errorf(server.CodeBusy, "%s is at work, started by another hand; wait for its end, or stop it with `systemctl stop %s`", server.InstallUnit, server.InstallUnit)
}
