package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/left4med/left4med/internal/server"
	"github.com/rs/zerolog"
)

// openAt opens a store that is closed with the test, with a clock that stands
// still.
func openAt(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return clock }
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newStore(t testing.TB) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "state.db"))
}

var clock = time.Date(2026, 5, 4, 3, 2, 1, 123456000, time.UTC)

func config(name server.Name, port uint16) server.Config {
	cfg := server.DefaultConfig(name)
	cfg.Port = port
	return cfg
}

func newJob(kind server.JobKind) JobRow {
	return JobRow{Job: server.Job{Kind: kind, State: server.JobQueued,
		RequestedBy: server.Requester{UID: 1000, User: "kim", Via: server.ViaHTTP, OnBehalfOf: "alice"}}}
}

func create(t testing.TB, s *Store, name server.Name, port uint16) (ServerRow, JobRow) {
	t.Helper()
	row, job, err := s.CreateServer(t.Context(), ServerRow{Name: name, Config: config(name, port)}, newJob(server.JobInitialize))
	must(t, err)
	return row, job
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t testing.TB, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not as wanted (-want +got):\n%s", diff)
	}
}

// fails checks an error's code and that its text holds every part.
func fails(t testing.TB, err error, code server.Code, parts ...string) {
	t.Helper()
	if !errors.Is(err, &server.Error{Code: code}) {
		t.Fatalf("error %v (%T), want code %s", err, err, code)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error %q does not say %q", err, p)
		}
	}
}

func servers(t testing.TB, s *Store) []ServerRow {
	t.Helper()
	rows, err := s.Servers(t.Context())
	must(t, err)
	return rows
}

func TestServerLife(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	b, bJob := create(t, s, "b", 27016)
	a, _ := create(t, s, "a", 27015)
	wantB := ServerRow{ID: 1, Name: "b", Phase: server.PhaseCreating, Config: config("b", 27016), Desired: server.DesiredStopped, CreatedAt: clock}
	wantA := ServerRow{ID: 2, Name: "a", Phase: server.PhaseCreating, Config: config("a", 27015), Desired: server.DesiredStopped, CreatedAt: clock}
	same(t, wantB, b)
	same(t, []ServerRow{wantA, wantB}, servers(t, s))
	wantJob := newJob(server.JobInitialize)
	wantJob.ID, wantJob.Server, wantJob.ServerID, wantJob.CreatedAt = 1, "b", 1, clock
	same(t, wantJob, bJob)
	stored, err := s.Job(ctx, 1)
	must(t, err)
	same(t, wantJob, stored)

	must(t, s.SetPhase(ctx, a.ID, server.PhaseReady))
	wantA.Phase, wantA.Desired, wantA.ChangedInvocation = server.PhaseReady, server.DesiredRunning, "abc"
	wantA.Config = config("a", 27020)
	wantA.Config.CVars["sv_gravity"] = "800"
	must(t, s.SetConfig(ctx, a.ID, wantA.Config, "abc"))
	wantA.Seen = &Seen{State: server.StateRunning, Drift: server.DriftFlapping, DriftSince: clock, Desired: server.DesiredRunning, Invocation: "abd"}
	must(t, s.SetSeen(ctx, map[int64]Seen{a.ID: *wantA.Seen, 99: {Desired: server.DesiredRunning}}, nil, nil))
	same(t, []ServerRow{wantA, wantB}, servers(t, s))

	must(t, s.DeleteServer(ctx, a.ID, nil))
	must(t, s.DeleteServer(ctx, a.ID, nil))
	same(t, []ServerRow{wantB}, servers(t, s))
	for _, err := range []error{
		s.SetPhase(ctx, a.ID, server.PhaseReady), s.SetConfig(ctx, a.ID, wantA.Config, ""), s.DeleteServer(ctx, 99, nil),
	} {
		fails(t, err, server.CodeServerNotFound)
	}

	// Its name and port are free again, its id is not.
	again, _ := create(t, s, "a", 27020)
	if again.ID != 3 {
		t.Errorf("the new server has the id %d", again.ID)
	}
}

