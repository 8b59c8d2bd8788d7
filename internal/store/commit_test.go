package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/left4med/left4med/internal/server"
	"github.com/rs/zerolog"
)

// Writes that come while another is under way share one commit, and one of
// them that fails is undone alone.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s, err := Open(ctx, path, zerolog.Nop())
		must(t, err)
		before := s.commits.Load()
		release := make(chan struct{})
		go s.write(ctx, "hold the writer", func(context.Context, querier) error { <-release; return nil })
		synctest.Wait()

		errs := make([]error, 100)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				row := newJob(server.JobStart)
				if i%10 == 3 {
					row.ServerID = 999 // there is no such server
				}
				_, errs[i] = s.InsertJobs(ctx, []NewJob{{Row: newJob(server.JobStop)}, {Row: row}})
			})
		}
		synctest.Wait() // all of them wait for the writer
		close(release)
		wg.Wait()

		if n := s.commits.Load() - before; n != 2 {
			t.Errorf("%d commits, want one for the first write and one for the hundred others", n)
		}
		for i, err := range errs {
			if failed := err != nil; failed != (i%10 == 3) {
				t.Errorf("write %d: %v", i, err)
			}
		}
		jobs, err := s.Jobs(ctx, JobFilter{Limit: 1000})
		must(t, err)
		same(t, 2*90, len(jobs))
		must(t, s.Close())
	})
}

// A write that waits can be called off; one that was taken up is answered.
func TestWriteContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), path, zerolog.Nop())
		must(t, err)
		release := make(chan struct{})
		first, second := make(chan error, 1), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			first <- s.write(ctx, "be first", func(context.Context, querier) error { <-release; return nil })
		}()
		synctest.Wait()
		go func() {
			second <- s.write(ctx, "be second", func(context.Context, querier) error { t.Error("it was carried out"); return nil })
		}()
		synctest.Wait()
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that waited: %v", err)
		}
		close(release)
		if err := <-first; err != nil {
			t.Errorf("the one that was taken up: %v", err)
		}
		must(t, s.Close())
		must(t, s.Close())
		fails(t, s.SetPhase(t.Context(), 1, server.PhaseReady), server.CodeShuttingDown)
	})
}

// A full database rolls the whole transaction back: those that need no room
// are carried out all the same, and the others say what is wrong.
func TestFullDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s, err := Open(ctx, path, zerolog.Nop())
		must(t, err)
		a, _, err := s.CreateServer(ctx, ServerRow{Name: "a", Config: config("a", 27015)}, newJob(server.JobInitialize))
		must(t, err)
		limit := func(pages int) {
			must(t, s.write(ctx, "limit", func(ctx context.Context, q querier) error {
				_, err := q.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
				return err
			}))
		}
		limit(1) // no less than it has
		release := make(chan struct{})
		go s.write(ctx, "hold the writer", func(context.Context, querier) error { <-release; return nil })
		synctest.Wait()
		big := newJob(server.JobStart)
		big.Mark = []byte(`"` + string(make0(1<<16)) + `"`)
		results := make([]error, 3)
		var wg sync.WaitGroup
		wg.Go(func() { results[0] = s.SetPhase(ctx, a.ID, server.PhaseReady) })
		wg.Go(func() { _, results[1] = s.InsertJobs(ctx, []NewJob{{Row: big}}) })
		wg.Go(func() { results[2] = s.SetSeen(ctx, map[int64]Seen{a.ID: {Desired: server.DesiredRunning}}, nil, nil) })
		synctest.Wait()
		close(release)
		wg.Wait()
		must(t, results[0])
		fails(t, results[1], server.CodeStorage, "no space left", path, "df -h")
		must(t, results[2])
		rows, err := s.Servers(ctx)
		must(t, err)
		same(t, server.PhaseReady, rows[0].Phase)
		same(t, server.DesiredRunning, rows[0].Desired)

		_, err = s.InsertJobs(ctx, []NewJob{{Row: big}})
		fails(t, err, server.CodeStorage)
		must(t, s.Ping(ctx)) // a small write succeeds
		limit(1 << 20)
		_, err = s.InsertJobs(ctx, []NewJob{{Row: big}})
		must(t, err)
		must(t, s.Close())
	})
}

func make0(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = '0'
	}
	return b
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	var wg sync.WaitGroup
	seen := make(chan uint64, 400)
	for i := range 20 {
		wg.Go(func() {
			for range 20 {
				first, err := s.ReserveEventIDs(ctx, 3)
				if err != nil {
					t.Error(err)
				}
				seen <- first
				rows, err := s.InsertJobs(ctx, []NewJob{{Row: newJob(server.JobStart)}})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Job(ctx, rows[0].ID); err != nil {
					t.Errorf("caller %d does not read its own write: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	close(seen)
	unique := map[uint64]bool{}
	for first := range seen {
		for id := first; id < first+3; id++ {
			if unique[id] {
				t.Errorf("event id %d was handed out twice", id)
			}
			unique[id] = true
		}
	}
}
