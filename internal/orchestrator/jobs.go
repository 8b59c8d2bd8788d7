package orchestrator

import (
	"context"
	"errors"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// Job returns a job, also one that ended long ago.
func (o *Orchestrator) Job(ctx context.Context, id int64) (*server.Job, error) {
	o.mu.RLock()
	r := o.runs[id]
	if r != nil {
		defer o.mu.RUnlock()
		return r.job, nil
	}
	o.mu.RUnlock()
	row, err := o.Store.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	return &row.Job, nil
}

// Jobs returns jobs, newest first.
func (o *Orchestrator) Jobs(ctx context.Context, f JobFilter) ([]*server.Job, error) {
	rows, err := o.Store.Jobs(ctx, store.JobFilter(f))
	if err != nil {
		return nil, err
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	jobs := make([]*server.Job, len(rows))
	for i := range rows {
		jobs[i] = &rows[i].Job
		if r := o.runs[rows[i].ID]; r != nil {
			jobs[i] = r.job // with its progress
		}
	}
	return jobs, nil
}

// WaitJob waits until a job ends. When ctx ends first it returns the job as it
// is, and ctx's error.
func (o *Orchestrator) WaitJob(ctx context.Context, id int64) (*server.Job, error) {
	o.mu.RLock()
	r := o.runs[id]
	o.mu.RUnlock()
	if r == nil {
		return o.Job(ctx, id)
	}
	select {
	case <-r.done:
		return o.Job(context.WithoutCancel(ctx), id)
	case <-o.jobsCtx.Done():
		job, _ := o.Job(ctx, id)
		return job, server.Errorf(server.CodeShuttingDown, "left4med is shutting down; the job goes on at its next start")
	case <-ctx.Done():
		job, err := o.Job(context.WithoutCancel(ctx), id)
		return job, errors.Join(ctx.Err(), err)
	}
}

// Cancel ends a start, a restart or a job about the installation that is queued or
// running; what it had done so far stands, but servers that an install stopped come
// back. What is half made by other jobs would be worse than their end.
func (o *Orchestrator) Cancel(ctx context.Context, id int64, who server.Requester) (*server.Job, error) {
	job, err := o.interrupt(ctx, id)
	if err != nil {
		o.noteRefused(who, "cancel", job.Server, &err)
		return nil, err
	}
	o.noteChange(ctx, server.HistoryEntry{Server: string(job.Server), ServerID: job.ServerID, What: "cancel", Job: id, By: &who})
	return o.WaitJob(ctx, id)
}

// interrupt cancels a job's run and returns the job as it stood, as far as there
// is one: also when it cannot be canceled.
func (o *Orchestrator) interrupt(ctx context.Context, id int64) (server.Job, error) {
	o.mu.Lock()
	r := o.runs[id]
	if r == nil || r.ending || r.job.State.Finished() {
		o.mu.Unlock()
		row, err := o.Store.Job(ctx, id)
		if err != nil {
			return server.Job{}, err
		}
		return row.Job, server.Errorf(server.CodeJobFinished, "job %d has ended already; there is nothing to cancel", id)
	}
	defer o.mu.Unlock()
	job := *r.job
	if !job.Kind.Starts() && !job.Kind.OfHost() {
		return job, server.Errorf(server.CodeInvalidRequest, "job %d is a %s job, and only start, restart, install and check jobs can be canceled; it ends by itself", id, job.Kind)
	}
	r.cancel(errCanceled)
	return job, nil
}
