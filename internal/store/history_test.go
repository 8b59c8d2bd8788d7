package store

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/left4med/left4med/internal/server"
)

func history(t testing.TB, s *Store, f server.HistoryFilter) []server.HistoryEntry {
	t.Helper()
	entries, err := s.History(t.Context(), f)
	must(t, err)
	return entries
}

// jobEntry is what the history says of a job of newJob.
func jobEntry(id, job int64, at time.Time, kind server.JobKind, from, to server.JobState) server.HistoryEntry {
	by := newJob(kind).RequestedBy
	return server.HistoryEntry{
		ID: id, At: at, Server: "a", ServerID: 1, Kind: server.HistoryJob, What: string(kind),
		From: string(from), To: string(to), Job: job, By: &by,
	}
}

// A job's beginning and its end are on record, whichever way it ends.
func TestHistoryOfJobs(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	a, made := create(t, s, "a", 27015)
	made.State, made.StartedAt, made.FinishedAt = server.JobSucceeded, clock, clock.Add(time.Second)
	must(t, s.UpdateJob(ctx, made))
	fails(t, s.UpdateJob(ctx, made), server.CodeJobFinished) // no second end

	start := newJob(server.JobStart)
	start.Server, start.ServerID = "a", a.ID
	started, err := s.InsertJobs(ctx, []NewJob{{Row: start}})
	must(t, err)
	must(t, s.SetStep(ctx, []StepUpdate{{JobID: 2, Step: "begun", StartedAt: clock}})) // not an entry
	stop := newJob(server.JobStop)
	stop.Server, stop.ServerID, stop.CreatedAt = "a", a.ID, clock.Add(time.Minute)
	stopped, err := s.InsertJobs(ctx, []NewJob{{Row: stop, Supersedes: []int64{started[0].ID}}})
	must(t, err)
	failed := stopped[0]
	failed.State, failed.FinishedAt = server.JobFailed, clock.Add(time.Hour)
	failed.Error = &server.JobError{Code: server.CodeJobFailed, Detail: "it hangs", Logs: []string{"not here"}}
	must(t, s.UpdateJob(ctx, failed))

	// What is rolled back leaves nothing behind.
	bad := start
	bad.ServerID = 99
	_, err = s.InsertJobs(ctx, []NewJob{{Row: start}, {Row: bad}})
	fails(t, err, server.CodeInternal, "FOREIGN KEY")

	replaced := jobEntry(5, 2, clock.Add(time.Minute), server.JobStart, server.JobRunning, server.JobCanceled)
	replaced.Detail = "job 3 took its place"
	end := jobEntry(6, 3, clock.Add(time.Hour), server.JobStop, server.JobQueued, server.JobFailed)
	end.Code, end.Detail = server.CodeJobFailed, "it hangs"
	want := []server.HistoryEntry{
		end,
		replaced,
		jobEntry(4, 3, clock.Add(time.Minute), server.JobStop, "", server.JobQueued),
		jobEntry(3, 2, clock, server.JobStart, "", server.JobQueued),
		jobEntry(2, 1, clock.Add(time.Second), server.JobInitialize, server.JobQueued, server.JobSucceeded),
		jobEntry(1, 1, clock, server.JobInitialize, "", server.JobQueued),
	}
	same(t, want, history(t, s, server.HistoryFilter{}))
}

