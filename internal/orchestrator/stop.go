package orchestrator

import (
	"context"
	"errors"

	"github.com/left4med/left4med/internal/server"
)

// stop disables and stops the server. It ends when there is no process left,
// whatever way the process took to end.
func (r *run) stop() error {
	linked := r.link(false)
	if linked != nil && !errors.Is(linked, &server.Error{Code: server.CodeMasked}) {
		return linked
	}
	r.say("stopping")
	if err := r.stopUnit(); err != nil {
		return err
	}
	return linked // it is stopped, and not disabled
}

// stopUnit stops the unit and reads what it is afterwards. A unit that failed,
// before or while it stopped (a game that had to be killed), is reset: it was
// stopped because somebody wanted it so.
func (r *run) stopUnit() error {
	unit := r.rec.row.Name.Unit()
	if err := r.endUnit(unit); err != nil {
		return err
	}
	r.o.faults.pass("stopped")
	u, err := r.readAgain()
	if err != nil {
		return err
	}
	if u.Active == "failed" {
		if err := r.forgetFailures(); err != nil {
			return err
		}
		if u, err = r.readAgain(); err != nil {
			return err
		}
	}
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	if u.Active != "inactive" {
		return server.Errorf(server.CodeJobFailed, "the server %s was disabled and told to stop, but the unit is %s/%s again: something else started it; `systemctl status %s` tells more",
			r.rec.row.Name, u.Active, u.Sub, unit)
	}
	return nil
}

// endUnit has systemd stop a unit and waits until that is done.
func (r *run) endUnit(unit string) error {
	err := r.reach(func() error {
		_, err := r.o.Units.Stop(r.ctx, unit)
		return err
	})
	if unloadable(err) {
		return nil
	}
	return err
}

// unloadable recognises systemd's refusal to load a unit: then there is nothing
// to stop, unless the state read afterwards says otherwise.
func unloadable(err error) bool {
	return errors.Is(err, &server.Error{Code: server.CodeTemplateMissing}) || errors.Is(err, &server.Error{Code: server.CodeMasked})
}