func TestNameAndPortAreUnique(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	a, _ := create(t, s, "a", 27015)
	b, _ := create(t, s, "b", 27016)
	must(t, s.SetPhase(ctx, a.ID, server.PhaseDeleting))
	refused := func(name server.Name, port uint16) error {
		_, _, err := s.CreateServer(ctx, ServerRow{Name: name, Config: config(name, port)}, newJob(server.JobInitialize))
		return err
	}
	fails(t, refused("a", 27017), server.CodeNameTaken, "already a server named a")
	err := refused("c", 27015)
	fails(t, err, server.CodePortTaken, "27015", "server a")
	var e *server.Error
	if errors.As(err, &e); e.Field != "config.port" {
		t.Errorf("the field is %q", e.Field)
	}
	fails(t, s.SetConfig(ctx, b.ID, config("b", 27015), ""), server.CodePortTaken)
	must(t, s.SetConfig(ctx, b.ID, config("b", 27016), ""))
	jobs, err := s.Jobs(ctx, JobFilter{})
	must(t, err)
	if len(jobs) != 2 {
		t.Errorf("a refused server left a job behind: %d jobs", len(jobs))
	}
	// The schema holds even without those checks.
	for _, sql := range []string{
		`INSERT INTO servers SELECT 77, 'a', phase, 1, config, desired, '', 0, NULL, NULL FROM servers WHERE id = 1`,
		`INSERT INTO servers SELECT 77, 'x', phase, port, config, desired, '', 0, NULL, NULL FROM servers WHERE id = 1`,
	} {
		err := s.write(ctx, "test", func(ctx context.Context, q querier) error {
			_, err := q.ExecContext(ctx, sql)
			return err
		})
		fails(t, err, server.CodeInternal, "UNIQUE constraint failed")
	}
}

func TestJobLife(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	a, _ := create(t, s, "a", 27015)
	job := newJob(server.JobStart)
	job.Server, job.ServerID = "a", a.ID
	jobs, err := s.InsertJobs(ctx, []NewJob{{Row: job}, {Row: newJob(server.JobInstall)}})
	must(t, err)
	same(t, []int64{2, 3}, []int64{jobs[0].ID, jobs[1].ID})

	must(t, s.SetStep(ctx, []StepUpdate{{JobID: 2, Step: "enabled", Mark: []byte(`{"n":1}`), BootID: "boot"}, {JobID: 99}}))
	j := jobs[0]
	j.State, j.StartedAt, j.Progress = server.JobRunning, clock.Add(time.Second), &server.Progress{Done: 1, Total: 3, Text: "enabling"}
	must(t, s.UpdateJob(ctx, j)) // does not touch the step
	got, err := s.Job(ctx, 2)
	must(t, err)
	j.Step, j.Mark, j.BootID = "enabled", []byte(`{"n":1}`), "boot"
	same(t, j, got)

	unfinished, err := s.UnfinishedJobs(ctx)
	must(t, err)
	same(t, []int64{1, 2, 3}, ids(unfinished))

	j.State, j.FinishedAt = server.JobFailed, clock.Add(2*time.Second)
	j.Error = &server.JobError{Code: server.CodeJobFailed, Detail: "it died", Logs: []string{"one", "two"}}
	must(t, s.UpdateJobs(ctx, []JobRow{j}))
	got, err = s.Job(ctx, 2)
	must(t, err)
	same(t, j, got)

	// What has ended stays so, and takes nothing with it.
	other := jobs[1]
	other.State = server.JobRunning
	fails(t, s.UpdateJobs(ctx, []JobRow{other, j}), server.CodeJobFinished, "job 2 has already ended: failed")
	same(t, server.JobQueued, jobState(t, s, 3))
	j.ID = 99
	fails(t, s.UpdateJob(ctx, j), server.CodeJobNotFound)
	_, err = s.Job(ctx, 99)
	fails(t, err, server.CodeJobNotFound)
	must(t, s.SetStep(ctx, []StepUpdate{{JobID: 2, Step: "later"}}))
	got, err = s.Job(ctx, 2)
	must(t, err)
	same(t, "enabled", got.Step)
	// A final state without its time is a fault of the caller's.
	other.State = server.JobSucceeded
	fails(t, s.UpdateJob(ctx, other), server.CodeInternal)
}

