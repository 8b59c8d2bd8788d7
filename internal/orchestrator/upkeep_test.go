package orchestrator

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// Of each name the newest jobs stay, and all that ended lately, and whatever has
// not ended.
func TestOldJobsAreRemoved(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	now := time.Now().UTC()
	insert := func(name server.Name, n int, finished time.Time) {
		t.Helper()
		jobs := make([]store.NewJob, n)
		for i := range jobs {
			row := &jobs[i].Row
			row.Server, row.Kind, row.State, row.CreatedAt = name, server.JobStart, server.JobSucceeded, now
			if row.FinishedAt = finished; finished.IsZero() {
				row.State = server.JobQueued
			}
		}
		if _, err := s.InsertJobs(t.Context(), jobs); err != nil {
			t.Fatal(err)
		}
	}
	long := now.Add(-keptFor - time.Hour)
	insert("busy", 3, time.Time{})
	insert("busy", 2*keptJobs+1000, long)
	insert("busy", 10, now)
	insert("calm", keptJobs, long)

	o := New(Options{Settings: DefaultSettings(), Store: s, Log: zerolog.Nop()})
	o.prune(t.Context(), "jobs", func() (int64, error) { return s.PruneJobs(t.Context(), keptJobs, now.Add(-keptFor)) })
	got := map[server.Name]int{}
	jobs, err := s.Jobs(t.Context(), store.JobFilter{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		got[j.Server]++
	}
	if diff := cmp.Diff(map[server.Name]int{"busy": keptJobs + 3, "calm": keptJobs}, got); diff != "" {
		t.Errorf("jobs that are kept (-want +got):\n%s", diff)
	}
}
