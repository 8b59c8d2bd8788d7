package unitctl

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/test/machine"
)

// A reload changes nothing about units that run, and Removed is not told of them.
func TestReloadStorm(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		ctx := bounded(t)
		units := []string{unit("a"), unit("b"), unit("c")}
		for _, u := range units {
			h.do(t, h.m.Start, u, JobDone)
			h.is(t, 0, u, "started", jobGone("active"))
		}
		h.MustRun(t, "touch", "/run/hang-slow")
		slow := make(chan JobResult, 1)
		go func() {
			r, err := h.m.Start(ctx, unit("slow"))
			if err != nil {
				t.Error(err)
			}
			slow <- r
		}()
		h.is(t, 0, unit("slow"), "starting", active("activating"))

		mark := h.mark()
		var storm sync.WaitGroup
		for range 5 {
			storm.Go(func() {
				if err := h.m.Reload(ctx); err != nil {
					t.Error(err)
				}
			})
			storm.Go(func() {
				if err := h.Run(ctx, "systemctl", "daemon-reload"); err != nil {
					t.Error(err)
				}
			})
		}
		storm.Wait()
		depth, reloads := 0, 0
		for _, e := range h.since(mark) {
			switch e.Kind {
			case Reloading:
				depth++
				reloads++
			case Reloaded:
				depth--
			case Removed, Disconnected:
				t.Errorf("%v %s", e.Kind, e.Unit)
			}
			if depth < 0 || depth > 1 {
				t.Errorf("reloads do not pair: %s", spell(h.since(mark)))
			}
		}
		if reloads == 0 {
			t.Error("no reload was told")
		}
		for _, u := range units {
			if got := h.read(t, u); got.Active != "active" || got.Restarts != 0 {
				t.Errorf("%s: %+v", u, got)
			}
		}
		// A job that a reload went over ends, and is told to who waits.
		h.do(t, h.m.Stop, unit("slow"), JobDone)
		if r := <-slow; r != JobCanceled {
			t.Errorf("the start that hung ended %q", r)
		}
	})
}

func TestReexec(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		ctx := bounded(t)
		a, slow := unit("a"), unit("slow")
		h.do(t, h.m.Start, a, JobDone)
		pid := h.read(t, a).MainPID
		h.MustRun(t, "touch", "/run/hang-slow")
		hangs := make(chan error, 1)
		go func() {
			_, err := h.m.Start(ctx, slow)
			hangs <- err
		}()
		h.is(t, 0, slow, "starting", active("activating"))

		for range 3 {
			mark := h.mark()
			h.MustRun(t, "systemctl", "daemon-reexec")
			gone := h.after(t, mark, "disconnected", isKind(Disconnected))
			back := h.after(t, mark, "connected", isKind(Connected))
			if gone.Err == nil || !gone.Stamp.Before(back.Stamp) {
				t.Errorf("%+v, %+v", gone, back)
			}
			snapshot, err := h.m.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if u := snapshot.Units[a]; u.Active != "active" || !back.Stamp.Before(snapshot.Stamp) {
				t.Errorf("%+v", snapshot)
			}
			if u := snapshot.Units[slow]; u.Active != "activating" || u.Job == 0 {
				t.Errorf("%+v", u)
			}
		}
		if err := <-hangs; !errors.Is(err, ErrConnectionLost) {
			t.Errorf("the start in flight: %v", err)
		}
		h.do(t, h.m.Stop, slow, JobDone)
		if u := h.read(t, a); u.MainPID != pid {
			t.Errorf("%+v, and its pid was %d", u, pid)
		}
		h.do(t, h.m.Stop, a, JobDone)
	})
}

func TestWithoutDBusDaemon(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		h.MustRun(t, "systemctl", "mask", "--now", "dbus.socket", "dbus.service")
		mark := h.mark()
		h.do(t, h.m.Start, unit("a"), JobDone)
		h.is(t, mark, unit("a"), "started", jobGone("active"))
		h.do(t, h.m.Stop, unit("a"), JobDone)
		for _, e := range h.since(0) {
			if e.Kind == Disconnected {
				t.Errorf("disconnected: %v", e.Err)
			}
		}
	})
}

