package unitctl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// Start starts a unit (StartUnit, mode "replace") and waits until systemd's job
// for it ends: with the job's result, with ctx's error, or with
// ErrConnectionLost. Neither ctx nor a lost connection takes the job back. A job
// that ends "done" does not prove that the unit runs: read its state.
func (m *Manager) Start(ctx context.Context, unit string) (JobResult, error) {
	return m.job(ctx, "start", "StartUnit", unit)
}

// Stop stops a unit, also one whose start hangs: that start's job then ends
// "canceled", and the unit may end failed, since a signal is no clean end of an
// ExecStartPre=. A unit that failed before stays failed. A unit that is not
// loaded is stopped already, also when it has no unit file. It waits as Start
// does.
func (m *Manager) Stop(ctx context.Context, unit string) (JobResult, error) {
	r, err := m.job(ctx, "stop", "StopUnit", unit)
	if refusal(err) == errNoSuchUnit {
		return JobDone, nil
	}
	return r, err
}

// Restart stops and starts a unit, or starts it when it does not run. It counts
// against the unit's start limit. It waits as Start does.
func (m *Manager) Restart(ctx context.Context, unit string) (JobResult, error) {
	return m.job(ctx, "restart", "RestartUnit", unit)
}

// Begin is Start in two halves: it returns when systemd has queued the start, so
// that a Stop that is asked for afterwards takes it back. wait, which must be
// called, waits for its end as Start does.
func (m *Manager) Begin(ctx context.Context, unit string) (wait func(context.Context) (JobResult, error), err error) {
	return m.queueJob(ctx, "start", "StartUnit", unit)
}

// job asks for a job and waits for its end.
func (m *Manager) job(ctx context.Context, verb, method, unit string) (JobResult, error) {
	wait, err := m.queueJob(ctx, verb, method, unit)
	if err != nil {
		return "", err
	}
	return wait(ctx)
}

// queueJob asks for a job of a unit of ours.
func (m *Manager) queueJob(ctx context.Context, verb, method, unit string) (wait func(context.Context) (JobResult, error), err error) {
	if err := checkOwn(unit); err != nil {
		return nil, err
	}
	return m.enqueue(ctx, verb, method, unit)
}

// enqueue asks for a job. The caller has checked the unit's name.
func (m *Manager) enqueue(ctx context.Context, verb, method, unit string) (wait func(context.Context) (JobResult, error), err error) {
	doing := verb + " " + unit
	l, err := m.live()
	if err != nil {
		return nil, err
	}
	call := l.jobs.begin()
	reply, err := l.call(ctx, managerPath, managerFace+"."+method, unit, "replace")
	var path dbus.ObjectPath
	if err == nil {
		err = fields(reply.Body, &path)
	}
	if err != nil {
		l.jobs.end(call)
		return nil, explain(doing, err)
	}
	done := l.jobs.await(call, path)
	return func(ctx context.Context) (JobResult, error) { return l.awaitJob(ctx, doing, path, done) }, nil
}

// awaitJob waits for the end of a job.
func (l *link) awaitJob(ctx context.Context, doing string, path dbus.ObjectPath, done <-chan JobResult) (JobResult, error) {
	var err error
	select {
	case r := <-done:
		return r, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.lost:
		err = ErrConnectionLost
	}
	l.jobs.abandon(path, done)
	select {
	case r := <-done: // came at the same moment
		return r, nil
	default:
		return "", explain("wait for systemd to "+doing, err)
	}
}

// ResetFailed makes systemd forget that a unit failed, and how often it was
// started, so that its start limit is whole again. For a unit that is not loaded
// there is nothing to forget, which is no error.
func (m *Manager) ResetFailed(ctx context.Context, unit string) error {
	if err := checkOwn(unit); err != nil {
		return err
	}
	l, err := m.live()
	if err != nil {
		return err
	}
	_, err = l.call(ctx, managerPath, managerFace+".ResetFailedUnit", unit)
	if refusal(err) == errNoSuchUnit {
		return nil
	}
	return explain("reset the failure of "+unit, err)
}

// Freeze makes the processes of a server's unit stand still until Thaw, and
// returns when they do. One that stands still already is no error. Systemd's
// state of the unit does not change; a stop thaws it.
func (m *Manager) Freeze(ctx context.Context, unit string) error {
	err := m.freezer(ctx, "FreezeUnit", unit)
	if name := refusal(err); name != "" && name != errNoSuchUnit {
		return &server.Error{Code: server.CodeJobFailed, Err: err,
			Detail: "Cannot freeze " + unit + ": systemd refuses: " + server.Visible(err.Error()) + ". Ask again when it neither starts nor stops, or stop it first."}
	}
	return explain("freeze "+unit, err)
}

// Thaw lets the processes of a server's unit go on, and returns when they do. For
// a unit that is not frozen, does not run or is not loaded there is nothing to
// do, which is no error.
func (m *Manager) Thaw(ctx context.Context, unit string) error {
	err := m.freezer(ctx, "ThawUnit", unit)
	if name := refusal(err); name == errNoSuchUnit || name == errUnitInactive {
		return nil
	}
	return explain("thaw "+unit, err)
}

func (m *Manager) freezer(ctx context.Context, method, unit string) error {
	if err := checkUnit(unit); err != nil {
		return err
	}
	l, err := m.live()
	if err != nil {
		return err
	}
	_, err = l.call(ctx, managerPath, managerFace+"."+method, unit)
	return err
}

