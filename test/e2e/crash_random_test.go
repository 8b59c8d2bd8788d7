package e2e_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// The daemon is killed at 20 random points of starts of 50 servers, of
// creations, of resets and of deletions. LEFT4MED_CRASH_SEED repeats a run's choices.
func TestKilledAtRandomPoints(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		began := time.Now()
		h := newCrashHost(t, release)
		c := h.api(t)
		rng := seeded(t)

		// Before there are fifty: each look at all servers costs time for each, and each
		// reload of systemd for each that runs.
		const rounds, killsEach, kills = 2, 10, 20
		victims := numbered("v", kills)
		h.killDuringCreates(t, c, rng, victims)
		for few := range slices.Chunk(victims, 5) {
			h.act(t, c, client.ActionStart, few...)
			h.killDuringResets(t, c, rng, few)
		}
		h.act(t, c, client.ActionStart, victims[:kills/2]...)
		h.killDuringDeletes(t, c, rng, victims)

		names := numbered("s", 50)
		h.create(t, c, names...)
		for range rounds {
			h.killDuringStart(t, c, rng, names, killsEach)
		}

		servers := h.check(t, c)
		if len(servers) != len(names) {
			t.Errorf("%d servers are left, want the first %d", len(servers), len(names))
		}
		t.Logf("%s: killed at %d points of starts of %d, %d of creations, %d of resets, %d of deletions in %.0f s",
			release, rounds*killsEach, len(names), kills, kills, kills, time.Since(began).Seconds())
	})
}

func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("LEFT4MED_CRASH_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("LEFT4MED_CRASH_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// killDuringStart stops all, starts all by one request and kills the daemon so
// often on the way, each time a random moment after a random number of events
// or, in turn, of starts that are over. Every server must come to run, by one
// run.
func (h *crashHost) killDuringStart(t *testing.T, c *client.Client, rng *rand.Rand, names []string, kills int) {
	t.Helper()
	h.act(t, c, client.ActionStop, names...)
	cursor := h.cursor(t)
	ctx, stop := context.WithCancel(waitLimit(t, "the servers start"))
	defer stop()
	events, over := eventTicks(ctx, c)
	result, err := c.Actions(ctx, client.ActionStart, names)
	if err != nil {
		t.Fatal(err)
	}
	at := make([]int64, kills) // how many starts were over
	for i := range at {
		more, until := rng.IntN(60), over.Load()+rng.Int64N(10)
		for i%2 == 0 && more > 0 || i%2 == 1 && over.Load() < until {
			select {
			case <-events:
				more--
				continue
			case <-time.After(time.Second): // all is quiet: that is a point too
			}
			break
		}
		time.Sleep(time.Duration(rng.Int64N(int64(5 * time.Millisecond))))
		if err := h.kill(ctx); err != nil {
			t.Fatal(err)
		}
		at[i] = over.Load()
	}
	t.Logf("killed when %d starts of %d were over", at, len(names))
	if diff := cmp.Diff(all("succeeded", names...), h.ended(t, c, result.Jobs...)); diff != "" {
		t.Errorf("the start of %d (-want +got):\n%s", len(names), diff)
	}
	h.checkOneRun(t, h.check(t, c), cursor, names)
}

// eventTicks gives a tick for each event, over restarts of the daemon, and
// counts the jobs whose end was told.
func eventTicks(ctx context.Context, c *client.Client) (<-chan struct{}, *atomic.Int64) {
	ticks, over := make(chan struct{}, 1<<16), new(atomic.Int64)
	go func() {
		for event, err := range c.Events(ctx, client.EventsOptions{After: client.FromNow}) {
			if err != nil {
				return
			}
			if event.Job != nil && event.Job.State.Finished() {
				over.Add(1)
			}
			select {
			case ticks <- struct{}{}:
			default: // nobody counts that many
			}
		}
	}()
	return ticks, over
}

// killDuringCreates creates each server and kills the daemon once meanwhile. A
// creation that was answered is done; one that was not is done or never was.
func (h *crashHost) killDuringCreates(t *testing.T, c *client.Client, rng *rand.Rand, names []string) {
	t.Helper()
	for _, name := range names {
		job, err := h.killDuring(t, rng, 40*time.Millisecond, func(ctx context.Context) (*client.Job, error) {
			return c.Create(ctx, name, client.ConfigPatch{})
		})
		if err != nil {
			t.Fatal(err)
		}
		_, there := h.check(t, c)[name]
		switch {
		case job != nil && !there:
			t.Errorf("the creation of %s was accepted as job %d, and it is not there", name, job.ID)
		case job == nil && !there:
			h.create(t, c, name)
		}
	}
}

// killDuringResets is the same for resets of servers that run.
func (h *crashHost) killDuringResets(t *testing.T, c *client.Client, rng *rand.Rand, names []string) {
	t.Helper()
	for _, name := range names {
		h.MustRun(t, "touch", written(name))
		job, err := h.killDuring(t, rng, 400*time.Millisecond, func(ctx context.Context) (*client.Job, error) {
			return c.Reset(ctx, name)
		})
		if err != nil {
			t.Fatal(err)
		}
		s := h.check(t, c)[name]
		if job != nil && (s.State != client.StateStopped || s.Desired != client.DesiredStopped || h.Run(t.Context(), "test", "-e", written(name)) == nil) {
			t.Errorf("the reset of %s was accepted as job %d, and it is %s and %s, or has its files still", name, job.ID, s.State, s.Desired)
		}
	}
}

// killDuringDeletes is the same for deletions.
func (h *crashHost) killDuringDeletes(t *testing.T, c *client.Client, rng *rand.Rand, names []string) {
	t.Helper()
	for _, name := range names {
		job, err := h.killDuring(t, rng, 400*time.Millisecond, func(ctx context.Context) (*client.Job, error) {
			return c.Delete(ctx, name)
		})
		if err != nil {
			t.Fatal(err)
		}
		_, there := h.check(t, c)[name]
		switch {
		case job != nil && there:
			t.Errorf("the deletion of %s was accepted as job %d, and it is there", name, job.ID)
		case job == nil && there:
			job, err := c.Delete(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			h.ended(t, c, *job)
		}
	}
}

// killDuring asks, and kills the daemon at a random moment within the time. The
// job is nil when the answer was lost.
func (h *crashHost) killDuring(t *testing.T, rng *rand.Rand, within time.Duration, ask func(context.Context) (*client.Job, error)) (*client.Job, error) {
	t.Helper()
	ctx := waitLimit(t, "the daemon is killed")
	var killing sync.WaitGroup
	var killed error
	moment := time.Duration(rng.Int64N(int64(within)))
	killing.Go(func() {
		time.Sleep(moment)
		killed = h.kill(ctx)
	})
	job, err := ask(ctx)
	killing.Wait()
	if err != nil {
		job = nil
	}
	return job, errors.Join(killed, ignoreLost(err))
}
