package unitctl

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/test/machine"
)

// onSystemd runs a test on a machine of each release.
func onSystemd(t *testing.T, test func(t *testing.T, h *host)) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots machines")
	}
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) { test(t, newHost(t, release)) })
}

// states are the active and sub states that a unit went through.
func states(events []Event, unit string) []string {
	var (
		path []string
		u    server.Unit
	)
	for _, e := range events {
		if e.Unit != unit {
			continue
		}
		u = step(u, e)
		if s := u.Active + "/" + u.Sub; u.Active != "" && (len(path) == 0 || path[len(path)-1] != s) {
			path = append(path, s)
		}
	}
	return path
}

// step is a unit's state after an event of that unit.
func step(u server.Unit, e Event) server.Unit {
	switch e.Kind {
	case Changed:
		return e.Change.Apply(u)
	case Removed:
		return server.Unit{Active: "inactive", Sub: "dead"}
	}
	return u
}

// is waits for an event of a unit whose change is as wanted.
func (h *host) is(t *testing.T, mark int, unit, what string, want func(Change) bool) {
	t.Helper()
	h.after(t, mark, unit+" "+what, func(e Event) bool {
		return e.Kind == Changed && e.Unit == unit && want(e.Change)
	})
}

func (h *host) do(t *testing.T, verb func(context.Context, string) (JobResult, error), unit string, want JobResult) {
	t.Helper()
	got, err := verb(bounded(t), unit)
	if err != nil || got != want {
		t.Errorf("%s: %q, %v; want %q", unit, got, err, want)
	}
}

func (h *host) read(t *testing.T, unit string) server.Unit {
	t.Helper()
	u, _, err := h.m.Unit(bounded(t), unit)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// settle waits until all that systemd has told so far is recorded.
func (h *host) settle(t *testing.T, of string) {
	t.Helper()
	_, stamp, err := h.m.Unit(bounded(t), of)
	if err != nil {
		t.Fatal(err)
	}
	fence := Event{Kind: Appeared, Unit: "fence", Stamp: stamp}
	h.m.queue.push(fence)
	h.after(t, 0, "fence", func(e Event) bool { return e.Unit == fence.Unit && e.Stamp == fence.Stamp })
}

func active(want string) func(Change) bool {
	return func(c Change) bool { return c.Active != nil && *c.Active == want }
}

func sub(want string) func(Change) bool {
	return func(c Change) bool { return c.Sub != nil && *c.Sub == want }
}

// jobGone is the last event of a job.
func jobGone(active string) func(Change) bool {
	return func(c Change) bool { return c.Job != nil && *c.Job == 0 && c.Active != nil && *c.Active == active }
}

func TestStartStopRestart(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		a := unit("a")
		if diff := cmp.Diff(server.Unit{Load: "loaded", Active: "inactive", Sub: "dead", Result: "success"}, h.read(t, a)); diff != "" {
			t.Errorf("never started: %s", diff)
		}

		mark := h.mark()
		h.do(t, h.m.Start, a, JobDone)
		h.is(t, mark, a, "started", jobGone("active"))
		// Each release tells the same way.
		want := []string{"inactive/dead", "activating/start-pre", "active/running"}
		if diff := cmp.Diff(want, states(h.since(mark), a)); diff != "" {
			t.Errorf("start: %s", diff)
		}
		// What the signals told is all that can be read at any moment.
		running, stamp, err := h.m.Unit(bounded(t), a)
		if err != nil {
			t.Fatal(err)
		}
		h.settle(t, a)
		var told server.Unit
		for _, e := range h.since(mark) {
			if e.Unit == a && e.Stamp.Before(stamp) {
				told = step(told, e)
			}
		}
		told.Load = "loaded" // never changes, so it is never told
		if diff := cmp.Diff(told, running); diff != "" || running.MainPID == 0 || len(running.InvocationID) != 32 || running.Since.IsZero() {
			t.Errorf("%+v: %s", running, diff)
		}

		h.do(t, h.m.Start, a, JobDone) // runs already
		if again := h.read(t, a); again.InvocationID != running.InvocationID {
			t.Error("a start of what runs started it anew")
		}

		mark = h.mark()
		h.do(t, h.m.Restart, a, JobDone)
		// The end of the start before may be told only now; it is not the restart's.
		down := h.after(t, mark, "went down", func(e Event) bool { return e.Unit == a && active("inactive")(e.Change) })
		h.after(t, mark, "restarted", func(e Event) bool {
			return e.Unit == a && down.Stamp.Before(e.Stamp) && jobGone("active")(e.Change)
		})
		want = []string{"active/running", "deactivating/stop-sigterm", "inactive/dead", "activating/start-pre", "active/running"}
		if diff := cmp.Diff(want, states(h.since(mark), a)); diff != "" {
			t.Errorf("restart: %s", diff)
		}

		mark = h.mark()
		h.do(t, h.m.Stop, a, JobDone)
		h.after(t, mark, "removed", func(e Event) bool { return e.Kind == Removed && e.Unit == a })
		want = []string{"active/running", "deactivating/stop-sigterm", "inactive/dead"}
		if diff := cmp.Diff(want, states(h.since(mark), a)); diff != "" {
			t.Errorf("stop: %s", diff)
		}
		h.do(t, h.m.Stop, a, JobDone) // stopped already, and collected
		if err := h.m.ResetFailed(bounded(t), a); err != nil {
			t.Errorf("reset of an unloaded unit: %v", err)
		}
		snapshot, err := h.m.Snapshot(bounded(t))
		if err != nil || len(snapshot.Units) != 0 {
			t.Errorf("%+v, %v", snapshot, err)
		}
	})
}

