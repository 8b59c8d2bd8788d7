package orchestrator

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// observed is an orchestrator with one enabled server, seen running.
func observed(t *testing.T) (*Orchestrator, *record, *Watcher) {
	t.Helper()
	o := New(Options{Settings: DefaultSettings(), Log: zerolog.Nop()})
	o.feed = newFeed(1, 1<<40)
	o.host.template = "/usr/lib/systemd/system/" + server.Template
	r := newRecord(store.ServerRow{
		ID: 1, Name: "a", Phase: server.PhaseReady, Desired: server.DesiredRunning, Config: server.DefaultConfig("a"),
	})
	o.mu.Lock()
	o.insert(r)
	o.apply(r, server.Unit{Load: "loaded", Active: "active", Sub: "running", Result: "success", MainPID: 7}, time.Now(), server.ByResync)
	o.mu.Unlock()
	return o, r, o.Watch(0, false)
}

// signal makes the event of a Changed signal.
func signal(seq uint64, active, sub string) unitctl.Event {
	return unitctl.Event{
		Kind: unitctl.Changed, Unit: server.Name("a").Unit(), At: time.Now(),
		Stamp: unitctl.Stamp{Conn: 1, Seq: seq}, Change: unitctl.Change{Active: &active, Sub: &sub},
	}
}

// seen is what a reader of the events is told.
type seen struct {
	State server.State
	Drift server.Drift
}

func next(t *testing.T, w *Watcher) (all []seen) {
	t.Helper()
	events, err := w.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		all = append(all, seen{e.Server().State, e.Server().Drift})
	}
	return all
}

func TestNoDriftWhileSystemdHasAJob(t *testing.T) {
	t.Parallel()
	o, r, w := observed(t)
	job := uint32(9)
	ev := signal(1, "inactive", "dead")
	ev.Change.Job = &job
	r.unit.Job, r.unit.JobType = job, "restart" // already known when the unit goes down
	o.handle(ev)
	if diff := cmp.Diff([]seen{{server.StateStarting, server.DriftNone}}, next(t, w)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A game that dies while it starts is "failed" for a moment, with the start's job,
// of whose kind nothing may be known yet.
func TestWhatPassesByIsNotBelieved(t *testing.T) {
	t.Parallel()
	o, r, _ := observed(t)
	o.link.version = "252.39-1~deb12u1"
	r.unit.Active, r.unit.Sub, r.unit.Job = "activating", "start", 9
	failed := server.Unit{Load: "loaded", Active: "failed", Sub: "failed", Result: "exit-code"}
	withJob, withStart := failed, failed
	withJob.Job, withStart.Job, withStart.JobType = 9, 9, "start"
	got := []bool{o.passing(r, failed), o.passing(r, withJob), o.passing(r, withStart)}
	if diff := cmp.Diff([]bool{true, true, false}, got); diff != "" { // the last is starting, not failed
		t.Errorf("passing (-want +got):\n%s", diff)
	}
	r.unit = withStart
	if !o.passing(r, failed) {
		t.Error("a unit that was starting is believed to have failed when the start's job goes")
	}
	r.unit = failed
	if o.passing(r, failed) {
		t.Error("a unit that is known to have failed is taken for one that passes through that")
	}
}

func TestAnOlderSignalChangesNothing(t *testing.T) {
	t.Parallel()
	o, r, w := observed(t)
	o.handle(signal(5, "deactivating", "stop-sigterm"))
	o.handle(signal(4, "active", "running"))
	if got := next(t, w); len(got) != 1 || r.entry.State != server.StateStopping {
		t.Errorf("events %v, state %s; want stopping alone", got, r.entry.State)
	}
}

func TestObservingAgainIsNoEvent(t *testing.T) {
	t.Parallel()
	o, r, w := observed(t)
	before := r.entry
	o.mu.Lock()
	o.apply(r, r.unit, time.Now().Add(time.Second), server.ByResync)
	o.mu.Unlock()
	if r.entry == before || !r.entry.ObservedAt.After(before.ObservedAt) {
		t.Error("the time of observation did not move")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if events, err := w.Next(ctx); err == nil {
		t.Errorf("an observation without a change made events: %v", ids(events))
	}
}

func TestStaleness(t *testing.T) {
	t.Parallel()
	o, r, w := observed(t)
	o.markStale(time.Now().Add(-time.Minute))
	if r.entry.Stale {
		t.Error("a fresh observation is stale")
	}
	o.markStale(time.Now().Add(time.Minute))
	if got := next(t, w); len(got) != 1 || !r.entry.Stale {
		t.Errorf("an old observation is not shown as stale: %v", got)
	}
}

// A unit is unmasked and started while a list is on its way: the start's signals
// are newer than the list, and do not tell that it can be loaded again.
func TestTheLoadStateIsReadWhereSignalsAreNewer(t *testing.T) {
	t.Parallel()
	o, r, _ := observed(t)
	o.mu.Lock()
	r.unit.Load = "masked"
	o.mu.Unlock()
	o.handle(signal(9, "active", "running"))
	o.mu.Lock()
	defer o.mu.Unlock()
	list := func(seq uint64, load string) unitctl.Snapshot {
		return unitctl.Snapshot{
			Stamp: unitctl.Stamp{Conn: 1, Seq: seq},
			Units: map[string]server.Unit{r.row.Name.Unit(): {Load: load, Active: "activating", Sub: "start"}},
		}
	}
	learned := func(look func()) string {
		r.unit.Load, r.loadStamp = "masked", unitctl.Stamp{Conn: 1, Seq: 7}
		o.publish(r, server.ByResync)
		look()
		return r.entry.LoadState
	}
	got := map[string]string{
		"a list":            learned(func() { o.compare(r, list(8, "loaded"), time.Now()) }),
		"a list without it": learned(func() { o.compare(r, unitctl.Snapshot{Stamp: unitctl.Stamp{Conn: 1, Seq: 8}}, time.Now()) }),
		"an older list":     learned(func() { o.compare(r, list(6, "loaded"), time.Now()) }),
		"an answer":         learned(func() { o.answered(r, server.Unit{Load: "loaded"}, unitctl.Stamp{Conn: 1, Seq: 8}, server.ByResync) }),
		"a list, then older": learned(func() {
			o.compare(r, list(8, "loaded"), time.Now())
			o.answered(r, server.Unit{Load: "masked"}, unitctl.Stamp{Conn: 1, Seq: 7}, server.ByResync)
		}),
	}
	want := map[string]string{
		"a list": "loaded", "a list without it": "loaded", "an older list": "masked",
		"an answer": "loaded", "a list, then older": "loaded",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("learned (-want +got):\n%s", diff)
	}
	if r.unit.Active != "active" || r.stamp != (unitctl.Stamp{Conn: 1, Seq: 9}) {
		t.Errorf("the signal is forgotten: %+v, %+v", r.unit, r.stamp)
	}
}
