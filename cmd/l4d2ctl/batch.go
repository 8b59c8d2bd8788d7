package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/left4med/left4med/client"
)

// batch is what came of a request over one or many servers. It is what write
// commands print with --json.
type batch struct {
	Server  *client.Server   `json:"server,omitempty"` // of initialize
	Jobs    []client.Job     `json:"jobs"`
	Refused []client.Refusal `json:"refused"`
	Updates *client.Updates  `json:"updates,omitempty"` // of install

	ended func() error // called when all jobs have ended, if it is set
}

// finish sees a request through: it says what was refused, waits for the jobs
// unless noWait is set, and prints everything when JSON is wanted. after is the
// event id from before the request. The error carries the highest of the exit
// codes of all servers.
func (a *app) finish(ctx context.Context, c *client.Client, after uint64, b *batch, noWait bool) error {
	code := exitDone
	for _, r := range b.Refused {
		code = max(code, refusalCode(r.Code))
		a.say("%s: refused (%s): %s", r.Server, string(r.Code), r.Detail)
	}
	if noWait {
		a.queued(b.Jobs)
	} else {
		jobs, err := a.follow(ctx, c, after, b.Jobs)
		b.Jobs = jobs
		if err != nil {
			return a.leave(ctx, err, b)
		}
		for _, job := range jobs {
			if job.State != client.JobSucceeded {
				code = max(code, exitJobFailed)
			}
		}
		if b.ended != nil {
			if err := b.ended(); err != nil {
				return a.leave(ctx, err, b)
			}
		}
	}
	if err := a.printBatch(b); err != nil {
		return err
	}
	if code != exitDone {
		return &exitError{code: code}
	}
	return nil
}

func (a *app) queued(jobs []client.Job) {
	for _, job := range jobs {
		a.say("%s: %s is job %d", subject(job), string(job.Kind), job.ID)
	}
}

// leave says what becomes of jobs that are no longer waited for.
func (a *app) leave(ctx context.Context, why error, b *batch) error {
	open := 0
	var last client.Job
	for _, job := range b.Jobs {
		if !job.State.Finished() {
			open++
			last = job
		}
	}
	code := exitCode(why)
	interrupted := ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTimedOut)
	if interrupted {
		code, why = exitInterrupted, errors.New("interrupted")
	}
	a.say("l4d2ctl: %s", why)
	switch {
	case open == 1 && waiting(last):
		a.say("Job %d (%s %s) goes on. See it with: l4d2ctl jobs; end it with: l4d2ctl jobs --cancel %d", last.ID, string(last.Kind), subject(last), last.ID)
	case open == 1:
		a.say("Job %d (%s %s) goes on. See it with: l4d2ctl jobs", last.ID, string(last.Kind), subject(last))
	case open > 1:
		a.say("%s go on. See them with: l4d2ctl jobs", fmt.Sprintf("%d jobs", open))
	}
	if err := a.printBatch(b); err != nil {
		return err
	}
	return &exitError{code: code}
}

func (a *app) printBatch(b *batch) error {
	if !a.json {
		return nil
	}
	if b.Jobs == nil {
		b.Jobs = []client.Job{}
	}
	if b.Refused == nil {
		b.Refused = []client.Refusal{}
	}
	return a.printJSON(b)
}
