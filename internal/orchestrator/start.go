package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// startFailure is a start that systemd took on and that did not end in a
// running server.
type startFailure struct {
	err  *server.Error
	logs []string // the unit's last lines
}

func (f *startFailure) Error() string { return f.err.Error() }
func (f *startFailure) Unwrap() error { return f.err }

// start enables and starts the server. Each step looks first and may be
// repeated.
func (r *run) start() error {
	if err := r.startable(); err != nil {
		return err
	}
	if err := r.mended(); err != nil {
		return err
	}
	if err := r.unmountOld(); err != nil {
		return err
	}
	r.prune()
	link := func() error { return r.link(true) }
	if r.heals() {
		link = r.keepLink
	}
	if err := link(); err != nil {
		return err
	}
	unit := r.rec.row.Name.Unit()
	begun, result, err := r.bringUp("starting", func() (unitctl.JobResult, error) {
		if r.heals() { // it may have waited for its turn
			if err := r.keepLink(); err != nil {
				return "", err
			}
		}
		r.o.faults.pass("about to start")
		return r.o.Units.Start(r.ctx, unit) // of a unit that is starting or active it only waits for the end
	})
	if err != nil {
		return err
	}
	r.o.faults.pass("started")
	if r.heals() {
		if err := r.yield(); err != nil {
			return err
		}
	}
	return r.settle(begun, result)
}

// restart enables the server, ends its present run and starts a new one. The
// run that is to end is noted with the job's first step.
func (r *run) restart() error {
	if err := r.startable(); err != nil {
		return err
	}
	if err := r.mended(); err != nil {
		return err
	}
	before, err := r.readAgain()
	if err != nil {
		return err
	}
	if r.row.Step == "" {
		r.mark.Invocation = before.InvocationID
	}
	if err := r.link(true); err != nil {
		return err
	}
	begun, result, err := r.bringUp("restarting", r.replaceRun)
	if err != nil {
		return err
	}
	r.o.faults.pass("restarted")
	return r.settle(begun, result)
}

// bringUp begins a run of the unit when it is the server's turn, and says when it
// began and how systemd's job ended. Begin is called again when the connection
// broke.
func (r *run) bringUp(doing string, begin func() (unitctl.JobResult, error)) (begun time.Time, result unitctl.JobResult, err error) {
	endTurn, err := r.turn()
	if err != nil {
		return begun, result, err
	}
	defer endTurn()
	r.say(doing)
	if err := r.forgetFailures(); err != nil {
		return begun, result, err
	}
	begun = time.Now()
	err = r.reach(func() (err error) {
		result, err = begin()
		return err
	})
	return begun, result, err
}

// replaceRun restarts the unit, unless its run is another one already than that
// which was to end: then an earlier attempt came that far, before the daemon was
// killed or the connection broke, and what is left is to wait for the start.
func (r *run) replaceRun() (unitctl.JobResult, error) {
	unit := r.rec.row.Name.Unit()
	u, err := r.o.reread(r.ctx, r.rec, server.ByJob)
	if err != nil {
		return "", err
	}
	if err := r.mayReplace(u); err != nil {
		return "", err
	}
	r.replaced = true
	if u.InvocationID != r.mark.Invocation {
		return r.o.Units.Start(r.ctx, unit)
	}
	return r.o.Units.Restart(r.ctx, unit)
}

// turn waits until the server may be started. The function that it returns ends
// the turn.
func (r *run) turn() (func(), error) {
	return r.o.starts.take(r.ctx, func() { r.say("waiting for its turn to start") })
}

// complete looks whether there is anything to start.
func (r *run) complete() error {
	o, name := r.o, r.rec.row.Name
	o.mu.RLock()
	template, masked := o.host.template, r.rec.masked
	o.mu.RUnlock()
	if masked {
		return server.Errorf(server.CodeMasked, "%s is masked, so systemd will not start it; `systemctl unmask %s` allows it again", name.Unit(), name.Unit())
	}
	if template == "" {
		return server.Errorf(server.CodeTemplateMissing, "systemd has no unit template %s; reinstall the package left4med, or run `l4d2ctl doctor`", server.Template)
	}
	if err := o.Files.Check(name); err != nil {
		o.setMissing(r.rec)
		return err
	}
	return o.Files.Installed()
}

// startable looks whether the server can be started, before anything is changed.
func (r *run) startable() error {
	if err := r.complete(); err != nil {
		return err
	}
	o := r.o
	return r.reach(func() error { return o.untouched(r.ctx) })
}

// setMissing notes that the files of a server are gone, which the next resync
// would find too.
func (o *Orchestrator) setMissing(r *record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r.missing = true
	o.publish(r, server.ByJob)
}