func ids(jobs []JobRow) []int64 {
	ids := []int64{}
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

func jobState(t testing.TB, s *Store, id int64) server.JobState {
	t.Helper()
	j, err := s.Job(t.Context(), id)
	must(t, err)
	return j.State
}

func TestSupersede(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	a, first := create(t, s, "a", 27015)
	first.State, first.FinishedAt = server.JobSucceeded, clock
	must(t, s.UpdateJob(ctx, first))
	start := newJob(server.JobStart)
	start.Server, start.ServerID = "a", a.ID
	started, err := s.InsertJobs(ctx, []NewJob{{Row: start}})
	must(t, err)
	del := newJob(server.JobDelete)
	del.Server, del.ServerID, del.CreatedAt = "a", a.ID, clock.Add(time.Minute)
	phase := server.PhaseDeleting
	jobs, err := s.InsertJobs(ctx, []NewJob{{Row: del, Supersedes: []int64{started[0].ID}, Phase: &phase}})
	must(t, err)
	want := started[0]
	want.State, want.FinishedAt, want.SupersededBy = server.JobCanceled, del.CreatedAt, &jobs[0].ID
	got, err := s.Job(ctx, want.ID)
	must(t, err)
	same(t, want, got)
	same(t, server.PhaseDeleting, servers(t, s)[0].Phase)

	// One that had ended is not touched; one that fails takes all with it.
	bad := newJob(server.JobStop)
	bad.Server, bad.ServerID = "a", 99
	_, err = s.InsertJobs(ctx, []NewJob{{Row: start, Supersedes: []int64{jobs[0].ID}}, {Row: bad}})
	fails(t, err, server.CodeInternal, "FOREIGN KEY")
	same(t, server.JobQueued, jobState(t, s, jobs[0].ID))
	_, err = s.InsertJobs(ctx, []NewJob{{Row: start, Supersedes: []int64{first.ID}}})
	must(t, err)
	same(t, server.JobSucceeded, jobState(t, s, first.ID))
}

func TestJobsFilterAndPrune(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	var batch []NewJob
	for i := range 10 {
		j := newJob(server.JobStart)
		j.Server = server.Name([]string{"a", "b"}[i%2])
		j.State, j.CreatedAt, j.FinishedAt = server.JobSucceeded, clock, clock.Add(time.Duration(i)*time.Hour)
		if i < 2 {
			j.State, j.FinishedAt = server.JobRunning, time.Time{}
		}
		batch = append(batch, NewJob{Row: j})
	}
	_, err := s.InsertJobs(ctx, batch)
	must(t, err)
	for _, c := range []struct {
		filter JobFilter
		want   []int64
	}{
		{JobFilter{}, []int64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}},
		{JobFilter{Server: "a"}, []int64{9, 7, 5, 3, 1}},
		{JobFilter{Server: "a", Before: 7, Limit: 1}, []int64{5}},
		{JobFilter{State: server.JobRunning}, []int64{2, 1}},
		{JobFilter{Server: "b", State: server.JobRunning}, []int64{2}},
		{JobFilter{Server: "c"}, []int64{}},
	} {
		jobs, err := s.Jobs(ctx, c.filter)
		must(t, err)
		same(t, c.want, ids(jobs))
	}
	// a: 9 7 5 3 (1 runs); b: 10 8 6 4 (2 runs). Three of each stay, and what
	// ended in the last hours.
	n, err := s.PruneJobs(ctx, 3, clock.Add(3*time.Hour))
	must(t, err)
	same(t, int64(1), n)
	n, err = s.PruneJobs(ctx, 1, clock.Add(100*time.Hour))
	must(t, err)
	same(t, int64(5), n)
	jobs, err := s.Jobs(ctx, JobFilter{})
	must(t, err)
	same(t, []int64{10, 9, 2, 1}, ids(jobs))
}