func TestCrashAndStartLimit(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		a := unit("a")
		h.do(t, h.m.Start, a, JobDone)
		mark := h.mark()
		crash := func() {
			t.Helper()
			pid := h.read(t, a).MainPID
			if pid == 0 {
				t.Fatal("there is no process to kill")
			}
			h.MustRun(t, "kill", "-9", fmt.Sprint(pid))
		}
		crash()
		// The end of the start may be told after the mark: the crash begins
		// with the first word of it.
		died := h.after(t, mark, "died", func(e Event) bool {
			return e.Unit == a && e.Change.Result != nil && *e.Change.Result == "signal"
		})
		if died.Change.MainPID == nil || *died.Change.MainPID != 0 {
			t.Errorf("the first word of a crash: %s", spellChange(died.Change))
		}
		h.after(t, mark, "back", func(e Event) bool {
			return e.Unit == a && died.Stamp.Before(e.Stamp) && jobGone("active")(e.Change)
		})
		var after []Event
		for _, e := range h.since(mark) {
			if !e.Stamp.Before(died.Stamp) {
				after = append(after, e)
			}
		}
		want := map[machine.Release][]string{
			machine.Bookworm: {"failed/failed", "activating/auto-restart", "inactive/dead", "activating/start-pre", "active/running"},
			machine.Trixie: {"failed/failed-before-auto-restart", "activating/auto-restart", "activating/auto-restart-queued",
				"activating/start-pre", "active/running"},
		}[h.Release()]
		if diff := cmp.Diff(want, states(after, a)); diff != "" {
			t.Errorf("crash: %s", diff)
		}
		if u := h.read(t, a); u.Restarts != 1 {
			t.Errorf("%+v", u)
		}

		// A program that always fails is tried until the start limit. Its start
		// is "done" all the same.
		h.do(t, h.m.Stop, a, JobDone)
		h.MustRun(t, "touch", "/run/crash-a")
		mark = h.mark()
		h.do(t, h.m.Start, a, JobDone)
		h.is(t, mark, a, "given up", func(c Change) bool {
			// With 252 every crash passes through failed; this one stays.
			return sub("failed")(c) && h.read(t, a).Sub == "failed"
		})
		if u := h.read(t, a); server.DeriveState(u) != server.StateFailed || u.Result != "exit-code" {
			t.Errorf("%+v", u)
		}

		// The limit refuses a start until the failure is reset.
		h.MustRun(t, "rm", "/run/crash-a")
		h.do(t, h.m.Start, a, JobFailed)
		h.do(t, h.m.Stop, a, JobDone)
		if u := h.read(t, a); u.Active != "failed" {
			t.Errorf("after a stop: %+v", u)
		}
		if err := h.m.ResetFailed(bounded(t), a); err != nil {
			t.Error(err)
		}
		h.do(t, h.m.Start, a, JobDone)
		h.do(t, h.m.Stop, a, JobDone)
	})
}

