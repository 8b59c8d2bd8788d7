package orchestrator

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// kept is an orchestrator with a store, and a server in it that is seen running.
func kept(t *testing.T) (*Orchestrator, *record) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	cfg := server.DefaultConfig("a")
	cfg.Port = 27015
	row, _, err := s.CreateServer(t.Context(), store.ServerRow{
		Name: "a", Config: cfg, Desired: server.DesiredRunning, CreatedAt: time.Now().Add(-time.Hour),
	}, store.JobRow{Job: server.Job{Kind: server.JobInitialize, State: server.JobQueued}})
	if err != nil {
		t.Fatal(err)
	}
	o, _, _ := observed(t)
	o.Store, o.BootID = s, "boot"
	row.Phase = server.PhaseReady
	r := newRecord(row)
	o.mu.Lock()
	o.records, o.order = map[server.Name]*record{}, nil
	o.insert(r)
	o.apply(r, server.Unit{Load: "loaded", Active: "active", Sub: "running", InvocationID: "1", MainPID: 7}, time.Now(), server.ByResync)
	o.setConnected(true, time.Now())
	o.mu.Unlock()
	if err := o.chronicle.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o, r
}

// presences are what a server was, one after the other.
func presences(t *testing.T, o *Orchestrator) []string {
	t.Helper()
	a, err := o.Availability(t.Context(), "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range a.Spans {
		line := string(s.State)
		if s.Reason != "" {
			line += ": " + s.Reason
		}
		all = append(all, line)
	}
	return all
}

// Times in an availability are of a millisecond: what shall be told apart must be
// further apart.
func tick() { time.Sleep(3 * time.Millisecond) }

func TestAvailabilityOfWhatIsWatched(t *testing.T) {
	t.Parallel()
	o, r := kept(t)
	const before, up = "unknown: nobody watched yet", "up"
	check := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, presences(t, o)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	become := func(active, sub, invocation string) {
		tick()
		o.mu.Lock()
		u := r.unit
		u.Active, u.Sub, u.InvocationID, u.Result, u.Since = active, sub, invocation, "signal", time.Now()
		o.apply(r, u, time.Now(), server.BySignal)
		o.mu.Unlock()
		tick()
	}
	check("before the first look", "unknown: left4med was not watching")
	o.watch.looked(time.Now())
	tick()
	check("after it", before, up)
	become("failed", "failed", "1") // not stored yet
	check("it failed", before, up, "down: failed, result signal")
	if err := o.chronicle.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("it failed, and that is stored", before, up, "down: failed, result signal")
	become("active", "running", "2")
	if err := o.chronicle.flush(t.Context()); err != nil {
		t.Fatal(err)
	}

	// The link breaks. What had begun before it came back is no look.
	early := time.Now()
	o.disconnected(disconnect())
	tick()
	check("without the link", before, up, "down: failed, result signal", up, "unknown: there is no link to systemd")
	o.watch.looked(early)
	tick()
	check("a look that fails", before, up, "down: failed, result signal", up, "unknown: there is no link to systemd")
	o.mu.Lock()
	o.setConnected(true, time.Now())
	o.mu.Unlock()
	o.watch.looked(early)
	if len(o.watch.known(time.Now())) != 1 {
		t.Error("a look from before the link came back was taken for one")
	}
	o.watch.looked(time.Now())
	tick()
	check("it is the same run", before, up, "down: failed, result signal", up)

	// Another daemon goes on where this one was killed.
	if err := o.watch.store(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.chronicle.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.Store.EndWatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.watch = newWatching(o)
	tick()
	began := time.Now()
	tick()
	o.mu.Lock()
	u := r.unit
	u.InvocationID, u.Since = "3", began
	o.apply(r, u, time.Now(), server.ByResync)
	o.mu.Unlock()
	o.watch.looked(time.Now())
	tick()
	check("it ran anew, unseen", before, up, "down: failed, result signal", up, "unknown: left4med was not running", up)

	if _, err := o.Availability(t.Context(), "b", 1); !errors.Is(err, &server.Error{Code: server.CodeServerNotFound}) {
		t.Errorf("of none: %v", err)
	}
}

func TestWatchIsStoredUntilTheEnd(t *testing.T) {
	t.Parallel()
	o, _ := kept(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); o.watch.loop(ctx) }()
	began := time.Now()
	o.watch.looked(began)
	o.disconnected(disconnect())
	o.mu.Lock()
	o.setConnected(true, time.Now())
	o.mu.Unlock()
	o.watch.looked(time.Now())
	cancel()
	<-done
	got, err := o.Store.Watches(t.Context(), began)
	if err != nil {
		t.Fatal(err)
	}
	var ends []server.WatchEnd
	for _, w := range got {
		if w.Boot != "boot" || w.Until.Before(w.From) || time.Since(w.Until) > time.Minute {
			t.Errorf("%+v", w)
		}
		ends = append(ends, w.Ended)
	}
	if diff := cmp.Diff([]server.WatchEnd{server.WatchUnlinked, server.WatchStopped}, ends); diff != "" {
		t.Errorf("watches (-want +got):\n%s", diff)
	}
}

