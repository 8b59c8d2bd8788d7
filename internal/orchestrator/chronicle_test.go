package orchestrator

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// onRecord are the entries of the history that wait, without their times.
func onRecord(t *testing.T, o *Orchestrator) []server.HistoryEntry {
	t.Helper()
	o.chronicle.mu.Lock()
	defer o.chronicle.mu.Unlock()
	for i := range o.chronicle.entries {
		if age := time.Since(o.chronicle.entries[i].At); age < 0 || age > time.Minute {
			t.Errorf("entry %d is of %s", i, o.chronicle.entries[i].At)
		}
		o.chronicle.entries[i].At = time.Time{}
	}
	return o.chronicle.entries
}

func seenEntry(kind server.HistoryKind, what, from, to string, by server.Observer, detail string) server.HistoryEntry {
	return server.HistoryEntry{
		Server: "a", ServerID: 1, Kind: kind, What: what, From: from, To: to, SeenBy: string(by), Detail: detail,
	}
}

func TestWhatIsSeenIsOnRecord(t *testing.T) {
	t.Parallel()
	o, r, _ := observed(t)
	o.handle(signal(1, "deactivating", "stop-sigterm"))
	o.handle(signal(2, "inactive", "dead"))
	o.handle(signal(3, "inactive", "dead")) // nothing new
	o.mu.Lock()
	o.applyLink(r, false, false, server.BySignal)
	u := r.unit
	u.Active, u.Sub, u.Result, u.MainPID = "failed", "failed", "oom-kill", 0
	o.apply(r, u, time.Now(), server.ByResync)
	o.mu.Unlock()
	want := []server.HistoryEntry{
		seenEntry(server.HistoryState, "state", "running", "stopping", server.BySignal, ""),
		seenEntry(server.HistoryState, "state", "stopping", "stopped", server.BySignal, ""),
		seenEntry(server.HistoryDrift, "drift", "none", "down", server.BySignal, ""),
		seenEntry(server.HistoryDesired, "disable", "running", "stopped", server.BySignal, ""),
		seenEntry(server.HistoryDrift, "drift", "down", "none", server.BySignal, ""),
		seenEntry(server.HistoryState, "state", "stopped", "failed", server.ByResync, "result oom-kill"),
	}
	if diff := cmp.Diff(want, onRecord(t, o)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	seen := store.Seen{State: server.StateFailed, Drift: server.DriftNone, Desired: server.DesiredStopped}
	if diff := cmp.Diff(map[int64]store.Seen{1: seen}, o.chronicle.seen); diff != "" {
		t.Errorf("last seen (-want +got):\n%s", diff)
	}
}

// What changed while there was no daemon is seen by the first look of the next.
func TestRecordGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	o, _, _ := observed(t)
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := newRecord(store.ServerRow{
		ID: 2, Name: "b", Phase: server.PhaseReady, Desired: server.DesiredRunning, Config: server.DefaultConfig("b"),
		Seen: &store.Seen{State: server.StateFailed, Drift: server.DriftDown, DriftSince: since, Desired: server.DesiredRunning, Invocation: "1"},
	})
	u := server.Unit{Load: "loaded", Active: "failed", Sub: "failed", Result: "signal", InvocationID: "1"}
	o.mu.Lock()
	o.insert(r)
	o.apply(r, u, time.Now(), server.ByResync)
	o.mu.Unlock()
	if len(onRecord(t, o)) != 0 || !r.entry.DriftSince.Equal(since) {
		t.Errorf("as before, and yet %v; drift since %s", onRecord(t, o), r.entry.DriftSince)
	}
	run := server.Unit{Load: "loaded", Active: "active", Sub: "running", Result: "success", InvocationID: "2", MainPID: 7}
	o.mu.Lock()
	o.apply(r, run, time.Now(), server.ByResync)
	run.InvocationID, run.MainPID, run.Restarts = "3", 8, 2 // twice in a wink
	o.apply(r, run, time.Now(), server.ByResync)
	o.mu.Unlock()
	want := []server.HistoryEntry{
		seenEntry(server.HistoryState, "state", "failed", "running", server.ByResync, "pid 7"),
		seenEntry(server.HistoryDrift, "drift", "down", "none", server.ByResync, ""),
		seenEntry(server.HistoryState, "state", "running", "running", server.ByResync, "a new run that was not seen to begin: pid 8, restarted 2 times"),
	}
	for i := range want {
		want[i].Server, want[i].ServerID = "b", 2
	}
	if diff := cmp.Diff(want, onRecord(t, o)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// The list, which the first look begins with, does not tell which run of a unit
// it is.
func TestARunThatGoesOnIsNoNewRun(t *testing.T) {
	t.Parallel()
	listed := server.Unit{Load: "loaded", Active: "active", Sub: "running"}
	whole := listed
	whole.Result, whole.InvocationID, whole.MainPID = "success", "2", 8
	for name, c := range map[string]struct {
		state      server.State // that was last seen
		invocation string
		want       []string
	}{
		"the same run":          {server.StateRunning, "2", nil},
		"another run":           {server.StateRunning, "1", []string{"running -> running: a new run that was not seen to begin: pid 8"}},
		"a run after a failure": {server.StateFailed, "1", []string{"failed -> running: "}},
		"a run nobody knows":    {server.StateRunning, "", nil},
	} {
		o, _, _ := observed(t)
		r := newRecord(store.ServerRow{
			ID: 2, Name: "b", Phase: server.PhaseReady, Desired: server.DesiredRunning, Config: server.DefaultConfig("b"),
			Seen: &store.Seen{State: c.state, Drift: server.DriftNone, Desired: server.DesiredRunning, Invocation: c.invocation},
		})
		o.mu.Lock()
		o.insert(r)
		o.apply(r, listed, time.Now(), server.ByResync)
		o.apply(r, whole, time.Now(), server.ByResync)
		o.mu.Unlock()
		var got []string
		for _, e := range onRecord(t, o) {
			got = append(got, e.Words()+": "+e.Detail)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got := r.row.Seen.Invocation; got != "2" {
			t.Errorf("%s: last seen is the run %q", name, got)
		}
	}
}

// Restarts of long ago, of which the second look of a new daemon tells, are not
// of now.
func TestOldRestartsAreNoFlapping(t *testing.T) {
	t.Parallel()
	o, _, _ := observed(t)
	r := newRecord(store.ServerRow{ID: 2, Name: "b", Phase: server.PhaseReady, Desired: server.DesiredRunning, Config: server.DefaultConfig("b")})
	u := server.Unit{Load: "loaded", Active: "active", Sub: "running"}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.insert(r)
	o.apply(r, u, time.Now(), server.ByResync)
	u.InvocationID, u.Restarts = "1", uint32(o.Settings.FlapRestarts)+1
	o.apply(r, u, time.Now(), server.ByResync)
	if r.entry.Drift != server.DriftNone {
		t.Errorf("drift is %s", r.entry.Drift)
	}
	for range o.Settings.FlapRestarts + 1 {
		u.Restarts++
		o.apply(r, u, time.Now(), server.BySignal)
	}
	if r.entry.Drift != server.DriftFlapping {
		t.Errorf("after as many now, drift is %s", r.entry.Drift)
	}
}

// What a job brings about carries the job and, for the link, who asked.
func TestRecordNamesTheJob(t *testing.T) {
	t.Parallel()
	o, r, _ := observed(t)
	kim := server.Requester{UID: 1000, User: "kim", Via: server.ViaHTTP}
	o.mu.Lock()
	r.run = &run{o: o, rec: r, job: &server.Job{ID: 17, Kind: server.JobStop, State: server.JobRunning, RequestedBy: kim}}
	o.applyLink(r, false, false, server.ByJob)
	u := r.unit
	u.Active, u.Sub, u.MainPID = "inactive", "dead", 0
	o.apply(r, u, time.Now(), server.BySignal)
	r.run.ending = true // what comes now is told after the job's end
	u.Active, u.Sub = "failed", "failed"
	o.apply(r, u, time.Now(), server.BySignal)
	r.run.ending, r.run.yields = false, true
	u.Active, u.Sub = "inactive", "dead"
	o.apply(r, u, time.Now(), server.BySignal)
	o.mu.Unlock()
	failed := seenEntry(server.HistoryState, "state", "stopped", "failed", server.BySignal, "result success")
	over := seenEntry(server.HistoryState, "state", "failed", "stopped", server.BySignal, "")
	disabled := seenEntry(server.HistoryDesired, "disable", "running", "stopped", server.ByJob, "")
	stopped := seenEntry(server.HistoryState, "state", "running", "stopped", server.BySignal, "")
	disabled.Job, stopped.Job, disabled.By = 17, 17, &kim
	if diff := cmp.Diff([]server.HistoryEntry{disabled, stopped, failed, over}, onRecord(t, o)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// A job whose place another takes tells nothing more before that is stored, and
// what it told is on the disk then; when it comes to nothing, it tells again.
func TestAJobYields(t *testing.T) {
	t.Parallel()
	o, r, _ := observed(t)
	var written []int64
	o.chronicle.tell = func(server.HistoryEntry) {}
	o.chronicle.store = func(_ context.Context, _ map[int64]store.Seen, entries []server.HistoryEntry, _ []store.Notice) error {
		for _, e := range entries {
			written = append(written, e.Job)
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); o.chronicle.loop(ctx) }()
	o.mu.Lock()
	r.run = &run{o: o, rec: r, job: &server.Job{ID: 17, Kind: server.JobStart, State: server.JobRunning}}
	o.applyLink(r, false, false, server.BySignal)
	o.mu.Unlock()
	p := &plan{insert: []store.NewJob{{Supersedes: []int64{17}}}, records: []*record{r}}
	o.yield(t.Context(), p, true)
	before := slices.Clone(written)
	yields := !r.run.tells()
	o.yield(t.Context(), &plan{insert: []store.NewJob{{}}, records: []*record{r}}, false) // takes nobody's place
	yields = yields && !r.run.tells()
	cancel()
	<-done
	o.yield(t.Context(), p, false)
	if !yields || !r.run.tells() {
		t.Errorf("yields: %v; tells again: %v", yields, r.run.tells())
	}
	if diff := cmp.Diff([]int64{17}, before); diff != "" {
		t.Errorf("jobs of what was written before (-want +got):\n%s", diff)
	}
}

func TestFlapping(t *testing.T) {
	t.Parallel()
	o, r, _ := observed(t)
	began := time.Now()
	crash := func(n uint32, after time.Duration) {
		u := r.unit
		u.Restarts = n
		o.apply(r, u, began.Add(after), server.BySignal)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	drift := func() server.Drift { return r.entry.Drift }
	crash(5, -o.Settings.FlapWindow+time.Minute) // seen at once, as a resync does
	if drift() != server.DriftNone {
		t.Errorf("after five restarts: %s", drift())
	}
	crash(6, 0)
	if drift() != server.DriftFlapping {
		t.Errorf("after the sixth within the window: %s", drift())
	}
	if o.flapping(r, began.Add(2*time.Minute)) {
		t.Error("still flapping when the first of them is out of the window")
	}
	crash(0, 0) // started by hand
	if drift() != server.DriftNone || r.restarted != nil {
		t.Errorf("after a start by hand: %s", drift())
	}
	crash(100, 0)
	if len(r.restarted) != o.Settings.FlapRestarts+1 {
		t.Errorf("%d restarts are kept", len(r.restarted))
	}
	stopped := r.unit
	stopped.Active, stopped.Sub = "inactive", "dead"
	o.apply(r, stopped, began, server.BySignal)
	if drift() != server.DriftDown {
		t.Errorf("when it is down: %s", drift())
	}
}

// What the disk refuses is written later, in order, and who waits for it does
// not wait for ever.
func TestChronicleKeepsWhatTheDiskRefuses(t *testing.T) {
	t.Parallel()
	o, _, _ := observed(t)
	c := o.chronicle
	full := errors.New("no space")
	var refuse error = full
	var written []string
	told := 0
	c.log, c.tell = zerolog.Nop(), func(server.HistoryEntry) { told++ }
	c.store = func(_ context.Context, _ map[int64]store.Seen, entries []server.HistoryEntry, _ []store.Notice) error {
		if refuse != nil {
			return refuse
		}
		for _, e := range entries {
			written = append(written, e.Detail)
		}
		return nil
	}
	add := func(detail string) {
		c.add(1, store.Seen{State: server.State(detail)}, []server.HistoryEntry{{Detail: detail}}, nil)
	}
	add("1")
	if err := c.flush(t.Context()); !errors.Is(err, full) {
		t.Fatalf("flush: %v", err)
	}
	add("2")
	refuse = nil
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.loop(ctx) }()
	c.settle(t.Context())
	cancel()
	<-done
	if diff := cmp.Diff([]string{"1", "2"}, written); diff != "" || told != 2 {
		t.Errorf("written (-want +got):\n%s and told of %d", diff, told)
	}
	if len(c.entries) != 0 || len(c.seen) != 0 {
		t.Errorf("left: %v %v", c.entries, c.seen)
	}
	refuse = full
	for range maxPending + 7 {
		add("x")
	}
	if diff := cmp.Diff([]int{maxPending, 7}, []int{len(c.entries), c.dropped}, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("kept and dropped (-want +got):\n%s", diff)
	}
}

// When the link to systemd is lost nothing is shown as current any more.
func TestLostLinkMakesStale(t *testing.T) {
	t.Parallel()
	o, r, _ := observed(t)
	o.Settings.ResyncInterval = time.Hour
	o.mu.Lock()
	o.setConnected(false, time.Now().Add(-lossGrace))
	changed := r.changed
	o.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); o.watchAge(ctx) }()
	<-changed
	cancel()
	<-done
	if !r.entry.Stale {
		t.Error("not stale")
	}
}
