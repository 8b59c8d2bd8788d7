package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/left4med/left4med/internal/server"
)

// install stops what is to be stopped, has the unit install the game, and brings
// back what ran, whatever came of it. It may be repeated from any point.
func (r *run) install() error {
	if r.row.Step != stepReturn {
		err := r.change()
		if err != nil && errors.Is(context.Cause(r.ctx), errShutdown) {
			return err // the unit goes on
		}
		if err := r.noteOutcome(err); err != nil {
			return err
		}
	}
	if r.mark.Install.Canceled {
		part := r.of(r.o.game.rec, r.o.jobsCtx)
		part.say("stopping " + server.InstallUnit)
		if err := part.endUnit(server.InstallUnit); err != nil {
			return err
		}
	}
	r.o.forgetRun(server.InstallUnit)
	missing := r.bringBack(r.mark.Install.Held)
	if err := context.Cause(r.o.jobsCtx); err != nil {
		return err
	}
	return r.mark.Install.ended(missing)
}

// change stops the servers that run and sees the unit through.
func (r *run) change() error {
	m := r.mark.Install
	if r.row.Step != stepInstall {
		if err := r.begin(false); err != nil {
			return err
		}
		if err := r.holdServers(m.Held); err != nil {
			return err
		}
		if err := r.nothingRuns(); err != nil {
			return err
		}
	}
	said, err := r.seeThrough(server.InstallUnit)
	if err != nil {
		return err
	}
	r.o.learn(said, true)
	return nil
}

// nothingRuns makes sure that no other hand has started a server since. Orphans are
// left out: what is known of them may be from before they were stopped.
func (r *run) nothingRuns() error {
	using, err := r.o.inUse()
	if err != nil {
		return err
	}
	using = slices.DeleteFunc(using, func(h held) bool { return h.ID == 0 })
	if len(using) > 0 {
		return errInUse(using)
	}
	return nil
}

// check has the unit ask Steam for its newest build.
func (r *run) check() error {
	if r.row.Step != stepInstall {
		if err := r.begin(false); err != nil {
			return err
		}
	}
	said, err := r.seeThrough(server.InstallCheckUnit)
	if err == nil {
		r.o.learn(said, false)
		return nil
	}
	if cause := context.Cause(r.ctx); errors.Is(cause, errShutdown) {
		return err
	} else if cause != nil {
		err = errors.Join(cause, r.of(r.rec, r.o.jobsCtx).endUnit(server.InstallCheckUnit))
	}
	r.o.forgetRun(server.InstallCheckUnit)
	return err
}

// seeThrough has a unit work on the installation and shows how far it is. When the
// job is interrupted the unit goes on.
func (r *run) seeThrough(unit string) (said server.InstallLine, err error) {
	o := r.o
	select {
	case o.game.unit <- struct{}{}:
	default:
		r.say("waiting for a check for updates")
		select {
		case o.game.unit <- struct{}{}:
		case <-r.ctx.Done():
			return said, context.Cause(r.ctx)
		}
	}
	defer func() { <-o.game.unit }()
	var pace pace
	m := r.mark.Install
	w := &oneshot{o: o, unit: unit, before: m.Before, invocation: m.Run, began: m.Began, reach: r.reach, line: func(l timedLine) {
		if p := pace.add(l); p != nil {
			r.show(func(j *server.Job) { j.Progress = p })
		}
	}}
	w.note = func() error {
		noted := *m
		noted.Before, noted.Run, noted.Began = w.before, w.invocation, w.began
		return r.noteInstall(stepInstall, noted)
	}
	r.say("starting " + unit)
	if err := o.writeRequest(m.Options.Validate); err != nil {
		return said, err
	}
	return w.run(r.ctx)
}

// noteInstall stores a step with what the job about the installation knows by then.
func (r *run) noteInstall(step string, m installMark) error {
	old := r.mark.Install
	r.mark.Install = &m
	if err := r.note(step, false); err != nil {
		r.mark.Install = old
		return err
	}
	return nil
}

// noteOutcome stores what came of the install, before the servers come back.
func (r *run) noteOutcome(err error) error {
	m := *r.mark.Install
	m.Canceled = err != nil && errors.Is(context.Cause(r.ctx), errCanceled)
	if m.Failure = nil; err != nil && !m.Canceled {
		if m.Failure = jobError(err); m.Failure.Code == server.CodeInternal {
			r.o.Log.Error().Err(err).Int64("JOB", r.row.ID).Msg("the install met an unexpected error") // clients are not told which
		}
	}
	return r.noteInstall(stepReturn, m)
}

// ended is how a job ends, given what could not be brought back.
func (m *installMark) ended(missing []string) error {
	var back string
	if len(missing) > 0 {
		back = fmt.Sprintf("did not come back: %s; `l4d2ctl logs NAME` says why", strings.Join(missing, ", "))
	}
	switch {
	case m.Failure != nil:
		detail := m.Failure.Detail
		if back != "" {
			detail += ". Servers that were stopped for it " + back
		}
		return &startFailure{err: &server.Error{Code: m.Failure.Code, Detail: detail}, logs: m.Failure.Logs}
	case back != "":
		what := "the game is installed, but servers that were stopped for it "
		if m.Canceled {
			what = "it was canceled on request, but servers that were stopped for it "
		}
		return server.Errorf(server.CodeJobFailed, "%s", what+back)
	case m.Canceled:
		return errCanceled
	}
	return nil
}

// of is r's hand on one server, for as long as ctx lasts. What it shows is r's.
func (r *run) of(rec *record, ctx context.Context) *run {
	return &run{o: r.o, rec: rec, ctx: ctx, whole: r}
}

// forgetRun makes systemd forget that a unit failed. What came of it is noted.
func (o *Orchestrator) forgetRun(unit string) {
	if err := o.Units.ResetFailed(o.jobsCtx, unit); err != nil && o.jobsCtx.Err() == nil {
		o.Log.Warn().Err(err).Str("UNIT", unit).Msg("cannot have systemd forget a failure")
	}
}
