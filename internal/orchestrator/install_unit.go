package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// oneshot is one run of a unit that works on the installation, from before its
// start to its end, whether or not this daemon has seen all of it.
type oneshot struct {
	o          *Orchestrator
	unit       string
	before     string    // the unit's last run before this one
	invocation string    // this run; empty: it has not begun, or is not known
	began      time.Time // what the journal says of the unit from then on is this run's; zero: it was not begun

	note  func() error                // stores the three above
	line  func(timedLine)             // takes what the unit says, as it says it
	reach func(do func() error) error // does what asks systemd, again after the connection broke
}

// timedLine is what a unit said, and when.
type timedLine struct {
	at time.Time
	server.InstallLine
}

// runLook is how often a unit that was started is looked at until its run is known.
const runLook = 100 * time.Millisecond

// run starts the unit, unless its run is under way or over, waits for its end and
// returns what it said for programs. The error says why it failed, with its last
// lines.
func (w *oneshot) run(ctx context.Context) (said server.InstallLine, err error) {
	var over unitctl.Oneshot
	err = w.reach(func() (err error) {
		over, err = w.runOnce(ctx)
		return err
	})
	if err != nil {
		return said, err
	}
	lines, said := w.said(ctx)
	if over.Active != "failed" {
		return said, nil
	}
	return said, &startFailure{err: w.failed(over, said.Fault), logs: lines[max(0, len(lines)-logLines):]}
}

// runOnce is run over one connection to systemd, to what the unit is at its end.
func (w *oneshot) runOnce(ctx context.Context) (over unitctl.Oneshot, err error) {
	now, err := w.o.Units.Oneshot(ctx, w.unit)
	switch {
	case err != nil:
		return now, err
	case w.began.IsZero() || !now.Working() && !w.ran(now):
		w.before, w.invocation, w.began = now.InvocationID, "", time.Now().UTC()
		if err := w.note(); err != nil {
			return now, err
		}
	case !now.Working():
		return now, nil
	}
	wait, err := w.o.Units.Begin(ctx, w.unit) // of a unit that is at work it only waits for the end
	if err != nil {
		return now, err
	}
	var end ending
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end.result, end.err = wait(ctx)
	}()
	w.identify(ctx, ended)
	following, enough := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		w.follow(following)
	}()
	<-ended
	enough()
	<-followed
	return w.overNow(ctx, end)
}

// ending is how systemd's job to start a unit ended.
type ending struct {
	result unitctl.JobResult
	err    error
}

// ran says whether what systemd knows of a unit that is not at work is the end of
// this run. systemd soon forgets one that ended well.
func (w *oneshot) ran(now unitctl.Oneshot) bool {
	if now.Active == "failed" {
		return now.InvocationID == w.invocation || w.invocation == "" && now.InvocationID != w.before
	}
	return w.invocation != "" && (now.InvocationID == "" || now.InvocationID == w.invocation)
}

// overNow reads what the unit is after systemd's job for it ended.
func (w *oneshot) overNow(ctx context.Context, end ending) (unitctl.Oneshot, error) {
	if end.err != nil {
		return unitctl.Oneshot{}, end.err
	}
	over, err := w.o.Units.Oneshot(ctx, w.unit)
	if err == nil && end.result != unitctl.JobDone && over.Active != "failed" {
		over.Active, over.Result = "failed", string(end.result) // it did not come to a run, or was stopped
	}
	return over, err
}

// identify waits until it is known which run of the unit this one is, and stores
// that, or until it ended.
func (w *oneshot) identify(ctx context.Context, ended <-chan struct{}) {
	look := time.NewTicker(runLook)
	defer look.Stop()
	for w.invocation == "" {
		now, err := w.o.Units.Oneshot(ctx, w.unit)
		if err == nil && now.InvocationID != "" && now.InvocationID != w.before {
			w.invocation = now.InvocationID
			if err := w.note(); err != nil {
				w.o.Log.Warn().Err(err).Msg("cannot store which run of a unit is ours")
			}
			return
		}
		select {
		case <-ended:
			return
		case <-look.C:
		}
	}
}

// follow hands on what the unit says. Without it the job goes on all the same.
func (w *oneshot) follow(ctx context.Context) {
	const few = 30
	err := w.o.Logs.Follow(ctx, w.unit, w.invocation, few, w.began, func(at time.Time, message string) {
		w.line(timedLine{at, server.ParseInstallLine(message)})
	})
	if err != nil && ctx.Err() == nil {
		w.o.Log.Warn().Err(err).Str("UNIT", w.unit).Msg("cannot follow what a unit says; its job goes on without progress")
	}
}

// saidLines is how many of the unit's last lines are looked through for what it
// says for programs: that comes last.
const saidLines = 100

// said reads the unit's last lines, and what they say for programs.
func (w *oneshot) said(ctx context.Context) (lines []string, said server.InstallLine) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	lines, err := w.o.Logs.Tail(ctx, w.unit, saidLines, w.began)
	if err != nil {
		w.o.Log.Warn().Err(err).Str("UNIT", w.unit).Msg("cannot read what a unit said")
	}
	for _, text := range lines {
		l := server.ParseInstallLine(text)
		set := func(to *string, from string) {
			if from != "" {
				*to = from
			}
		}
		set(&said.Fault, l.Fault)
		set(&said.Installed, l.Installed)
		set(&said.Latest, l.Latest)
	}
	return lines, said
}

// failed words how a run failed.
func (w *oneshot) failed(over unitctl.Oneshot, fault string) *server.Error {
	code := server.CodeJobFailed
	if over.Result == "exit-code" {
		code = server.InstallExit(over.Status).Code()
	}
	detail := fault
	if detail == "" {
		detail = fmt.Sprintf("%s ended with result %s (status %d); `journalctl -u %s` shows more", w.unit, over.Result, over.Status, w.unit)
	}
	return &server.Error{Code: code, Detail: server.Visible(detail)}
}

// writeRequest tells left4me-install what to do.
func (o *Orchestrator) writeRequest(validate bool) error {
	if o.RequestFile == "" {
		return nil
	}
	text, err := json.Marshal(server.InstallRequest{Validate: validate, SteamCMD: o.Settings.SteamCMD, Space: o.Settings.InstallSpace})
	if err != nil {
		return err
	}
	temp := o.RequestFile + ".new"
	if err = os.WriteFile(temp, append(text, '\n'), 0o600); err == nil {
		err = os.Rename(temp, o.RequestFile)
	}
	if err != nil {
		return &server.Error{Code: server.CodeStorage, Err: errors.Join(err, os.Remove(temp)),
			Detail: fmt.Sprintf("cannot write %s, which tells %s what to do: make sure that %s can be written, then ask again", o.RequestFile, server.InstallUnit, filepath.Dir(o.RequestFile))}
	}
	return nil
}
