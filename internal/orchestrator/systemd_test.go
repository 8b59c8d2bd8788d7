package orchestrator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/instance"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
	"github.com/left4med/left4med/test/machine"
)

// gameUnit stands for the game: a server whose name begins with c crashes after
// a moment, one that begins with h does not end when it is told to.
const gameUnit = `[Service]
Type=exec
ExecStart=/bin/sh -c 'case %i in c*) exec sleep 0.2;; h*) trap "" TERM;; esac; while :; do sleep 1000; done'
Restart=on-failure
RestartSec=100ms
TimeoutStopSec=200ms
[Install]
WantedBy=multi-user.target
`

const helperUnit = "[Service]\nType=oneshot\nExecStart=/bin/true\n"

// bench is an orchestrator in this process, at work on a machine's systemd.
type bench struct {
	*Orchestrator
	machine *machine.Machine
	store   *store.Store
	end     func() // of its Run, after which it can be made anew
}

func newMachine(t *testing.T, release machine.Release) *machine.Machine {
	t.Helper()
	m := machine.New(t, release)
	for name, text := range map[string]string{
		"left4me-server@.service": gameUnit, "left4me-overlay@.service": helperUnit,
		"left4me-install.service": helperUnit, "left4me-upper@.service": helperUnit, "left4me-clear@.service": helperUnit,
		"left4me-backup@.service": helperUnit, "left4me-verify@.service": helperUnit, "left4me-restore@.service": helperUnit,
	} {
		if err := m.WriteFile(t.Context(), "/etc/systemd/system/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.MustRun(t, "systemctl", "daemon-reload")
	m.MustRun(t, "mkdir", "-p", "/var/lib/left4me/installation", "/var/lib/left4me/instances", "/var/lib/left4me/runtime")
	m.MustRun(t, "install", "-m", "755", "/bin/true", "/var/lib/left4me/installation/srcds_run")
	return m
}

func newBench(t *testing.T, m *machine.Machine, socket, db string, rules ...server.AlertRule) *bench {
	t.Helper()
	s, err := store.Open(t.Context(), db, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	settings := DefaultSettings()
	settings.Settle, settings.ResyncInterval, settings.Alerts = 50*time.Millisecond, time.Second, rules
	o := New(Options{
		Settings: settings, Units: unitctl.New(unitctl.Options{Root: m.Path("/"), Socket: socket}), Store: s,
		Files: instance.New(m.DiskPath("/var/lib/left4me")), Logs: noLogs{}, Log: zerolog.Nop(), BootID: "boot",
	})
	if err := o.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, over := make(chan struct{}), make(chan error, 1)
	go func() { over <- o.Run(ctx, func() { close(ready) }) }()
	b := &bench{Orchestrator: o, machine: m, store: s}
	b.end = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(b.end)
	select {
	case <-ready:
	case err := <-over:
		t.Fatalf("Run ended before it was ready: %v", err)
	}
	return b
}

type noLogs struct{}

func (noLogs) Tail(context.Context, string, int, time.Time) ([]string, error) { return nil, nil }

func (noLogs) Follow(ctx context.Context, _, _ string, _ int, _ time.Time, _ func(time.Time, string)) error {
	<-ctx.Done()
	return ctx.Err()
}

// root asks for everything.
func root() server.Requester { return server.Requester{Via: server.ViaHTTP} }

// settle waits until no job is left.
func (b *bench) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Minute, fmt.Errorf("jobs do not end"))
	defer cancel()
	for {
		rows, err := b.store.UnfinishedJobs(ctx)
		if err != nil {
			t.Fatal(err)
		}
		b.mu.RLock()
		inMemory := len(b.runs)
		b.mu.RUnlock()
		if len(rows) == 0 && inMemory == 0 {
			return
		}
		for _, row := range rows {
			if _, err := b.WaitJob(ctx, row.ID); err != nil {
				t.Fatalf("job %d, %s of %s: %v", row.ID, row.Kind, row.Server, err)
			}
		}
	}
}

// Whatever is asked for at once, by many, in any order, over a restart of the
// daemon in the middle: all jobs end, each once, and what is shown is what
// systemd says.
func TestStormOfRequests(t *testing.T) {
	t.Parallel()
	needMachines(t)
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := newMachine(t, release)
		socket := newRelay(t, m)
		db := filepath.Join(t.TempDir(), "state.db")
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		var names []server.Name
		for i := range 20 {
			names = append(names, server.Name(fmt.Sprintf("%c%02d", "abch"[i%4], i)))
		}
		for round := range uint64(3) {
			b := newBench(t, m, socket, db)
			watch := b.Watch(0, false)
			storm(t, b, names, seed+round)
			if round < 2 {
				b.end() // in the midst of it
				continue
			}
			b.settle(t)
			b.checkEvents(t, watch)
			b.checkTruth(t)
		}
	})
}

// Of two unfinished jobs for one server, as a crash leaves them between the end
// of one and the next, the later one counts.
func TestTheLaterOfTwoUnfinishedJobsCounts(t *testing.T) {
	t.Parallel()
	needMachines(t)
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := newMachine(t, release)
		socket, db := newRelay(t, m), filepath.Join(t.TempDir(), "state.db")
		b := newBench(t, m, socket, db)
		created, err := b.Create(t.Context(), "a", server.ConfigPatch{}, root())
		if err != nil {
			t.Fatal(err)
		}
		b.settle(t)
		b.end()

		s, err := store.Open(t.Context(), db, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		job := func(kind server.JobKind) store.NewJob {
			return store.NewJob{Row: store.JobRow{
				Job:    server.Job{Server: "a", ServerID: created.ServerID, Kind: kind, State: server.JobQueued, RequestedBy: root()},
				BootID: "boot",
			}}
		}
		rows, err := s.InsertJobs(t.Context(), []store.NewJob{job(server.JobStart), job(server.JobStop)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}

		b = newBench(t, m, socket, db)
		b.settle(t)
		type end struct {
			State      server.JobState
			Superseded int64
		}
		got := map[server.JobKind]end{}
		for _, row := range rows {
			job, err := b.Job(t.Context(), row.ID)
			if err != nil {
				t.Fatal(err)
			}
			e := end{State: job.State}
			if job.SupersededBy != nil {
				e.Superseded = *job.SupersededBy
			}
			got[job.Kind] = e
		}
		want := map[server.JobKind]end{
			server.JobStart: {server.JobCanceled, rows[1].ID},
			server.JobStop:  {server.JobSucceeded, 0},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("how the jobs ended (-want +got):\n%s", diff)
		}
		b.checkTruth(t)
	})
}

