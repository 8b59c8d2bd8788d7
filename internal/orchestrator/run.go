package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/left4med/left4med/internal/instance"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// run is one job in flight. Its goroutine is the only one that works on its
// server; o.mu guards job.
type run struct {
	o        *Orchestrator
	rec      *record
	row      store.JobRow // as stored; written by the run's goroutine alone
	job      *server.Job  // what readers see; replaced, never changed
	mark     mark
	ctx      context.Context
	cancel   context.CancelCauseFunc
	done     chan struct{}         // closed when the run is over and its end is stored
	after    *run                  // the run whose place it took; it begins when that is over
	cohort   *cohort               // the runs that were asked for together; nil when alone
	chosen   int64                 // the backup to restore; 0 for none
	found    *instance.Found       // what is adopted; nil otherwise, and after a crash
	began    time.Time             // when it was asked for, or its wait was over; zero while it waits; o.mu guards it
	ending   bool                  // the work is over, its end is being stored; o.mu guards it
	replaced bool                  // systemd was asked for another run of the unit in this one's place
	yields   bool                  // a job that takes its place is being stored; o.mu guards it
	options  server.InstallOptions // of an install; never changed
	whole    *run                  // the run of whose work this is a part, on one server; nil for one that is a job
}

// steps of a job, as stored. A job that has none yet changed nothing.
const (
	stepBegun = "begun" // running; no link was changed by it yet
	stepLink  = "link"  // about to change, or has changed, the enablement link
	stepWait  = "wait"  // nothing is changed before nobody plays

	// Of an install.
	stepInstall = "install" // its servers are stopped; the unit is about to run, or runs
	stepReturn  = "return"  // what came of it is noted; its servers are being brought back
)

// mark is what a job notes beside its step, so that after a crash it can tell
// what came later by another hand.
type mark struct {
	Linked     bool   `json:"linked"`               // the link stood when the step was noted
	Links      int64  `json:"links"`                // mtime of the directory of links then, in ns
	Invocation string `json:"invocation,omitempty"` // the unit's run then

	Wait *waitMark `json:"wait,omitempty"` // of a job that waits, or has waited, until nobody plays

	Install *installMark `json:"install,omitempty"` // of a job about the installation

	Backup int64 `json:"backup,omitempty"` // what is to be restored
	Saved  int64 `json:"saved,omitempty"`  // the backup that was taken before; noSaved when there was nothing to save
}

func (m mark) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // numbers and strings alone
	}
	return b
}

// remember takes over the mark of a job that is about to begin, or goes on. The
// caller holds o.mu.
func (r *run) remember(stored []byte) {
	var m mark
	if len(stored) > 0 {
		_ = json.Unmarshal(stored, &m) // written by encode
	}
	if r.row.Kind.OfHost() && m.Install == nil {
		m.Install = &installMark{}
	}
	r.mark, r.chosen = m, m.Backup
	if m.Install != nil {
		r.options = m.Install.Options
	}
}

// causes with which a run is interrupted.
var (
	errCanceled   = errors.New("canceled on request")
	errSuperseded = errors.New("superseded by a later job")
)

// newRun makes a run and puts it in its record's place, or, if it is to wait until
// nobody plays, beside. The caller holds o.mu and calls launch afterwards.
func (o *Orchestrator) newRun(rec *record, row store.JobRow) *run {
	r := &run{o: o, rec: rec, row: row, done: make(chan struct{})}
	job := row.Job
	r.job = &job
	r.remember(row.Mark)
	r.ctx, r.cancel = context.WithCancelCause(o.jobsCtx)
	o.runs[row.ID] = r
	if w := rec.waiter(); w != nil && row.Kind.EndsWait() {
		w.supersededBy(r)
	}
	if waits(row) {
		rec.waiting = r
	} else {
		o.occupy(rec, r)
	}
	o.emit(&Event{Type: EventJob, value: r.job})
	o.publish(rec, server.ByJob)
	return r
}

// occupy gives a record to a run, which takes the place of the one that is there.
// The caller holds o.mu.
func (o *Orchestrator) occupy(rec *record, r *run) {
	if r.after = rec.run; r.after != nil {
		r.after.supersededBy(r)
	}
	rec.run = r
	if r.began = r.row.CreatedAt; r.mark.Wait != nil {
		r.began = time.Now()
	}
	if rec.healing.unset(); r.row.Kind.Starts() && !r.heals() {
		rec.healing = healing{} // an operator's start begins anew
	}
}