// unmountOld ends the mount of an earlier run. systemd does so a moment after the
// game has ended, but not if the next start is asked for in that moment: the
// game would then run on the layers of before.
func (r *run) unmountOld() error {
	name := r.rec.row.Name
	if mounted, err := r.o.Files.Mounted(name); err != nil || !mounted {
		return err
	}
	if u, err := r.readAgain(); err != nil || server.DeriveState(u).Live() {
		return err
	}
	r.say("unmounting what the last run left")
	return r.endUnit(name.OverlayUnit())
}

// prune removes settings layers that no mount can be using: those of a server
// without a process. Old layers do no harm, so a failure is only told.
func (r *run) prune() {
	r.o.mu.RLock()
	live := server.DeriveState(r.rec.unit).Live()
	r.o.mu.RUnlock()
	if live {
		return
	}
	name := r.rec.row.Name
	err := r.alone(func() error { return r.o.Files.Prune(name) })
	if err != nil && r.ctx.Err() == nil {
		r.o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot remove old settings layers")
	}
}

// forgetFailures makes systemd forget how often the unit was started and that it
// failed, so that its start limit does not refuse what an operator asks for: it
// counts every start, not only those after a crash.
func (r *run) forgetFailures() error {
	return r.reach(func() error { return r.o.Units.ResetFailed(r.ctx, r.rec.row.Name.Unit()) })
}

// settle judges a start by what the unit is afterwards: active, and still the
// same run of it after the settle time.
func (r *run) settle(begun time.Time, result unitctl.JobResult) error {
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	u, err := r.readAgain()
	if err != nil {
		return err
	}
	if u.Active != "active" {
		return r.startFailed(u, begun, result)
	}
	r.say("running; watching whether it stays up")
	invocation, end := u.InvocationID, time.NewTimer(r.o.Settings.Settle)
	defer end.Stop()
	link := r.o.connection()
	for {
		u, changed := r.watchUnit()
		if u.Active != "active" || u.InvocationID != invocation {
			if u, err = r.readAgain(); err != nil {
				return err
			}
			if u.Active != "active" || u.InvocationID != invocation {
				return r.startFailed(u, begun, result)
			}
		}
		select {
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		case <-changed:
		case <-end.C:
			r.o.faults.pass("settled")
			if r.o.connection() == link {
				return nil
			}
			// What happened while there was no connection no signal has told.
			if u, err = r.readAgain(); err == nil && (u.Active != "active" || u.InvocationID != invocation) {
				err = r.startFailed(u, begun, result)
			}
			return err
		}
	}
}

// watchUnit returns what is known of the unit and a channel that closes at the
// next change.
func (r *run) watchUnit() (server.Unit, <-chan struct{}) {
	r.o.mu.RLock()
	defer r.o.mu.RUnlock()
	return r.rec.unit, r.rec.changed
}

// readAgain reads the unit; while the link to systemd is down it waits for it,
// since a job must not end without knowing what became of the server.
func (r *run) readAgain() (server.Unit, error) {
	for {
		u, err := r.o.reread(r.ctx, r.rec, server.ByJob)
		if err == nil || r.ctx.Err() != nil {
			return u, errors.Join(err, context.Cause(r.ctx))
		}
		if !unreached(err) {
			return u, err
		}
		if r.awaitSystemd(r.ctx) != nil {
			return u, context.Cause(r.ctx)
		}
	}
}

// logLines is how much of a failed unit's log a job carries.
const logLines = 15

// startFailed words what became of a start, in systemd's terms, with the
// unit's last lines.
func (r *run) startFailed(u server.Unit, begun time.Time, result unitctl.JobResult) error {
	name := r.rec.row.Name
	units, why := []string{name.Unit()}, ""
	switch {
	case result == "dependency":
		units = []string{name.UpperUnit(), name.OverlayUnit()}
		why = "its files could not be mounted (`systemctl status " + strings.Join(units, " ") + "`)"
	case result == "canceled" || result == "skipped":
		why = fmt.Sprintf("systemd's job ended as %q because something else asked for the opposite; the unit is %s", result, u.Active)
	case u.Result == "start-limit-hit":
		why = "it failed too often in a short time, so systemd gave up (start-limit-hit)"
	case u.Result != "" && u.Result != "success":
		why = fmt.Sprintf("it ended with result %s %.1f s after its start; the unit is %s/%s now", u.Result, time.Since(begun).Seconds(), u.Active, u.Sub)
	default:
		why = fmt.Sprintf("it did not stay up: %.1f s after its start the unit is %s/%s", time.Since(begun).Seconds(), u.Active, u.Sub)
	}
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	var lines []string
	for _, unit := range units {
		tail, err := r.o.Logs.Tail(ctx, unit, logLines/len(units), begun)
		if err != nil {
			r.o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot read the log of a server that failed to start")
		}
		lines = append(lines, tail...)
	}
	return &startFailure{
		err:  server.Errorf(server.CodeJobFailed, "the server %s was enabled but %s; `l4d2ctl logs %s` shows more", name, why, name),
		logs: lines,
	}
}
