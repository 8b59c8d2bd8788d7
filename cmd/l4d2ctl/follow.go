package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/left4med/left4med/client"
)

// How often jobs of which nothing was heard are asked for one by one: first
// soon, for one who may not see their events, then rarely.
const (
	firstCheck = 2 * time.Second
	checkEvery = 10 * time.Second
)

// follower waits for jobs to end, by one stream of events however many there
// are.
type follower struct {
	client   *client.Client
	jobs     []client.Job
	index    map[int64]int // job id to its place in jobs
	open     int           // jobs that have not ended
	view     progress
	patience time.Duration
}

// notice is what the stream of events has to say.
type notice struct {
	event client.Event
	lost  error // the daemon went away
	back  bool  // and is there again
	end   error // the stream is over
}

// follow waits until all jobs have ended and returns them as they ended, in
// their order. after is the event id from before they were asked for, so that
// no end can be missed.
func (a *app) follow(ctx context.Context, c *client.Client, after uint64, jobs []client.Job) ([]client.Job, error) {
	f := &follower{client: c, index: map[int64]int{}, patience: a.patience}
	for _, job := range jobs {
		if _, twice := f.index[job.ID]; twice {
			continue
		}
		f.index[job.ID] = len(f.jobs)
		f.jobs = append(f.jobs, job)
		if !job.State.Finished() {
			f.open++
		}
	}
	f.view = a.newProgress(f.jobs)
	defer func() { f.view.end(f.jobs) }()
	for _, job := range f.jobs {
		f.view.update(job)
	}
	if f.open == 0 {
		return f.jobs, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	notices := f.listen(ctx, after)
	defer func() { // the stream has ended before the program goes on
		cancel()
		for range notices {
		}
	}()
	return f.jobs, f.wait(ctx, notices)
}

// listen turns the stream of events into notices; the channel is closed at its
// end.
func (f *follower) listen(ctx context.Context, after uint64) <-chan notice {
	notices := make(chan notice)
	tell := func(n notice) {
		select {
		case notices <- n:
		case <-ctx.Done():
		}
	}
	go func() {
		defer close(notices)
		opts := client.EventsOptions{
			After: after,
			Lost:  func(err error) { tell(notice{lost: err}) },
			Back:  func() { tell(notice{back: true}) },
		}
		for event, err := range f.client.Events(ctx, opts) {
			if err != nil {
				tell(notice{end: err})
				return
			}
			tell(notice{event: event})
		}
	}()
	return notices
}

func (f *follower) wait(ctx context.Context, notices <-chan notice) error {
	check := time.NewTimer(firstCheck)
	defer check.Stop()
	redraw := time.NewTicker(100 * time.Millisecond)
	defer redraw.Stop()
	var gone <-chan time.Time // fires when the daemon was away for too long
	var lost error
	for f.open > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-redraw.C:
			f.view.draw()
		case <-gone:
			return lost
		case <-check.C:
			if err := f.check(ctx); err != nil {
				return err
			}
			check.Reset(checkEvery)
		case n, ok := <-notices:
			switch {
			case !ok:
				return context.Cause(ctx)
			case n.end != nil:
				return n.end
			case n.lost != nil:
				if lost = n.lost; gone == nil {
					f.view.note("left4med does not answer; waiting for it to come back (its jobs go on then)")
					gone = time.After(f.patience)
				}
			case n.back:
				f.view.note("left4med is there again")
				gone = nil
			case n.event.Type == client.EventReset:
				if err := f.check(ctx); err != nil {
					return err
				}
			case n.event.Type == client.EventJob:
				f.update(*n.event.Job)
			}
		}
	}
	return nil
}

// update takes in a job's new state. Events may repeat what is known, and a job
// that has ended never changes again.
func (f *follower) update(job client.Job) {
	i, ours := f.index[job.ID]
	if !ours || f.jobs[i].State.Finished() {
		return
	}
	f.jobs[i] = job
	if job.State.Finished() {
		f.open--
	}
	f.view.update(job)
}

// check asks for every job that has not ended.
func (f *follower) check(ctx context.Context) error {
	for _, job := range slices.Clone(f.jobs) {
		if job.State.Finished() {
			continue
		}
		now, err := f.client.Job(ctx, job.ID)
		var refused *client.Error
		switch {
		case err == nil:
			f.update(*now)
		case errors.As(err, &refused) && !refused.Temporary():
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default: // the stream of events says when the daemon is back
			return nil
		}
	}
	return nil
}