// launch begins the work, which ends with the daemon and not with the request.
// While the daemon ends nothing begins any more: the jobs are stored and go on
// at its next start. The caller holds o.mu.
func (o *Orchestrator) launch(runs ...*run) {
	if o.closing {
		return
	}
	for _, r := range runs {
		o.jobs.Go(r.execute)
	}
}

// supersededBy ends r for its readers at once; its goroutine ends when the call
// it waits for lets it. The store has done the same in the transaction that
// stored by. The caller holds o.mu.
func (r *run) supersededBy(by *run) {
	if r.ending || r.job.State.Finished() {
		return // finish finds out which of the two ends the store took
	}
	job := *r.job
	id := by.row.ID
	job.State, job.SupersededBy, job.FinishedAt = server.JobCanceled, &id, by.job.CreatedAt
	r.job = &job
	r.o.jobEnded(r.job, r.began)
	r.cancel(errSuperseded)
}

func (r *run) execute() {
	defer close(r.done)
	defer r.cancel(nil)
	defer r.leaveCohort()
	if r.row.Kind == server.JobInitialize || r.row.Kind == server.JobAdopt || r.after != nil || waits(r.row) {
		r.leaveCohort() // the others shall not wait for what this one waits for
	}
	if r.after != nil {
		<-r.after.done
		r.after = nil
	}
	err := r.work()
	r.finish(err)
}

// work does the job, unless it is over before it began.
func (r *run) work() error {
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	if waits(r.row) {
		if err := r.awaitEmpty(); err != nil {
			return err
		}
	}
	switch r.row.Kind {
	case server.JobInitialize:
		return r.create()
	case server.JobStart:
		return r.start()
	case server.JobStop:
		return r.stop()
	case server.JobRestart:
		return r.restartOrWait()
	case server.JobReset:
		return r.reset()
	case server.JobDelete:
		return r.delete()
	case server.JobBackup:
		return r.backup()
	case server.JobRestore:
		return r.restore()
	case server.JobAdopt:
		return r.adopt()
	case server.JobDisableOrphan:
		return r.disableOrphan()
	case server.JobInstall:
		return r.install()
	case server.JobCheck:
		return r.check()
	}
	return server.Errorf(server.CodeInternal, "this version of left4med does not know jobs of kind %s; upgrade it, then ask again", r.row.Kind)
}

// finish stores and publishes how the job ended. A job interrupted by the
// daemon's own end stays unfinished: it goes on at the next start.
func (r *run) finish(err error) {
	cause := context.Cause(r.ctx)
	if err != nil && errors.Is(cause, errShutdown) {
		return
	}
	o := r.o
	o.mu.Lock()
	job := r.job
	superseded := job.State.Finished() // the store and the readers know it already
	r.ending = !superseded
	o.mu.Unlock()
	if superseded {
		o.logJob(job, nil)
		o.settleRun(r, nil)
		return
	}
	now := time.Now().UTC()
	row := r.row
	row.FinishedAt, row.Progress = now, nil
	switch {
	case err == nil:
		row.State, row.Error = server.JobSucceeded, nil
	case errors.Is(err, errCanceled) || errors.Is(cause, errCanceled) && errors.Is(err, context.Canceled):
		row.State, row.Error = server.JobCanceled, &server.JobError{Code: server.CodeJobFailed, Detail: "canceled on request; what it had done so far stands"}
	default:
		row.State, row.Error = server.JobFailed, jobError(err)
		if errors.Is(err, &server.Error{Code: server.CodeOvertaken}) {
			row.State = server.JobCanceled
		}
	}
	o.chronicle.settle(o.jobsCtx) // what came of the job is told before its end
	job = r.store(row)
	if job != nil {
		o.logJob(job, err)
	}
	o.settleRun(r, job)
}

// store writes the job's end and returns the job as it is stored: a job that
// came later may have ended it first. It keeps trying while the disk refuses,
// since a job must not be shown as ended when a restart would begin it again.
func (r *run) store(row store.JobRow) *server.Job {
	r.o.faults.pass("work over")
	err := r.o.insist(r.o.jobsCtx, "the end of a job", func(ctx context.Context) error {
		err := r.o.Store.UpdateJob(ctx, row)
		if errors.Is(err, &server.Error{Code: server.CodeJobFinished}) {
			row, err = r.o.Store.Job(ctx, row.ID)
		}
		return err
	})
	if err != nil {
		r.o.Log.Error().Err(err).Int64("JOB", row.ID).Msg("the end of a job is not stored; it is looked at again at the next start")
		return nil
	}
	r.o.faults.pass("end stored")
	return &row.Job
}