// 300 units started side by side: every state that can be read was told.
func TestManySideBySide(t *testing.T) {
	const n = 300
	onSystemd(t, func(t *testing.T, h *host) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
		defer cancel()
		all := func(verb func(context.Context, string) (JobResult, error)) {
			var group sync.WaitGroup
			for i := range n {
				group.Go(func() {
					if r, err := verb(ctx, unit(fmt.Sprint(i))); err != nil || r != JobDone {
						t.Errorf("%d: %q, %v", i, r, err)
					}
				})
			}
			group.Wait()
		}
		began := time.Now()
		all(h.m.Start)
		t.Logf("%d started in %v", n, time.Since(began))

		snapshot, err := h.m.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		h.settle(t, unit("0"))
		told := map[string]server.Unit{}
		for _, e := range h.since(0) {
			if e.Unit != "" && e.Unit != "fence" && e.Stamp.Before(snapshot.Stamp) {
				told[e.Unit] = step(told[e.Unit], e)
			}
		}
		for name, want := range snapshot.Units {
			got := told[name]
			if got.Active != want.Active || got.Sub != want.Sub || got.Job != want.Job || got.MainPID == 0 {
				t.Errorf("%s was told to be %+v, is %+v", name, got, want)
			}
		}
		if len(snapshot.Units) != n || len(told) != n {
			t.Errorf("%d units, %d told", len(snapshot.Units), len(told))
		}

		began = time.Now()
		if err := h.m.Reload(ctx); err != nil {
			t.Error(err)
		}
		t.Logf("reload in %v", time.Since(began))
		all(h.m.Stop)
		if snapshot, err = h.m.Snapshot(ctx); err != nil || len(snapshot.Units) != 0 {
			t.Errorf("%d units are left, %v", len(snapshot.Units), err)
		}
		if n := h.races.Load(); n != 0 {
			t.Errorf("%d events were handled beside another", n)
		}
	})
}

// A stop takes over from a start that hangs, at once.
func TestStopSupersedesStart(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		ctx := bounded(t)
		a := unit("a")
		h.MustRun(t, "touch", "/run/hang-a")
		type result struct {
			r   JobResult
			err error
		}
		starts := make(chan result, 2)
		start := func() {
			r, err := h.m.Start(ctx, a)
			starts <- result{r, err}
		}
		go start()
		h.is(t, 0, a, "starting", active("activating"))
		go start() // is merged with the first
		impatient, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if _, err := h.m.Start(impatient, a); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait that ends early: %v", err)
		}
		if u := h.read(t, a); u.Active != "activating" || u.Job == 0 {
			t.Errorf("the job did not go on: %+v", u)
		}
		h.do(t, h.m.Stop, a, JobDone)
		for range 2 {
			if r := <-starts; r.err != nil || r.r != JobCanceled {
				t.Errorf("the start: %+v", r)
			}
		}
		// The ExecStartPre= that was killed counts as failed.
		if u := h.read(t, a); u.Active != "failed" || u.Result != "signal" || u.Job != 0 {
			t.Errorf("%+v", u)
		}
		mark := h.mark()
		if err := h.m.ResetFailed(ctx, a); err != nil {
			t.Error(err)
		}
		h.after(t, mark, "gone", func(e Event) bool { return e.Kind == Removed && e.Unit == a })
	})
}

// Units that nobody holds are collected: their going is told, reading them is
// no error, and reading does not go on for ever.
func TestCollectedUnits(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		a := unit("a")
		mark := h.mark()
		if u := h.read(t, a); u.Active != "inactive" || u.Load != "loaded" {
			t.Errorf("%+v", u)
		}
		h.after(t, mark, "removed", func(e Event) bool { return e.Kind == Removed && e.Unit == a })
		want := []EventKind{Appeared, Removed}
		var got []EventKind
		for _, e := range h.since(mark) {
			if e.Unit == a {
				got = append(got, e.Kind)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("one read: %s", diff)
		}
	})
}

// systemd 253 and later can limit reloads.
func TestReloadLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	t.Parallel()
	h := newHost(t, machine.Trixie)
	const conf = "[Manager]\nReloadLimitIntervalSec=60\nReloadLimitBurst=2\n"
	if err := h.WriteFile(t.Context(), "/etc/systemd/system.conf.d/limit.conf", []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	mark := h.mark()
	h.MustRun(t, "systemctl", "daemon-reexec")
	h.after(t, mark, "connected", isKind(Connected))
	for i := range 5 {
		err := h.m.Reload(bounded(t))
		if err == nil {
			continue
		}
		if i < 1 || !isCode(err, server.CodeSystemdUnavailable) {
			t.Errorf("reload %d: %v (%s)", i, err, refusal(err))
		}
		return
	}
	t.Error("no reload was refused")
}