// EnableUnitFiles makes units start at boot. It is one call: with one masked
// unit among them, systemd enables none. It needs no reload for the next boot,
// but until one systemd's own UnitFileState is stale.
//
// An entry that is in the way in a .wants directory is replaced (force): a link
// to where the template used to be, or to /dev/null, would otherwise fail the
// whole call. A masked unit stays masked and is refused.
func (m *Manager) EnableUnitFiles(ctx context.Context, units []string) error {
	if err := checkUnits(units); err != nil || len(units) == 0 {
		return err
	}
	l, err := m.live()
	if err != nil {
		return err
	}
	const runtime, force = false, true
	reply, err := l.call(ctx, managerPath, managerFace+".EnableUnitFiles", units, runtime, force)
	if err != nil {
		return explain("enable "+some(units), err)
	}
	if len(reply.Body) < 1 || reply.Body[0] != true {
		return server.Errorf(server.CodeTemplateMissing,
			"%s has no [Install] section, so systemd cannot start it at boot; put the shipped template back in place.", server.Template)
	}
	return nil
}

// DisableUnitFiles makes units no longer start at boot: it removes their links
// from every .wants and .requires directory below the unit path. It is one call.
// A unit that is not enabled is no error.
func (m *Manager) DisableUnitFiles(ctx context.Context, units []string) error {
	if err := checkUnits(units); err != nil || len(units) == 0 {
		return err
	}
	l, err := m.live()
	if err != nil {
		return err
	}
	err = l.disable(ctx, units)
	if name := refusal(err); name == errNoSuchUnit || name == errFileNotFound {
		// Without the template systemd removes the links that are there, but
		// fails for a unit that has none.
		links, linksErr := m.Links()
		if linksErr != nil {
			return fmt.Errorf("cannot read the enablement links: %w", linksErr)
		}
		var linked []string
		for _, u := range units {
			if instance, _ := server.Instance(u); links.Enabled[instance] {
				linked = append(linked, u)
			}
		}
		err = nil
		if len(linked) > 0 {
			err = l.disable(ctx, linked)
		}
	}
	return explain("disable "+some(units), err)
}

func (l *link) disable(ctx context.Context, units []string) error {
	const runtime = false
	_, err := l.call(ctx, managerPath, managerFace+".DisableUnitFiles", units, runtime)
	return err
}

// Reload makes systemd read all unit files again, and returns when it has: the
// Reloaded event may follow. It takes time for every loaded unit, on 257 also for
// the BPF programs of every running one, in which systemd does nothing else.
func (m *Manager) Reload(ctx context.Context) error {
	l, err := m.live()
	if err != nil {
		return err
	}
	_, err = l.call(ctx, managerPath, managerFace+".Reload")
	return explain("reload systemd's unit files", err)
}

// some names at most three units.
func some(units []string) string {
	const most = 3
	if len(units) <= most {
		return strings.Join(units, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(units[:most], ", "), len(units)-most)
}

// The errors that systemd gives (bus-common-errors.h, sd-bus-protocol.h).
const (
	errNoSuchUnit   = "org.freedesktop.systemd1.NoSuchUnit"
	errUnitInactive = "org.freedesktop.systemd1.UnitInactive"
	errMasked       = "org.freedesktop.systemd1.UnitMasked"
	errLoadFailed   = "org.freedesktop.systemd1.LoadFailed"
	errBadSetting   = "org.freedesktop.systemd1.BadUnitSetting"
	errDestructive  = "org.freedesktop.systemd1.TransactionIsDestructive"
	errShuttingDown = "org.freedesktop.systemd1.ShuttingDown"
	errFileNotFound = "org.freedesktop.DBus.Error.FileNotFound"
	errDenied       = "org.freedesktop.DBus.Error.AccessDenied"
	errLimits       = "org.freedesktop.DBus.Error.LimitsExceeded"
)

// refusal is the D-Bus name of an error that systemd gave, or empty.
func refusal(err error) string {
	var refused dbus.Error
	if errors.As(err, &refused) {
		return refused.Name
	}
	return ""
}

// explain makes of an error what a person can act on: a *server.Error, except
// for ctx's own errors. The original stays in the chain.
func explain(doing string, err error) error {
	fail := func(code server.Code, detail string) error {
		return &server.Error{Code: code, Detail: "Cannot " + doing + ": " + detail, Err: err}
	}
	switch refusal(err) {
	case errMasked:
		return fail(server.CodeMasked, "the unit, or the template, is masked. 'systemctl unmask' lifts that.")
	case errNoSuchUnit, errFileNotFound:
		return fail(server.CodeTemplateMissing, "systemd finds no unit file for it. Install left4med's "+server.Template+" again, then run 'systemctl daemon-reload'.")
	case errLoadFailed, errBadSetting:
		return fail(server.CodeTemplateMissing, "systemd cannot load its unit file. 'systemd-analyze verify' with the unit's name says why.")
	case errDestructive, errShuttingDown:
		return fail(server.CodeShuttingDown, "systemd has a job queued that forbids it, as it has while the host goes down.")
	case errDenied:
		return fail(server.CodeSystemdUnavailable, "systemd denies it to left4med, which must run as root.")
	case errLimits:
		return fail(server.CodeSystemdUnavailable, "systemd limits how often it may be asked (ReloadLimitBurst= in systemd-system.conf(5)). Try again later.")
	case "":
	default:
		return fail(server.CodeInternal, "systemd refuses: "+server.Visible(err.Error())+".")
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrConnectionLost):
		return fail(server.CodeSystemdUnavailable, "the connection to systemd broke before it answered. It may have been done or not: look at the state, then ask again.")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("cannot %s: %w", doing, err)
	}
	return fail(server.CodeInternal, "systemd's answer cannot be read.")
}
