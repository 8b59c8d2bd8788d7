package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// heldAtOnce is how many servers an install stops side by side.
const heldAtOnce = 16

// recordOfHeld is what to work on for a server that is held: the orphan's of no
// server. It is nil when the server is gone.
func (o *Orchestrator) recordOfHeld(h held) *record {
	if h.ID == 0 {
		return orphanRecord(h.Name)
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if r := o.records[server.Name(h.Name)]; r != nil && r.row.ID == h.ID {
		return r
	}
	return nil
}

// holdServers stops what runs, without disabling it, and ends its mounts: the
// kernel does not take in changes of layers below a mount.
func (r *run) holdServers(all []held) error {
	if len(all) == 0 {
		return nil
	}
	r.say("stopping " + heldNames(all))
	g, ctx := errgroup.WithContext(r.ctx)
	g.SetLimit(heldAtOnce)
	for _, h := range all {
		g.Go(func() error {
			rec := r.o.recordOfHeld(h)
			if rec == nil {
				return nil
			}
			return r.of(rec, ctx).holdServer()
		})
	}
	err := g.Wait()
	if cause := context.Cause(r.ctx); cause != nil {
		return cause
	}
	return err
}

func (r *run) holdServer() error {
	name := r.rec.row.Name
	if err := r.stopUnit(); err != nil {
		return err
	}
	if _, err := server.ParseName(string(name)); err != nil {
		return nil // an orphan that has no other units
	}
	for _, unit := range []string{name.OverlayUnit(), name.UpperUnit()} {
		if err := r.endUnit(unit); err != nil {
			return err
		}
	}
	return r.unmountForeign()
}

// bringBack starts what ran before the install, side by side, and returns what did
// not come to run. Who was stopped, deleted or disabled meanwhile stays so.
func (r *run) bringBack(all []held) (missing []string) {
	o := r.o
	if len(all) > 0 {
		r.say("starting again: " + heldNames(all))
	}
	var mu sync.Mutex
	var g sync.WaitGroup
	for _, h := range all {
		g.Go(func() {
			rec := o.recordOfHeld(h)
			if rec == nil {
				return
			}
			err := r.of(rec, o.jobsCtx).comeBack(h, r.row.ID)
			if o.jobsCtx.Err() != nil {
				return // the next start of the daemon goes on
			}
			o.letGo(rec)
			if err != nil {
				o.Log.Warn().Err(err).Str("SERVER", h.Name).Int64("JOB", r.row.ID).Msg("a server that was stopped for an install did not come back")
				mu.Lock()
				defer mu.Unlock()
				missing = append(missing, server.Visible(h.Name))
			}
		})
	}
	g.Wait()
	slices.Sort(missing)
	return missing
}

// letGo has a server that was held judged again.
func (o *Orchestrator) letGo(rec *record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rec.held = false
	o.publish(rec, server.ByJob)
}

// comeBack starts a server again, for the job with an id.
func (r *run) comeBack(h held, job int64) error {
	endTurn, err := r.o.starts.take(r.ctx, func() {})
	if err != nil {
		return err
	}
	defer endTurn()
	var started bool
	err = r.reach(func() error {
		wait, err := r.beginAgain(h, job)
		if started = wait != nil; err != nil || !started {
			return err
		}
		_, err = wait(r.ctx)
		return err
	})
	if err != nil || !started {
		return err
	}
	if wanted, err := r.wantedAgain(h, job); err != nil || !wanted {
		if err == nil {
			err = r.stopUnit() // it was disabled beside the start
		}
		return err
	}
	u, err := r.readAgain()
	if err == nil && u.Active != "active" {
		err = fmt.Errorf("%s is %s/%s after its start", r.rec.row.Name.Unit(), u.Active, u.Sub)
	}
	return err
}

// beginAgain has the start queued, while no request for the server is judged: a
// stop that comes later finds it and takes it back. It returns nil when the server
// is to stay down.
func (r *run) beginAgain(h held, job int64) (wait func(context.Context) (unitctl.JobResult, error), err error) {
	for {
		var other *run
		err := r.alone(func() error {
			r.o.mu.RLock()
			other = r.rec.run
			r.o.mu.RUnlock()
			if other != nil {
				return nil
			}
			wanted, err := r.wantedAgain(h, job)
			if err != nil || !wanted {
				return err
			}
			if err := r.o.Units.ResetFailed(r.ctx, r.rec.row.Name.Unit()); err != nil {
				return err
			}
			wait, err = r.o.Units.Begin(r.ctx, r.rec.row.Name.Unit())
			return err
		})
		if err != nil || other == nil {
			return wait, err
		}
		select { // what is asked of the server meanwhile comes first
		case <-other.done:
		case <-r.ctx.Done():
			return nil, context.Cause(r.ctx)
		}
	}
}

// wantedAgain says whether a server is still to run: nobody has disabled it, and
// no job that was asked for after the install was to stop it.
func (r *run) wantedAgain(h held, job int64) (bool, error) {
	o := r.o
	if h.ID != 0 && o.recordOfHeld(h) != r.rec {
		return false, nil
	}
	linked, err := o.Units.Linked(h.Name)
	if err != nil || h.Linked && !linked {
		return false, err
	}
	const newest = 100 // more than one install gives time for
	later, err := o.Jobs(r.ctx, JobFilter{Server: server.Name(h.Name), Limit: newest})
	return !slices.ContainsFunc(later, func(j *server.Job) bool { return j.ID > job && j.Kind.Ends() }), err
}