// Who looked last before the days that are asked about knew the server, and it is
// the same run.
func TestAvailabilityKnowsWhoWatchedBefore(t *testing.T) {
	t.Parallel()
	o, r := kept(t)
	now := time.Now()
	o.mu.Lock()
	r.row.CreatedAt = now.AddDate(0, 0, -10)
	o.mu.Unlock()
	before := server.Watch{From: now.AddDate(0, 0, -9), Until: now.AddDate(0, 0, -2), Boot: "boot", Ended: server.WatchStopped}
	if err := o.Store.SetWatches(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	o.watch.looked(time.Now())
	tick()
	if diff := cmp.Diff([]string{"up"}, presences(t, o)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a clock that is set skips was not watched, and time does not run backwards.
func TestClockThatIsSet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by   time.Duration
		want []string
	}{
		"forward":        {8 * time.Hour, []string{"unknown: nobody watched yet", "up", "unknown: the host's clock was set", "up"}},
		"by next to it":  {clockSlack / 2, []string{"unknown: nobody watched yet", "up"}},
		"back":           {-4 * time.Hour, []string{"unknown: nobody watched yet", "up"}},
		"back, by a bit": {-time.Minute, []string{"unknown: nobody watched yet", "up"}},
	} {
		o, r := kept(t)
		o.mu.Lock()
		r.row.CreatedAt = time.Now().AddDate(0, 0, -1)
		o.mu.Unlock()
		o.watch.looked(time.Now())
		// It ran for an hour by a clock that was wrong by so much until now.
		o.watch.mu.Lock()
		o.watch.now.From = time.Now().Add(-time.Hour - c.by).Round(0)
		o.watch.wall = o.watch.wall.Add(-c.by)
		o.watch.look(time.Now())
		o.watch.mu.Unlock()
		tick()
		if diff := cmp.Diff(c.want, presences(t, o)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := o.watch.store(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, w := range o.watch.known(time.Now()) {
			if w.Until.Before(w.From) {
				t.Errorf("%s: %+v", name, w)
			}
		}
		tick()
		if diff := cmp.Diff(c.want, presences(t, o)); diff != "" {
			t.Errorf("%s, stored (-want +got):\n%s", name, diff)
		}
	}
}

// A disk that refuses is no reason to forget, nor to grow.
func TestWatchesWaitForTheDisk(t *testing.T) {
	t.Parallel()
	o, _ := kept(t)
	save := o.watch.save
	o.watch.save = func(context.Context, ...server.Watch) error { return errors.New("no space left") }
	for range keptWatches + 5 {
		o.mu.Lock()
		o.setConnected(true, time.Now())
		o.mu.Unlock()
		o.watch.looked(time.Now())
		o.disconnected(disconnect())
		if err := o.watch.store(t.Context()); err == nil {
			t.Fatal("it was stored")
		}
	}
	o.watch.save = save
	if n := len(o.watch.known(time.Now())); n != keptWatches {
		t.Errorf("%d wait", n)
	}
	if err := o.watch.store(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := o.watch.known(time.Now()); len(left) != 0 {
		t.Errorf("%d are left", len(left))
	}
}

func TestSeriesOfAMinuteIsStoredOnce(t *testing.T) {
	t.Parallel()
	o, r := kept(t)
	minute := time.Now().UTC().Truncate(time.Minute).Add(-2 * time.Minute)
	look := func(second int, memory uint64, percent float64, players int) {
		s := server.Server{MemoryBytes: &memory, CPUPercent: &percent, Game: &server.Game{Reachable: true, Players: &players}}
		o.series.add(map[int64]server.Sample{
			r.row.ID: sampleOf(&s, minute.Add(time.Duration(second)*time.Second)),
			99:       sampleOf(&server.Server{Game: &server.Game{Players: &players}}, minute), // tells nothing
		})
	}
	look(0, 1<<30, 10, 2)
	look(10, 3<<30, 30, 4)
	if o.series.write(t.Context(), minute.Add(30*time.Second), false) || len(o.series.minutes) != 1 {
		t.Error("a minute that is not over was stored")
	}
	look(50, 2<<30, 20, 0)
	look(60, 1<<20, 1, 1)
	if o.series.write(t.Context(), minute.Add(61*time.Second), false) || len(o.series.minutes) != 1 {
		t.Error("a minute was not stored, or one that is not over")
	}
	got, err := o.Series(t.Context(), "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	type point struct {
		At                  int64
		Memory, MemoryMax   int64
		CPU, CPUMax         float64
		Players, PlayersMax float64
	}
	var points []point
	for i, m := range got.Memory {
		if m != nil {
			points = append(points, point{got.At[i], *m, *got.MemoryMax[i], *got.CPU[i], *got.CPUMax[i], *got.Players[i], float64(*got.PlayersMax[i])})
		}
	}
	if diff := cmp.Diff([]point{{minute.Unix(), 2 << 30, 3 << 30, 20, 30, 2, 4}}, points); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// Samples that the disk does not take are dropped, with one line in the log, and
// those that wait for one that hangs are bounded.
func TestSamplesAreDropped(t *testing.T) {
	t.Parallel()
	var lines counter
	o := New(Options{Settings: DefaultSettings(), Log: zerolog.New(&lines)})
	full := true
	stored := 0
	o.series.store = func(context.Context, map[int64]server.Sample) error {
		if full {
			return errors.New("no space left")
		}
		stored++
		return nil
	}
	memory := uint64(1)
	begin := time.Now().Truncate(time.Minute).Add(-time.Hour)
	add := func(minutes ...int) {
		for _, m := range minutes {
			o.series.add(map[int64]server.Sample{1: sampleOf(&server.Server{MemoryBytes: &memory}, begin.Add(time.Duration(m)*time.Minute))})
		}
	}
	add(1, 2)
	failing := o.series.write(t.Context(), begin.Add(5*time.Minute), false)
	add(3)
	failing = o.series.write(t.Context(), begin.Add(6*time.Minute), failing)
	if !failing || lines != 1 || len(o.series.minutes) != 0 {
		t.Errorf("failing %v, %d lines, %d minutes kept", failing, lines, len(o.series.minutes))
	}
	for m := range 2 * maxMinutes {
		add(10 + m)
	}
	full = false
	if failing = o.series.write(t.Context(), begin.Add(time.Hour), failing); failing || stored != maxMinutes {
		t.Errorf("failing %v, %d minutes stored", failing, stored)
	}
}

// counter counts the lines written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) { *c++; return len(p), nil }

// disconnect is the event of a link that broke now.
func disconnect() unitctl.Event { return unitctl.Event{Kind: unitctl.Disconnected, At: time.Now()} }
