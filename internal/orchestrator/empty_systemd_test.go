package orchestrator

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/test/machine"
)

// nudge has the waits look again, as what a game answers does.
func (b *bench) nudge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range append([]*record{b.game.rec}, b.order...) {
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

// waiting waits until a job's progress tells that it waits for so many.
func (b *bench) waiting(t *testing.T, watch *Watcher, id int64, says string) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, fmt.Errorf("job %d does not say %q", id, says))
	defer cancel()
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			t.Fatal(context.Cause(ctx))
		}
		for _, e := range events {
			if j := e.Job(); j != nil && j.ID == id && j.Progress != nil && strings.Contains(j.Progress.Text, says) {
				return
			}
		}
	}
}

// ended is how a job ended, and whether the servers have another run of their units.
func (b *bench) ended(t *testing.T, id int64, before map[server.Name]string) string {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, fmt.Errorf("the job does not end"))
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // the wait wants nobody there for a while
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				b.nudge()
			}
		}
	}()
	job, err := b.WaitJob(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	how := string(job.State)
	if job.Error != nil {
		how += " " + string(job.Error.Code)
	}
	now := b.invocations(t)
	for _, name := range []server.Name{"a", "b"} {
		if now[name] != before[name] {
			how += ", another " + string(name)
		}
	}
	return how
}

func (b *bench) invocations(t *testing.T) map[server.Name]string {
	t.Helper()
	all := map[server.Name]string{}
	for _, name := range []server.Name{"a", "b"} {
		u, _, err := b.Units.Unit(t.Context(), name.Unit())
		if err != nil {
			t.Fatal(err)
		}
		if all[name] = u.InvocationID; u.Active != "active" {
			all[name] = u.Active
		}
	}
	return all
}

// What waits until nobody plays does it then, once, to units of a real systemd.
func TestWhenEmptyWithSystemd(t *testing.T) {
	t.Parallel()
	needMachines(t)
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := newMachine(t, release)
		b := newBench(t, m, newRelay(t, m), filepath.Join(t.TempDir(), "state.db"))
		p := &party{plays: map[server.Name]int{"a": 1, "b": 0}}
		b.crowd, b.Settings.WhenEmpty.Grace = p, 100*time.Millisecond
		for _, name := range []server.Name{"a", "b"} {
			if _, err := b.Create(t.Context(), name, server.ConfigPatch{}, root()); err != nil {
				t.Fatal(err)
			}
		}
		b.settle(t)
		if _, _, err := b.Request(t.Context(), server.JobStart, []server.Name{"a", "b"}, root()); err != nil {
			t.Fatal(err)
		}
		b.settle(t)
		watch := b.Watch(0, false)
		ask := func(name server.Name) int64 {
			t.Helper()
			jobs, refused, err := b.RestartWhenEmpty(t.Context(), []server.Name{name}, root())
			if err != nil || len(refused) > 0 {
				t.Fatal(refused, err)
			}
			b.waiting(t, watch, jobs[0].ID, "1 player")
			return jobs[0].ID
		}
		var got []string

		before, id := b.invocations(t), ask("a")
		p.set("a", 0)
		got = append(got, "restart: "+b.ended(t, id, before))

		p.set("a", 1)
		id = ask("a")
		m.MustRun(t, "systemctl", "restart", server.Name("a").Unit())
		before = b.invocations(t)
		got = append(got, "restarted by hand: "+b.ended(t, id, before))

		p.set("a", 1)
		before, id = b.invocations(t), ask("a")
		giveBack := b.allTurns()
		p.set("a", 0)
		b.nudge()
		b.waiting(t, watch, id, "its turn")
		p.set("a", 1) // somebody comes before it is the server's turn
		giveBack()
		b.waiting(t, watch, id, "1 player,")
		if diff := cmp.Diff(before, b.invocations(t)); diff != "" {
			t.Errorf("a server was restarted on which somebody plays (-before +after):\n%s", diff)
		}
		p.set("a", 0)
		got = append(got, "somebody came before its turn: "+b.ended(t, id, before))

		p.set("a", 1)
		p.set("b", 1)
		before, id = b.invocations(t), ask("b")
		m.MustRun(t, "systemctl", "stop", server.Name("b").Unit())
		got = append(got, "stopped by hand: "+b.ended(t, id, before))

		job, err := b.Install(t.Context(), server.InstallOptions{Restart: true, When: server.WhenEmpty}, root())
		if err != nil {
			t.Fatal(err)
		}
		b.waiting(t, watch, job.ID, "1 player on a")
		started, refused, err := b.Request(t.Context(), server.JobStart, []server.Name{"b"}, root()) // it keeps no server from starting
		if err != nil || len(refused) > 0 {
			t.Fatal(refused, err)
		}
		if _, err := b.WaitJob(t.Context(), started[0].ID); err != nil {
			t.Fatal(err)
		}
		b.waiting(t, watch, job.ID, "2 players on a, b")
		before = b.invocations(t)
		p.set("b", 0)
		p.set("a", 0)
		got = append(got, "install: "+b.ended(t, job.ID, before))

		want := []string{
			"restart: succeeded, another a", "restarted by hand: succeeded", "somebody came before its turn: succeeded, another a", "stopped by hand: canceled overtaken, another b",
			"install: succeeded, another a, another b",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("how the jobs ended (-want +got):\n%s", diff)
		}
	})
}

// allTurns takes all turns to start, which giveBack gives back.
func (b *bench) allTurns() (giveBack func()) {
	for range cap(b.starts.free) {
		b.starts.free <- struct{}{}
	}
	return func() {
		for range cap(b.starts.free) {
			<-b.starts.free
		}
	}
}

// A daemon that is ended when it had begun the restart does not end the run before it
// knows that nobody plays now.
func TestBegunRestartLooksAgain(t *testing.T) {
	t.Parallel()
	needMachines(t)
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m, db := newMachine(t, release), filepath.Join(t.TempDir(), "state.db")
		b := newBench(t, m, newRelay(t, m), db)
		b.crowd, b.Settings.WhenEmpty.Grace = &party{plays: map[server.Name]int{"a": 0}}, 100*time.Millisecond
		for _, ask := range []func() error{
			func() error { _, err := b.Create(t.Context(), "a", server.ConfigPatch{}, root()); return err },
			func() error {
				_, _, err := b.Request(t.Context(), server.JobStart, []server.Name{"a"}, root())
				return err
			},
		} {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			b.settle(t)
		}
		run := func() string {
			return strings.TrimSpace(m.MustRun(t, "systemctl", "show", "-P", "InvocationID", server.Name("a").Unit()))
		}
		before, watch := run(), b.Watch(0, false)
		b.allTurns()
		jobs, _, err := b.RestartWhenEmpty(t.Context(), []server.Name{"a"}, root())
		if err != nil {
			t.Fatal(err)
		}
		b.nudge()
		b.waiting(t, watch, jobs[0].ID, "its turn")
		b.end()

		b = newBench(t, m, newRelay(t, m), db) // nobody tells it who plays
		b.waiting(t, b.Watch(0, true), jobs[0].ID, "no answer from the game")
		if after := run(); after != before {
			t.Errorf("the run %s was ended, and %s begun", before, after)
		}
		if _, err := b.Cancel(t.Context(), jobs[0].ID, root()); err != nil {
			t.Fatal(err)
		}
	})
}
