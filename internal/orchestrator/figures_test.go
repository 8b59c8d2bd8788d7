package orchestrator

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// meter remembers what it is told.
type meter struct {
	noMeter
	shown []time.Duration
	jobs  []string
	took  []time.Duration
}

func (m *meter) Shown(after time.Duration) { m.shown = append(m.shown, after) }

func (m *meter) JobEnded(_ server.JobKind, result string) { m.jobs = append(m.jobs, result) }

func (m *meter) JobTook(_ server.JobKind, took time.Duration) { m.took = append(m.took, took) }

// systemd's own count is set back by a start; ours only grows.
func TestRestartsAreCountedOn(t *testing.T) {
	t.Parallel()
	o, r, _ := observed(t)
	var got []uint64
	for _, u := range []struct {
		invocation string
		restarts   uint32
	}{
		{"run", 3}, // the first word of this run: when they were is not known
		{"run", 4}, {"run", 4}, {"run", 6},
		{"next", 0}, {"next", 1}, // after a start
		{"third", 0}, {"last", 2},
	} {
		o.mu.Lock()
		unit := r.unit
		unit.InvocationID, unit.Restarts = u.invocation, u.restarts
		o.apply(r, unit, time.Now(), server.BySignal)
		o.mu.Unlock()
		got = append(got, o.Figures().Servers[0].RestartsSeen)
	}
	if diff := cmp.Diff([]uint64{0, 1, 1, 3, 3, 4, 4, 6}, got); diff != "" {
		t.Errorf("restarts (-want +got):\n%s", diff)
	}
}

// monotonic is a time on the clock of StateChangeTimestampMonotonic.
func monotonic(t *testing.T, ago time.Duration) *uint64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return new(uint64((time.Duration(now.Nano()) - ago) / time.Microsecond))
}

// How long a change took to be shown is counted once, for the signal that told of
// it.
func TestShownIsCountedOnce(t *testing.T) {
	t.Parallel()
	o, _, _ := observed(t)
	m := &meter{}
	o.Meter = m
	tell := func(seq uint64, since time.Time, clock *uint64) {
		ev := signal(seq, "deactivating", "stop-sigterm")
		ev.Change.Since, ev.Change.Clock = &since, clock
		o.handle(ev)
	}
	began := time.Now()
	tell(1, began, monotonic(t, 2*time.Second))
	tell(2, began, monotonic(t, 3*time.Second))                // of the same change
	tell(3, began.Add(time.Second), nil)                       // systemd did not say
	tell(2, began.Add(time.Minute), monotonic(t, time.Second)) // overtaken
	if len(m.shown) != 1 || m.shown[0] < 2*time.Second || m.shown[0] > time.Minute {
		t.Errorf("shown after %v, want once, after 2 s", m.shown)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	o, r, _ := observed(t)
	m := &meter{}
	o.Meter = m
	job := func(id int64, state server.JobState) store.JobRow {
		return store.JobRow{Job: server.Job{ID: id, Kind: server.JobStart, State: state, CreatedAt: time.Now()}}
	}
	o.mu.Lock()
	o.link.connected, o.link.reconnects = true, 2
	o.orphans.known["lost"] = &orphan{instance: "lost"}
	o.orphans.known["a"] = &orphan{instance: "a"} // a server since the last resync
	o.newRun(r, job(1, server.JobRunning))
	o.newRun(r, job(2, server.JobQueued)) // ends the first for its readers
	o.mu.Unlock()
	o.resync.lastAt, o.resync.stored = time.Unix(1, 0), 7
	want := Figures{
		Servers: []ServerFigures{{Entry: r.entry}}, Orphans: 1, Queued: 1,
		SystemdConnected: true, Reconnects: 2,
		LastResync: time.Unix(1, 0), ResyncEvery: 30 * time.Second, DatabaseBytes: 7,
	}
	got := o.Figures()
	if !slices.Equal(want.Servers, got.Servers) {
		t.Errorf("servers %+v, want %+v", got.Servers, want.Servers)
	}
	want.Servers, got.Servers = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"canceled"}, m.jobs); diff != "" {
		t.Errorf("jobs that ended (-want +got):\n%s", diff)
	}
	o.Settings.ResyncEnabled = false
	if every := o.Figures().ResyncEvery; every != 0 {
		t.Errorf("without resyncs there is one every %s", every)
	}
}

var _ Meter = noMeter{}