func TestRefusals(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		ctx := bounded(t)
		a, b := unit("a"), unit("b")
		check := func(what string, err error, code server.Code) {
			t.Helper()
			if !isCode(err, code) || refusal(err) == "" && code != server.CodeTemplateMissing {
				t.Errorf("%s: %v", what, err)
			}
		}
		verbs := func(what string, code server.Code) {
			t.Helper()
			_, err := h.m.Start(ctx, a)
			check(what+": start", err, code)
			check(what+": enable", h.m.EnableUnitFiles(ctx, []string{b, a}), code)
			if l, err := h.m.Links(); err != nil || l.Enabled["b"] {
				t.Errorf("%s: half of a batch was done: %+v, %v", what, l, err)
			}
		}

		h.MustRun(t, "systemctl", "mask", a)
		verbs("masked", server.CodeMasked)
		if u := h.read(t, a); u.Load != "masked" || u.Active != "inactive" {
			t.Errorf("%+v", u)
		}
		if l, err := h.m.Links(); err != nil || !l.IsMasked("a") || l.IsMasked("b") {
			t.Errorf("%+v, %v", l, err)
		}
		h.MustRun(t, "systemctl", "unmask", a)
		h.MustRun(t, "systemctl", "mask", "--runtime", a)
		verbs("masked until the next boot", server.CodeMasked)
		if l, err := h.m.Links(); err != nil || !l.IsMasked("a") {
			t.Errorf("%+v, %v", l, err)
		}
		h.MustRun(t, "systemctl", "unmask", "--runtime", a)
		h.MustRun(t, "systemctl", "mask", server.Template)
		verbs("template masked", server.CodeMasked)
		if l, err := h.m.Links(); err != nil || !l.TemplateMasked {
			t.Errorf("%+v, %v", l, err)
		}
		h.MustRun(t, "systemctl", "unmask", server.Template)

		template := func(content string) {
			t.Helper()
			if err := h.WriteFile(ctx, templateFile, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := h.m.Reload(ctx); err != nil {
				t.Fatal(err)
			}
		}
		template("[Service]\nExecStart=\n[Install]\nWantedBy=multi-user.target\n")
		_, err := h.m.Start(ctx, a)
		check("broken: start", err, server.CodeTemplateMissing)
		template("[Service]\nExecStart=/bin/true\n")
		check("no [Install]: enable", h.m.EnableUnitFiles(ctx, []string{a}), server.CodeTemplateMissing)

		template(testTemplate)
		if err := h.m.EnableUnitFiles(ctx, []string{b}); err != nil {
			t.Fatal(err)
		}
		h.MustRun(t, "rm", templateFile)
		if err := h.m.Reload(ctx); err != nil {
			t.Fatal(err)
		}
		_, err = h.m.Start(ctx, a)
		check("missing: start", err, server.CodeTemplateMissing)
		check("missing: enable", h.m.EnableUnitFiles(ctx, []string{a}), server.CodeTemplateMissing)
		if u := h.read(t, a); u.Load != "not-found" || u.Active != "inactive" {
			t.Errorf("%+v", u)
		}
		// A stop must work without the template, too.
		h.do(t, h.m.Stop, a, JobDone)
		if err := h.m.DisableUnitFiles(ctx, []string{a, b}); err != nil {
			t.Errorf("missing: disable: %v", err)
		}
		if l, err := h.m.Links(); err != nil || len(l.Enabled) != 0 {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

func TestEnableDisable(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		ctx := bounded(t)
		var units []string
		want := map[string]bool{}
		for i := range 50 {
			instance := fmt.Sprintf("s%d", i)
			units = append(units, unit(instance))
			want[instance] = true
		}
		// Odd links in the way are replaced; a foreign one stays.
		const dir = "/etc/systemd/system/multi-user.target.wants/"
		h.MustRun(t, "ln", "-s", "/nowhere/old.service", dir+units[0])
		h.MustRun(t, "ln", "-s", "/dev/null", dir+units[1])
		h.MustRun(t, "ln", "-s", "/dev/null", dir+"foreign.service")
		before, err := h.m.LinksChanged()
		if err != nil {
			t.Fatal(err)
		}

		mark := h.mark()
		for range 2 { // the second changes nothing
			if err := h.m.EnableUnitFiles(ctx, units); err != nil {
				t.Fatal(err)
			}
		}
		h.after(t, mark, "files changed", func(e Event) bool { return e.Kind == UnitFilesChanged && e.Stamp != Stamp{} })
		got, err := h.m.Links()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Enabled); diff != "" {
			t.Error(diff)
		}
		if after, err := h.m.LinksChanged(); err != nil || after == before {
			t.Errorf("LinksChanged: %d, then %d, %v", before, after, err)
		}
		if used, shadowed := h.m.TemplatePaths(); !strings.HasSuffix(used, templateFile) || shadowed != nil {
			t.Errorf("%q, %q", used, shadowed)
		}

		if err := h.m.Reload(ctx); err != nil {
			t.Fatal(err)
		}
		if out := h.MustRun(t, "systemctl", "is-enabled", units[0], units[49]); out != "enabled\nenabled\n" {
			t.Errorf("is-enabled: %q", out)
		}

		// By hand into another directory: disable takes that away, too.
		h.MustRun(t, "mkdir", "-p", "/etc/systemd/system/games.target.requires")
		h.MustRun(t, "ln", "-s", templateFile, "/etc/systemd/system/games.target.requires/"+units[2])
		for range 2 {
			if err := h.m.DisableUnitFiles(ctx, units[1:]); err != nil {
				t.Fatal(err)
			}
		}
		if got, err = h.m.Links(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]bool{"s0": true}, got.Enabled); diff != "" {
			t.Error(diff)
		}
		h.MustRun(t, "test", "-L", dir+"foreign.service")
	})
}