func TestEventIDs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	first, err := s.ReserveEventIDs(t.Context(), 1000)
	must(t, err)
	must(t, s.Close())
	s = openAt(t, path)
	second, err := s.ReserveEventIDs(t.Context(), 1)
	must(t, err)
	same(t, first+1000, second)
	_, err = s.ReserveEventIDs(t.Context(), 0)
	fails(t, err, server.CodeInternal)

	// They grow over a database that was lost, too.
	must(t, s.Close())
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + end); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if first < 1_700_000_000_000 {
		t.Errorf("the ids begin at %d, not at the clock's milliseconds", first)
	}
}

// Newest first by server and by state, and what is unfinished, must not walk
// the table.
func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for query, index := range map[string]string{
		`SELECT * FROM jobs WHERE server = 'a' ORDER BY id DESC LIMIT 9`:                "jobs_by_server ",
		`SELECT * FROM jobs WHERE server = 'a' AND id < 9 ORDER BY id DESC LIMIT 9`:     "jobs_by_server ",
		`SELECT * FROM jobs WHERE state = 'failed' AND id < 9 ORDER BY id DESC LIMIT 9`: "jobs_by_state ",
		`SELECT * FROM jobs WHERE finished_at IS NULL ORDER BY id`:                      "jobs_unfinished",
		`SELECT name FROM servers WHERE deleted_at IS NULL AND port = 1 AND id <> 2`:    "servers_port ",
		`SELECT * FROM history WHERE server = 'a' AND id < 9 ORDER BY id DESC LIMIT 9`:  "history_by_server ",
		`SELECT id FROM history WHERE kind = 'refusal' ORDER BY id DESC LIMIT 1`:        "history_refusals ",
	} {
		rows, err := s.readers.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query)
		must(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			must(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		must(t, rows.Err())
		if len(plan) != 1 || !strings.Contains(plan[0]+" ", index) || slices.ContainsFunc(plan, func(p string) bool { return strings.Contains(p, "TEMP B-TREE") }) {
			t.Errorf("%s: %q", query, plan)
		}
	}
}

func BenchmarkInsert100Jobs(b *testing.B) {
	b.Run("in one call", func(b *testing.B) {
		s := newStore(b)
		batch := make([]NewJob, 100)
		for i := range batch {
			batch[i].Row = newJob(server.JobStart)
		}
		for b.Loop() {
			_, err := s.InsertJobs(b.Context(), batch)
			must(b, err)
		}
		b.ReportMetric(float64(s.commits.Load())/float64(b.N), "commits/op")
	})
	b.Run("by 100 callers at once", func(b *testing.B) {
		s := newStore(b)
		for b.Loop() {
			done := make(chan error)
			for range 100 {
				go func() {
					_, err := s.InsertJobs(b.Context(), []NewJob{{Row: newJob(server.JobStart)}})
					done <- err
				}()
			}
			for range 100 {
				must(b, <-done)
			}
		}
		b.ReportMetric(float64(s.commits.Load())/float64(b.N), "commits/op")
	})
	b.Run("one after another", func(b *testing.B) {
		s := newStore(b)
		for b.Loop() {
			for range 100 {
				_, err := s.InsertJobs(b.Context(), []NewJob{{Row: newJob(server.JobStart)}})
				must(b, err)
			}
		}
		b.ReportMetric(float64(s.commits.Load())/float64(b.N), "commits/op")
	})
}