// storm has eight clients ask for 40 things each, and wait for the end of every
// other. What is refused is refused.
func storm(t *testing.T, b *bench, names []server.Name, seed uint64) {
	t.Helper()
	var clients sync.WaitGroup
	for client := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, client))
		clients.Go(func() {
			for range 40 {
				some := slices.Clone(names)
				rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
				jobs := b.askAnything(t.Context(), rng, some[:1+rng.IntN(5)])
				if len(jobs) > 0 && rng.IntN(2) == 0 {
					if _, err := b.WaitJob(t.Context(), jobs[0].ID); err != nil {
						t.Errorf("job %d: %v", jobs[0].ID, err)
					}
				}
			}
		})
	}
	clients.Wait()
}

// askAnything asks for something and returns the jobs that do it.
func (b *bench) askAnything(ctx context.Context, rng *rand.Rand, names []server.Name) (jobs []*server.Job) {
	kinds := []server.JobKind{
		server.JobStart, server.JobStart, server.JobStart, server.JobStop, server.JobStop, server.JobRestart, server.JobReset, server.JobDelete,
	}
	switch kind := rng.IntN(len(kinds) + 3); {
	case kind < len(kinds):
		jobs, _, _ = b.Request(ctx, kinds[kind], names, root())
	case kind == len(kinds):
		b.cancelSome(ctx, rng)
	default:
		if job, err := b.Create(ctx, names[0], server.ConfigPatch{}, root()); err == nil {
			jobs = []*server.Job{job}
		}
	}
	return jobs
}

// cancelSome cancels a job that is under way.
func (b *bench) cancelSome(ctx context.Context, rng *rand.Rand) {
	b.mu.RLock()
	var ids []int64
	for id := range b.runs {
		ids = append(ids, id)
	}
	b.mu.RUnlock()
	if len(ids) > 0 {
		_, _ = b.Cancel(ctx, ids[rng.IntN(len(ids))], root())
	}
}

// checkEvents reads all events since watch began: a job ends once and is not
// heard of again, and the last word on each server is what Get says.
func (b *bench) checkEvents(t *testing.T, watch *Watcher) {
	t.Helper()
	ended, last := map[int64]bool{}, map[server.Name]*Entry{}
	for watch.next <= b.feed.last() {
		events, err := watch.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			switch e.Type {
			case EventReset:
				t.Fatal("the storm was too long for the feed")
			case EventServer:
				last[e.Server().Name] = e.Server()
			case EventDeleted:
				delete(last, e.value.(Deleted).Name)
			case EventJob:
				j := e.Job()
				if ended[j.ID] {
					t.Errorf("job %d, a %s of %s, is heard of after its end: %s", j.ID, j.Kind, j.Server, j.State)
				}
				ended[j.ID] = j.State.Finished()
			}
		}
	}
	t.Logf("%d jobs were heard of", len(ended))
	for id, over := range ended {
		if !over {
			t.Errorf("no event tells that job %d has ended", id)
		}
	}
	for name, e := range last {
		now, _, err := b.Get(name)
		if err != nil || !same(&now.Server, &e.Server) {
			t.Errorf("the last event about %s differs from what is shown (%v):\n%s", name, err, cmp.Diff(e.Server, now.Server))
		}
	}
}

// checkTruth compares what is shown with systemd and with the disk.
func (b *bench) checkTruth(t *testing.T) {
	t.Helper()
	links, err := b.Units.Links()
	if err != nil {
		t.Fatal(err)
	}
	type truth struct{ Enabled, Running bool }
	want, got := map[server.Name]truth{}, map[server.Name]truth{}
	for _, e := range b.List().Servers {
		u, _, err := b.Units.Unit(t.Context(), e.Unit)
		if err != nil {
			t.Fatal(err)
		}
		if e.Phase != server.PhaseReady || e.Job != nil {
			t.Errorf("%s is left in phase %s with job %+v", e.Name, e.Phase, e.Job)
		}
		if e.Name[0] == 'c' { // it comes and goes by itself
			u.Active = e.ActiveState
		}
		want[e.Name] = truth{links.Enabled[string(e.Name)], u.Active == "active"}
		got[e.Name] = truth{e.Desired == server.DesiredRunning, e.ActiveState == "active"}
	}
	for instance := range links.Enabled {
		if _, known := want[server.Name(instance)]; !known {
			t.Errorf("a link of %s is left behind", instance)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is shown differs from systemd (-systemd +shown):\n%s", diff)
	}
	for _, parent := range []string{"instances", "runtime"} {
		entries, err := os.ReadDir(filepath.Join(b.Files.Root(), parent))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if _, known := want[server.Name(e.Name())]; !known {
				t.Errorf("%s/%s is left behind", parent, e.Name())
			}
		}
	}
}

func needMachines(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots machines")
	}
	if err := machine.CheckHost(); err != nil {
		t.Skip(err)
	}
}