func TestHistoryFilter(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	create(t, s, "a", 27015)
	refusal := server.HistoryEntry{
		At: clock.Add(time.Second), Server: "a", Kind: server.HistoryRefusal, What: "stop", Job: 7,
		By: &server.Requester{UID: 4294967295, User: "kim", Via: server.ViaDBus, OnBehalfOf: "alice"}, Code: server.CodeBusy, Detail: "why",
	}
	state := server.HistoryEntry{Server: "b", Kind: "state", What: "state", From: "running", To: "failed", SeenBy: "signal"}
	must(t, s.AddHistory(ctx, refusal, state))
	refusal.ID, state.ID, state.At = 2, 3, clock
	first := jobEntry(1, 1, clock, server.JobInitialize, "", server.JobQueued)
	for _, c := range []struct {
		filter server.HistoryFilter
		want   []server.HistoryEntry
	}{
		{server.HistoryFilter{}, []server.HistoryEntry{state, refusal, first}},
		{server.HistoryFilter{Server: "a"}, []server.HistoryEntry{refusal, first}},
		{server.HistoryFilter{Server: "a", Before: 2}, []server.HistoryEntry{first}},
		{server.HistoryFilter{Limit: 1}, []server.HistoryEntry{state}},
		{server.HistoryFilter{Server: "c"}, []server.HistoryEntry{}},
		{server.HistoryFilter{Kinds: []server.HistoryKind{server.HistoryState, server.HistoryJob}}, []server.HistoryEntry{state, first}},
		{server.HistoryFilter{Server: "a", Kinds: []server.HistoryKind{server.HistoryState}}, []server.HistoryEntry{}},
		{server.HistoryFilter{Since: clock.Add(time.Microsecond)}, []server.HistoryEntry{refusal}},
		{server.HistoryFilter{Since: clock, Limit: 2}, []server.HistoryEntry{state, refusal}},
	} {
		same(t, c.want, history(t, s, c.filter))
	}
	// Entries are stored all or none.
	fails(t, s.AddHistory(ctx, state, server.HistoryEntry{Kind: "state", ServerID: 99}), server.CodeInternal, "FOREIGN KEY")
	same(t, 3, len(history(t, s, server.HistoryFilter{})))
}

// A database of before has no history; its unfinished job ends in it.
func TestHistoryBeginsWithTheMigration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	bare(t, path, frozenV1)
	s := openAt(t, path)
	same(t, []server.HistoryEntry{}, history(t, s, server.HistoryFilter{}))
	job, err := s.Job(t.Context(), 9)
	must(t, err)
	job.State, job.FinishedAt = server.JobSucceeded, clock
	must(t, s.UpdateJob(t.Context(), job))
	same(t, []server.HistoryEntry{{
		ID: 1, At: clock, Server: "versus-1", ServerID: 4, Kind: server.HistoryJob, What: "stop",
		From: "queued", To: "succeeded", Job: 9, By: &server.Requester{Via: server.ViaDBus},
	}}, history(t, s, server.HistoryFilter{}))
}

func TestPruneHistory(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	add := func(n int, kind server.HistoryKind, at time.Time) {
		entries := make([]server.HistoryEntry, n)
		for i := range entries {
			entries[i] = server.HistoryEntry{Kind: kind, At: at}
		}
		must(t, s.AddHistory(ctx, entries...))
	}
	prune := func(keep HistoryLimits) (steps []int64) {
		for {
			n, err := s.PruneHistory(ctx, keep)
			must(t, err)
			if n == 0 {
				return steps
			}
			steps = append(steps, n)
		}
	}
	kept := func() map[server.HistoryKind]int {
		counts := map[server.HistoryKind]int{}
		for _, e := range history(t, s, server.HistoryFilter{Limit: 10_000}) {
			counts[e.Kind]++
		}
		return counts
	}
	add(1500, server.HistoryJob, clock.Add(-time.Hour))
	add(10, server.HistoryChange, clock)
	add(500, server.HistoryRefusal, clock)
	add(100, server.HistoryJob, clock)
	all := HistoryLimits{Rows: 10_000, Refusals: 10_000}
	same(t, 0, len(prune(all)))
	all.Since = clock
	same(t, []int64{1000, 500}, prune(all))
	all.Refusals = 50 // they are flooded away, and nothing else
	same(t, []int64{450}, prune(all))
	same(t, map[server.HistoryKind]int{server.HistoryJob: 100, server.HistoryChange: 10, server.HistoryRefusal: 50}, kept())
	all.Rows = 120
	same(t, []int64{40}, prune(all))
	same(t, map[server.HistoryKind]int{server.HistoryJob: 100, server.HistoryRefusal: 20}, kept())

	// The ids go on.
	add(1, server.HistoryChange, clock)
	same(t, int64(2111), history(t, s, server.HistoryFilter{Limit: 1})[0].ID)
}
