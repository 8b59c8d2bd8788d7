package orchestrator

import (
	"context"
	"errors"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// errNotEmpty says that a restart which was to come when nobody plays must not come
// now after all.
var errNotEmpty = errors.New("somebody plays, or may, or the unit is on its way down")

// restartOrWait restarts the server. One that waited until nobody plays waits on when
// somebody has come, or systemd gone, before its unit was touched: other jobs, the
// disk and the turns to start can take long.
func (r *run) restartOrWait() error {
	for {
		err := r.restart()
		if r.mark.Wait == nil || r.replaced || !errors.Is(err, errNotEmpty) && !unreached(err) {
			return err
		}
		if err := r.waitOn(); err != nil {
			return err
		}
		if err := r.awaitEmpty(); err != nil {
			return err
		}
	}
}

// mayReplace is the last look before a run of the unit is ended that a job has waited
// for: a daemon that was killed after it had taken its place takes it here, too.
func (r *run) mayReplace(u server.Unit) error {
	state := server.DeriveState(u)
	switch {
	case r.mark.Wait == nil || r.mark.Invocation == "" || r.replaced:
		return nil
	case state == server.StateStopped || state == server.StateStopping:
		return errNotEmpty // by another hand: the wait finds out which
	case u.InvocationID != r.mark.Invocation || state != server.StateRunning:
		return nil // it has ended, and nobody is there
	}
	if n, _, known := r.o.crowd.people(r.ctx, r.rec, afresh); !known || n > 0 {
		return errNotEmpty
	}
	return nil
}

// waitOn stores that the job waits as before, and gives the place of the one at work
// back.
func (r *run) waitOn() error {
	o, rec := r.o, r.rec
	linked, err := o.Units.Linked(string(rec.row.Name))
	if err == nil {
		err = r.note(stepWait, linked)
	}
	if err != nil {
		return err
	}
	return r.alone(func() error { // who was judged beside it at work has its place by then
		o.mu.Lock()
		defer o.mu.Unlock()
		if err := context.Cause(r.ctx); err != nil {
			return err
		}
		rec.run, rec.waiting, r.began = nil, r, time.Time{}
		o.lookAgain(rec)
		o.publish(rec, server.ByJob)
		return nil
	})
}