// settleRun takes a finished run out of its record and publishes both.
func (o *Orchestrator) settleRun(r *run, job *server.Job) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.runs, r.row.ID)
	if r.rec.run == r {
		r.rec.run = nil
	}
	if r.rec.waiting == r {
		r.rec.waiting = nil
	}
	if o.records[r.rec.row.Name] == r.rec {
		o.publish(r.rec, server.ByJob)
	}
	if r.row.Kind == server.JobInstall {
		o.publishAll(server.ByJob) // what had to hold still may go on
	}
	if r.rec.run == nil {
		o.lookAgain(r.rec)
	}
	if job != nil && !r.job.State.Finished() {
		r.job = job
		o.jobEnded(job, r.began)
	}
}

// lookAgain has a server that no job works on any more looked at, if a resync left
// something to the job. The caller holds o.mu.
func (o *Orchestrator) lookAgain(rec *record) {
	if rec.overlooked {
		rec.overlooked = false
		o.resync.trigger()
	}
}

// jobEnded publishes a job that has ended; began is zero when it never did. The
// caller holds o.mu.
func (o *Orchestrator) jobEnded(job *server.Job, began time.Time) {
	o.emit(&Event{Type: EventJob, value: job})
	o.Meter.JobEnded(job.Kind, job.Result())
	if !began.IsZero() {
		o.Meter.JobTook(job.Kind, job.FinishedAt.Sub(began))
	}
}

// begin stores that the job is under way, with what it needs to know after a
// crash, and shows it.
func (r *run) begin(linked bool) error {
	if r.row.Step == stepLink {
		return nil // resumed: what the step noted still counts
	}
	return r.note(stepBegun, linked)
}

// note stores a step and its mark.
func (r *run) note(step string, linked bool) error {
	row, err := r.noted(step, linked)
	if err != nil {
		return err
	}
	err = r.o.insist(r.ctx, "the step of a job", func(ctx context.Context) error {
		return r.o.Store.SetStep(ctx, []store.StepUpdate{stepOf(row)})
	})
	if err != nil {
		return err
	}
	r.o.faults.pass("step noted")
	r.advance(row)
	return nil
}

// noted is the row with the step noted, not yet stored.
func (r *run) noted(step string, linked bool) (store.JobRow, error) {
	links, err := r.o.Units.LinksChanged()
	if err != nil {
		return store.JobRow{}, err
	}
	m := r.mark
	m.Linked, m.Links = linked, links
	row := r.row
	row.Step, row.Mark, row.BootID = step, m.encode(), r.o.BootID
	row.State = server.JobRunning
	if row.StartedAt.IsZero() {
		row.StartedAt = time.Now().UTC()
	}
	return row, nil
}

func stepOf(row store.JobRow) store.StepUpdate {
	return store.StepUpdate{JobID: row.ID, Step: row.Step, Mark: row.Mark, BootID: row.BootID, StartedAt: row.StartedAt}
}

// advance takes over a row that was stored and shows its state.
func (r *run) advance(row store.JobRow) {
	first := r.row.State != server.JobRunning
	r.row = row
	if len(row.Mark) > 0 {
		_ = json.Unmarshal(row.Mark, &r.mark) // written by encode
	}
	if first {
		r.show(func(j *server.Job) { j.State, j.StartedAt = row.State, row.StartedAt })
	}
}

// say shows what the job is doing.
func (r *run) say(text string) {
	r.show(func(j *server.Job) { j.Progress = &server.Progress{Text: text} })
}

// show publishes a change of the job, unless it was superseded meanwhile.
func (r *run) show(change func(*server.Job)) {
	if r.whole != nil {
		r.whole.show(change)
		return
	}
	o := r.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.job.State.Finished() {
		return
	}
	job := *r.job
	change(&job)
	r.job = &job
	o.emit(&Event{Type: EventJob, value: r.job})
	o.publish(r.rec, server.ByJob)
}

// jobError is an error as a job shows it. The text of an error that is not
// ours may hold anything, so it goes to the journal only.
func jobError(err error) *server.JobError {
	var e *server.Error
	if !errors.As(err, &e) {
		return &server.JobError{Code: server.CodeInternal, Detail: "left4med met an unexpected error; `journalctl -u left4med` tells more"}
	}
	je := &server.JobError{Code: e.Code, Detail: server.Visible(e.Detail)}
	var failed *startFailure
	if errors.As(err, &failed) {
		je.Logs = failed.logs
	}
	return je
}
