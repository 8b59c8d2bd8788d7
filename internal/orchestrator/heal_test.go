package orchestrator

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// sick is an orchestrator without a systemd, and a server of it that is enabled
// and has failed. Every start of it fails.
func sick(t *testing.T, heal server.Heal) (o *Orchestrator, r *record, link string) {
	t.Helper()
	o, _ = deskBench(t)
	made, err := o.Create(t.Context(), "a", server.ConfigPatch{Heal: &heal}, server.Requester{})
	if err == nil {
		made, err = o.WaitJob(t.Context(), made.ID)
	}
	if err != nil || made.State != server.JobSucceeded {
		t.Fatalf("%+v %+v: %v", made, made.Error, err)
	}
	link = filepath.Join(o.Units.UnitPath(), "multi-user.target.wants", server.Name("a").Unit())
	if err = errors.Join(err, os.Symlink("/usr/lib/systemd/system/"+server.Template, link)); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	r = o.records["a"]
	o.setConnected(true, time.Now())
	o.applyLink(r, true, false, server.BySignal)
	o.apply(r, server.Unit{Load: "loaded", Active: "active", Sub: "running", Result: "success"}, time.Now(), server.BySignal)
	o.apply(r, server.Unit{Load: "loaded", Active: "failed", Sub: "failed", Result: "exit-code"}, time.Now(), server.BySignal)
	return o, r, link
}

// step is what of the history the tests of healing look at.
type step struct {
	Kind server.HistoryKind
	What string
	To   string
	Via  server.Via
}

func steps(t *testing.T, o *Orchestrator) (all []step) {
	t.Helper()
	o.chronicle.settle(t.Context())
	entries, err := o.History(t.Context(), server.HistoryFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		e := entries[len(entries)-1-i]
		if e.What == "heal" || e.Job > 1 {
			s := step{Kind: e.Kind, What: e.What, To: e.To}
			if e.By != nil {
				s.Via = e.By.Via
			}
			all = append(all, s)
		}
	}
	return all
}

func TestHealingTriesAndGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _, _ := sick(t, server.HealFailed)
		began := time.Now()
		shown := func() *server.Healing {
			e, _, err := o.Get("a")
			if err != nil {
				t.Fatal(err)
			}
			return e.Healing
		}
		h := shown()
		if h == nil || h.Attempt != 1 || h.Limit != 5 || h.NextAt.Sub(began) > 11*time.Second || h.NextAt.Sub(began) < 9*time.Second {
			t.Fatalf("at first: %+v", h)
		}
		time.Sleep(2 * time.Hour)
		var want []step
		for range o.Settings.Heal.Limit {
			want = append(want, step{server.HistoryHealing, "heal", "scheduled", ""},
				step{server.HistoryJob, "start", "queued", server.ViaHeal}, step{server.HistoryJob, "start", "failed", server.ViaHeal})
		}
		want = append(want, step{server.HistoryHealing, "heal", "gave-up", ""})
		if diff := cmp.Diff(want, steps(t, o)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(&server.Healing{Attempt: 5, Limit: 5, GaveUp: true}, shown()); diff != "" {
			t.Errorf("at last (-want +got):\n%s", diff)
		}
		// That is remembered by the next daemon.
		rows, err := o.Store.Servers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again := newRecord(rows[0])
		if !again.healing.gaveUp || len(again.healing.attempts) != 5 {
			t.Errorf("stored: %+v", rows[0].Seen)
		}
	})
}

