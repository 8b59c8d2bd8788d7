package orchestrator

import (
	"context"
	"slices"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// plan is what a request amounts to, decided for each server.
type plan struct {
	jobs    map[server.Name]*server.Job // joined, or made
	refused map[server.Name]*server.Error
	insert  []store.NewJob
	records []*record // of insert
}

// plan decides what a request for a job amounts to, which begins at once, or when it
// may.
func (o *Orchestrator) plan(kind server.JobKind, when server.When, records []*record, who server.Requester) *plan {
	p := &plan{jobs: map[server.Name]*server.Job{}, refused: map[server.Name]*server.Error{}}
	links, err := o.Units.LinksChanged()
	if err != nil {
		links = 0 // then the mark says "changed", which errs on the side of doing nothing
	}
	now := time.Now().UTC()
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, r := range records {
		name := r.row.Name
		current, verdict := o.verdict(r, kind, when)
		switch {
		case o.records[name] != r:
			p.refused[name] = errNoServer(name)
			continue
		case verdict == server.Join:
			p.jobs[name] = current
			continue
		case verdict == server.Busy:
			p.refused[name] = errBusy(name, current)
			continue
		case o.holdsStill(kind):
			p.refused[name] = errInstalling(o.installing())
			continue
		case r.row.Phase != server.PhaseReady && kind != server.JobDelete:
			p.refused[name] = server.Errorf(server.CodeBusy, "the server %s is half made or half removed (%s) and the job that was to end that failed; `l4d2ctl delete %s` removes it", name, r.row.Phase, name)
			continue
		}
		if when == server.WhenEmpty && !o.crowd.counts() && r.state().Live() {
			p.refused[name] = errNeverKnown(string(name))
			continue
		}
		m := mark{Linked: r.enabled, Links: links}
		if when == server.WhenEmpty {
			m.Wait = o.newWait(now)
		}
		job := store.NewJob{Row: store.JobRow{
			Job: server.Job{
				Server: name, ServerID: r.row.ID, Kind: kind, State: server.JobQueued,
				RequestedBy: who, CreatedAt: now,
			},
			Mark: m.encode(), BootID: o.BootID,
		}}
		if verdict == server.Supersede {
			job.Supersedes = append(job.Supersedes, current.ID)
		}
		if w := r.waiter(); w != nil && kind.EndsWait() {
			job.Supersedes = append(job.Supersedes, w.job.ID)
		}
		if kind == server.JobDelete {
			phase := server.PhaseDeleting
			job.Phase = &phase
		}
		p.insert = append(p.insert, job)
		p.records = append(p.records, r)
	}
	return p
}

// verdict judges a request against the server's jobs. One that waits until nobody
// plays is in the way of its like alone. The caller holds o.mu.
func (o *Orchestrator) verdict(r *record, kind server.JobKind, when server.When) (*server.Job, server.Verdict) {
	if when != server.WhenEmpty {
		return r.judged(kind, server.Judge)
	}
	if w := r.waiter(); w != nil {
		return w.job, server.Join
	}
	return r.judged(kind, server.JudgeWait)
}

// judged judges a request against the job at work, if there is one. A job whose
// work is over is no longer in the way. The caller holds o.mu.
func (r *record) judged(kind server.JobKind, judge func(requested, current server.JobKind) server.Verdict) (*server.Job, server.Verdict) {
	if r.run == nil || r.run.ending || r.run.job.State.Finished() {
		return nil, server.Accept
	}
	return r.run.job, judge(kind, r.run.job.Kind)
}

func errBusy(name server.Name, job *server.Job) *server.Error {
	e := server.Errorf(server.CodeBusy, "the server %s has a %s job under way (job %d); wait for it, or cancel it with `l4d2ctl jobs --cancel %d`", name, job.Kind, job.ID, job.ID)
	e.Job = job.ID
	return e
}

func (o *Orchestrator) insertJobs(ctx context.Context, p *plan) error {
	if len(p.insert) == 0 {
		return nil
	}
	o.yield(ctx, p, true)
	rows, err := o.Store.InsertJobs(ctx, p.insert)
	if err != nil {
		o.yield(ctx, p, false)
		return err
	}
	for i := range rows {
		p.insert[i].Row = rows[i]
		o.logJob(&rows[i].Job, nil)
	}
	o.faults.pass("jobs inserted")
	return nil
}

// yield has the jobs whose place the plan's jobs take tell nothing more, since the
// store ends them when it takes in these, and waits until what they told is on the
// disk; or, where that came to nothing, lets them tell again.
func (o *Orchestrator) yield(ctx context.Context, p *plan, yields bool) {
	var any bool
	o.mu.Lock()
	for i, job := range p.insert {
		if r := p.records[i].run; r != nil && slices.Contains(job.Supersedes, r.job.ID) {
			r.yields, any = yields, true
		}
	}
	o.mu.Unlock()
	if any && yields {
		ctx, cancel := context.WithTimeout(ctx, yieldTime)
		defer cancel()
		o.chronicle.settle(ctx)
	}
}

// yieldTime bounds how long a stop waits for the history: on a disk that refuses
// writes it would wait for the next attempt, and is to be told that at once.
const yieldTime = time.Second

// engage starts the work on the stored jobs. Those of one request share a
// cohort, and so one enable call and one reload.
func (o *Orchestrator) engage(p *plan) {
	if len(p.insert) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	runs := make([]*run, len(p.insert))
	var c *cohort
	if len(runs) > 1 {
		c = &cohort{linker: o.linker, missing: len(runs)}
	}
	for i, job := range p.insert {
		r := p.records[i]
		if job.Phase != nil {
			r.row.Phase = *job.Phase
		}
		runs[i] = o.newRun(r, job.Row)
		runs[i].cohort = c
		p.jobs[r.row.Name] = runs[i].job
	}
	o.launch(runs...)
}

// answer puts jobs and refusals in the order in which they were asked for.
func (p *plan) answer(names []server.Name) (jobs []*server.Job, refused []Refusal) {
	seen := map[server.Name]bool{}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		if job := p.jobs[name]; job != nil {
			jobs = append(jobs, job)
		}
		if err := p.refused[name]; err != nil {
			refused = append(refused, Refusal{Server: string(name), Err: err})
		}
	}
	return jobs, refused
}
