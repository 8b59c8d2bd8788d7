package orchestrator

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

func number(n uint64) *uint64 { return &n }

func TestUsage(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	first := usage{}.next(server.Usage{Memory: number(5), CPU: number(0)}, at, "run")
	second := first.next(server.Usage{Memory: number(7), CPU: number(3e9), Tasks: number(2)}, at.Add(2*time.Second), "run")
	busy := 150.0
	s := server.Server{State: server.StateRunning, InvocationID: "run", CPUPercent: new(float64)}
	first.show(&s)
	if diff := cmp.Diff(server.Server{State: server.StateRunning, InvocationID: "run", MemoryBytes: number(5), CPUUsageNS: number(0)}, s); diff != "" {
		t.Errorf("the first sample (-want +got):\n%s", diff)
	}
	second.show(&s)
	want := server.Server{State: server.StateRunning, InvocationID: "run", MemoryBytes: number(7), CPUUsageNS: number(3e9), CPUPercent: &busy, Tasks: number(2)}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("the second (-want +got):\n%s", diff)
	}
	for what, u := range map[string]usage{
		"another run":         second.next(server.Usage{CPU: number(9e9)}, at.Add(4*time.Second), "other"),
		"a counter that fell": second.next(server.Usage{CPU: number(1)}, at.Add(4*time.Second), "run"),
		"no accounting":       second.next(server.Usage{}, at.Add(4*time.Second), "run"),
		"the same moment":     second.next(server.Usage{CPU: number(9e9)}, at.Add(2*time.Second), "run"),
	} {
		if u.percent != nil {
			t.Errorf("%s: %v %%", what, *u.percent)
		}
	}
	for what, s := range map[string]server.Server{
		"a run that has not been sampled": {State: server.StateRunning, InvocationID: "other", Tasks: number(1)},
		"a server that is down":           {State: server.StateStopped, InvocationID: "run", Tasks: number(1)},
	} {
		second.show(&s)
		if s.MemoryBytes != nil || s.Tasks != nil || s.CPUPercent != nil || s.CPUUsageNS != nil {
			t.Errorf("%s shows what another took: %+v", what, s)
		}
	}
}

// TestASampleIsNoEvent shows it to who reads all the same.
func TestASampleIsNoEvent(t *testing.T) {
	t.Parallel()
	o := New(Options{Settings: DefaultSettings()})
	o.feed = newFeed(1, 1+eventBlock)
	r := newRecord(store.ServerRow{ID: 1, Name: "a", Phase: server.PhaseReady, Config: server.DefaultConfig("a")})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.insert(r)
	o.apply(r, server.Unit{Load: "loaded", Active: "active", Sub: "running", InvocationID: "run", Since: time.Unix(7, 0)}, time.Unix(8, 0), server.BySignal)
	event, before := o.feed.last(), string(r.entry.JSON(true))
	r.usage = r.usage.next(server.Usage{Memory: number(5)}, time.Unix(9, 0), "run")
	r.showUsage()
	o.publish(r, server.ByResync)
	if o.feed.last() != event {
		t.Error("a sample made an event")
	}
	if got := r.entry.MemoryBytes; got == nil || *got != 5 || !r.entry.StartedAt.Equal(time.Unix(7, 0)) {
		t.Errorf("%+v", r.entry.Server)
	}
	if string(r.entry.JSON(true)) == before {
		t.Error("the JSON is that of before the sample")
	}
}