// Whoever disables a server wins over healing, and one that heals only failures
// leaves alone what was stopped.
func TestNoHealingOfWhatIsNotWanted(t *testing.T) {
	t.Parallel()
	stopped := server.Unit{Load: "loaded", Active: "inactive", Sub: "dead", Result: "success"}
	for name, c := range map[string]struct {
		heal server.Heal
		then func(t *testing.T, o *Orchestrator, r *record, link string)
		want int
	}{
		"failed": {server.HealFailed, func(*testing.T, *Orchestrator, *record, string) {}, 5},
		"off":    {server.HealOff, func(*testing.T, *Orchestrator, *record, string) {}, 0},
		"stopped by hand": {server.HealFailed, func(_ *testing.T, o *Orchestrator, r *record, _ string) {
			o.apply(r, stopped, time.Now(), server.BySignal)
		}, 0},
		"stopped by hand always": {server.HealAlways, func(_ *testing.T, o *Orchestrator, r *record, _ string) {
			o.apply(r, stopped, time.Now(), server.BySignal)
		}, 5},
		"disabled and seen": {server.HealAlways, func(_ *testing.T, o *Orchestrator, r *record, _ string) {
			o.applyLink(r, false, false, server.BySignal)
		}, 0},
		"disabled and not seen": {server.HealAlways, func(t *testing.T, _ *Orchestrator, _ *record, link string) {
			if err := os.Remove(link); err != nil {
				t.Fatal(err)
			}
		}, 0},
		"no link to systemd": {server.HealFailed, func(_ *testing.T, o *Orchestrator, _ *record, _ string) {
			o.setConnected(false, time.Now())
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, r, link := sick(t, c.heal)
				o.mu.Lock()
				c.then(t, o, r, link)
				o.mu.Unlock()
				time.Sleep(time.Hour / 2)
				jobs, err := o.Jobs(t.Context(), JobFilter{})
				if err != nil {
					t.Fatal(err)
				}
				if got := len(jobs) - 1; got != c.want {
					t.Errorf("%d starts, want %d", got, c.want)
				}
			})
		})
	}
}

// A daemon that starts goes on where the one before it was.
func TestHealingGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _, _ := observed(t)
		due := time.Now().Add(21900 * time.Millisecond).UTC().Round(0) // of 18 to 22 s
		cfg := server.DefaultConfig("b")
		cfg.Heal = server.HealFailed
		r := newRecord(store.ServerRow{
			ID: 2, Name: "b", Phase: server.PhaseReady, Desired: server.DesiredRunning, Config: cfg,
			Seen: &store.Seen{
				State: server.StateFailed, Drift: server.DriftDown, DriftSince: time.Now().UTC(), Desired: server.DesiredRunning,
				Heals: []time.Time{time.Now().Add(-time.Minute)}, NextHeal: due,
			},
		})
		o.mu.Lock()
		o.recovering = true
		o.insert(r)
		o.apply(r, server.Unit{Load: "loaded", Active: "failed", Sub: "failed", Result: "exit-code"}, time.Now(), server.ByResync)
		if r.healing.timer != nil {
			t.Error("it begins before the jobs that are left are taken up, one of which may be this start")
		}
		o.mu.Unlock()
		o.recovered()
		o.mu.Lock()
		defer o.mu.Unlock()
		if r.healing.timer == nil {
			t.Error("it does not begin")
		}
		if diff := cmp.Diff(&server.Healing{Attempt: 2, Limit: 5, NextAt: due}, r.entry.Healing); diff != "" {
			t.Errorf("healing (-want +got):\n%s", diff)
		}
		r.healing.unset()
	})
}

// onLine calls itself for each line of a log.
type onLine func()

func (f onLine) Write(p []byte) (int, error) { f(); return len(p), nil }

// TestNothingIsScheduledWhileAStartIsAskedFor looks at the server when the job is
// stored and not yet begun, as a resync may.
func TestNothingIsScheduledWhileAStartIsAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, r, _ := sick(t, server.HealFailed)
		looked := 0
		synctest.Wait() // nobody logs now, and whoever will takes this lock before
		o.mu.Lock()
		o.Settings.Heal.Limit = 1
		o.Log = zerolog.New(onLine(func() {
			if o.mu.TryLock() {
				o.publish(r, server.ByResync)
				looked++
				o.mu.Unlock()
			}
		}))
		o.mu.Unlock()
		time.Sleep(time.Minute)
		want := []step{
			{server.HistoryHealing, "heal", "scheduled", ""},
			{server.HistoryJob, "start", "queued", server.ViaHeal}, {server.HistoryJob, "start", "failed", server.ViaHeal},
			{server.HistoryHealing, "heal", "gave-up", ""},
		}
		got := steps(t, o)
		o.mu.Lock()
		defer o.mu.Unlock()
		if diff := cmp.Diff(want, got); diff != "" || looked == 0 {
			t.Errorf("looked %d times; history (-want +got):\n%s", looked, diff)
		}
	})
}
