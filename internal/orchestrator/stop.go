package orchestrator

import (
	"context"
	"errors"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// stop disables and stops the server. It ends when there is no process left,
// whatever way the process took to end.
func (r *run) stop() error {
	if err := r.link(false); err != nil {
		return err
	}
	r.say("stopping")
	return r.stopUnit()
}

// stopUnit stops the unit and reads what it is afterwards. A unit that failed,
// before or while it stopped (a game that had to be killed), is reset: it was
// stopped because somebody wanted it so.
func (r *run) stopUnit() error {
	unit := r.rec.row.Name.Unit()
	for {
		_, err := r.o.Units.Stop(r.ctx, unit)
		if err == nil || unloadable(err) {
			break
		}
		if !errors.Is(err, unitctl.ErrConnectionLost) {
			return err
		}
		if _, err := r.readAgain(); err != nil { // waits for the link
			return err
		}
	}
	u, err := r.readAgain()
	if err != nil {
		return err
	}
	if u.Active == "failed" {
		if err := r.o.Units.ResetFailed(r.ctx, unit); err != nil {
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

// unloadable recognises systemd's refusal to load a unit: then there is nothing
// to stop, unless the state read afterwards says otherwise.
func unloadable(err error) bool {
	return errors.Is(err, &server.Error{Code: server.CodeTemplateMissing}) || errors.Is(err, &server.Error{Code: server.CodeMasked})
}
