package orchestrator

import (
	"context"
	"errors"
	"fmt"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// create makes the files of a new server. A crash at any point leaves a row in
// phase "creating" whose job begins again; a failure takes everything back.
func (r *run) create() error {
	o, name := r.o, r.rec.row.Name
	if err := r.begin(false); err != nil {
		return err
	}
	r.say("writing the instance's files")
	err := o.Files.Create(r.ctx, name, r.rec.row.ID, r.rec.row.Config)
	if err == nil {
		if _, err := o.setUnit(r.ctx, name, r.rec.row.Config); err != nil {
			o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot set the ports and limits of a new server; its first start tries again")
		}
		o.faults.pass("files created")
		err = r.ready()
	}
	if err != nil {
		if r.ctx.Err() == nil {
			err = errors.Join(err, r.takeBack())
		}
		return err
	}
	// A new server shall be seen at once; the next resync would do as well.
	if _, err := o.reread(r.ctx, r.rec, server.ByJob); err != nil {
		o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot read the unit of a new server")
	}
	return nil
}

// ready stores and shows that the server's files are there.
func (r *run) ready() error {
	o := r.o
	err := o.insist(o.jobsCtx, "that the server is ready", func(ctx context.Context) error {
		return o.Store.SetPhase(ctx, r.rec.row.ID, server.PhaseReady)
	})
	if err != nil {
		return err
	}
	o.faults.pass("phase ready")
	o.setPhase(r.rec, server.PhaseReady)
	return nil
}

// takeBack removes what a failed create made. What stands in the instance's
// place without its id is somebody else's and stays.
func (r *run) takeBack() error {
	o, name := r.o, r.rec.row.Name
	if on, err := o.Files.Read(name); err == nil && on.ID == r.rec.row.ID {
		if err := errors.Join(o.Files.Retire(name), o.Files.Remove(name), o.Units.Forget(o.jobsCtx, name.Unit())); err != nil {
			return fmt.Errorf("cannot remove what was made of %s: %w", name, err)
		}
	}
	return r.forget()
}

// delete disables, stops, unmounts and removes the server. Every step looks
// first, so that a job that was cut off begins again at the top: whoever enabled
// the unit after its files were gone would leave a link to nothing.
func (r *run) delete() error {
	o, name := r.o, r.rec.row.Name
	if err := r.takeDown(); err != nil {
		if errors.Is(err, &server.Error{Code: server.CodeMasked}) {
			err = errors.Join(err, r.ready()) // nothing of it is gone: it is a server as before
		}
		return err
	}
	r.say("removing its files")
	if err := r.retire(o.Files.Retire); err != nil {
		return err
	}
	if err := errors.Join(o.Files.RemoveBackups(name), o.Files.Remove(name)); err != nil {
		return err
	}
	if err := r.reach(func() error { return o.Units.Forget(r.ctx, name.Unit()) }); err != nil {
		if unreached(err) || r.ctx.Err() != nil {
			return err
		}
		o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot take back the ports and limits of a deleted server; `systemctl revert` does it")
	}
	o.faults.pass("files removed")
	return r.forget()
}

// reset disables, stops and unmounts the server and gives it an empty upper
// layer, after a backup. It begins again at the top as delete does.
func (r *run) reset() error {
	return r.renewed(server.BackupBeforeReset)
}

// renewed takes the server down, saves what it was, and gives it an empty upper
// layer.
func (r *run) renewed(reason server.BackupReason) error {
	if err := r.savable(reason); err != nil {
		return err
	}
	if err := r.takeDown(); err != nil {
		return err
	}
	if err := r.save(reason); err != nil {
		return err
	}
	r.say("removing what the game wrote")
	if err := r.retire(r.o.Files.RetireRuntime); err != nil {
		return err
	}
	err := r.alone(func() error { return r.o.Files.Renew(r.rec.row.Name) })
	if err != nil {
		return err
	}
	r.o.faults.pass("runtime renewed")
	return nil
}

// takeDown disables, stops and unmounts the server.
func (r *run) takeDown() error {
	if err := r.link(false); err != nil {
		return err
	}
	r.say("stopping")
	if err := r.stopUnit(); err != nil {
		return err
	}
	r.say("unmounting")
	name := r.rec.row.Name
	for _, unit := range []string{name.OverlayUnit(), name.UpperUnit()} { // the server's stop does not wait for them
		if err := r.endUnit(unit); err != nil {
			return err
		}
	}
	if err := r.unmountForeign(); err != nil {
		return err
	}
	r.o.faults.pass("unmounted")
	return nil
}

// unmountForeign ends a mount that no overlay unit has made: that of an adopted
// server which was never started since, or one made by hand.
func (r *run) unmountForeign() error {
	name := r.rec.row.Name
	if mounted, err := r.o.Files.Mounted(name); err != nil || !mounted {
		return err
	}
	return r.endUnit(name.MountUnit())
}

// retire moves the server's files away and has the upper layer among them
// emptied. What an earlier reset moved away and could not empty is dealt with
// first.
func (r *run) retire(move func(server.Name) error) error {
	o, name := r.o, r.rec.row.Name
	twice, err := o.Files.Twice(name)
	if err != nil {
		return err
	}
	if twice {
		if err := r.clearUpper(); err != nil {
			return err
		}
		if err := o.Files.RemoveRuntime(name); err != nil {
			return err
		}
	}
	if err := r.alone(func() error { return move(name) }); err != nil {
		return err
	}
	o.faults.pass("retired")
	if err := r.clearUpper(); err != nil {
		return err
	}
	o.faults.pass("upper layer cleared")
	return nil
}

// alone does something while no request may change the server's settings, and
// with them its files.
func (r *run) alone(do func() error) error {
	select {
	case r.rec.claimed <- struct{}{}:
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	defer func() { <-r.rec.claimed }()
	return do()
}

// clearUpper has the upper layer emptied by a unit that runs with the game's
// own uid: root does not walk a tree that a game could write.
func (r *run) clearUpper() error {
	unit := r.rec.row.Name.ClearUnit()
	result, err := r.runHelper(unit)
	if err == nil && result != unitctl.JobDone {
		err = server.Errorf(server.CodeInstanceFiles, "the files that the game %s wrote could not be removed: %s ended as %q; `journalctl -u %s` says why, then ask again",
			r.rec.row.Name, unit, result, unit)
	}
	return err
}

// runHelper has a unit do what left4med itself may not, and waits for its end. A
// failure is forgotten, so that it can be tried again.
func (r *run) runHelper(unit string) (result unitctl.JobResult, err error) {
	err = r.reach(func() (err error) {
		result, err = r.o.Units.Start(r.ctx, unit)
		return err
	})
	if err == nil && result != unitctl.JobDone {
		_ = r.o.Units.ResetFailed(r.ctx, unit)
	}
	return result, err
}

// forget leaves a tombstone in the store, with the end of what alerts told of the
// server, and takes it out of the list.
func (r *run) forget() error {
	o := r.o
	o.mu.RLock()
	ends := o.noticesOfEnd(r.rec)
	o.mu.RUnlock()
	err := o.insist(o.jobsCtx, "that the server is gone", func(ctx context.Context) error {
		return o.alerts.with(ends, func(a *store.Alerts) error { return o.Store.DeleteServer(ctx, r.rec.row.ID, a) })
	})
	if err != nil {
		return err
	}
	o.faults.pass("tombstone set")
	o.mu.Lock()
	o.remove(r.rec)
	o.mu.Unlock()
	return nil
}

func (o *Orchestrator) setPhase(r *record, phase server.Phase) {
	o.mu.Lock()
	r.row.Phase = phase
	o.publish(r, server.ByJob)
	o.mu.Unlock()
}
