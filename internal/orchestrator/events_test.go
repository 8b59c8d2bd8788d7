package orchestrator

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func job(id int64) *server.Job { return &server.Job{ID: id, Kind: server.JobStart} }

func ids(events []*Event) (ids []uint64) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestFeedResumesWithoutAGap(t *testing.T) {
	t.Parallel()
	f := newFeed(100, 1000)
	for i := range int64(5) {
		f.add(&Event{Type: EventJob, value: job(i)})
	}
	got, err := f.watch(101).Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{102, 103, 104}, ids(got)); diff != "" {
		t.Errorf("events after 101 (-want +got):\n%s", diff)
	}
}

func TestFeedResetsOnce(t *testing.T) {
	t.Parallel()
	f := newFeed(100, 1<<40)
	for i := range int64(eventBacklog + 10) {
		f.add(&Event{Type: EventJob, value: job(i)})
	}
	for name, last := range map[string]uint64{"too old": 99, "of a lost database": 1 << 50} {
		w := f.watch(last)
		events, err := w.Next(context.Background())
		if err != nil || len(events) != 1 || events[0].Type != EventReset || events[0].ID != f.last() {
			t.Fatalf("%s: first events %v, %v; want one reset with the newest id", name, ids(events), err)
		}
		id := f.add(&Event{Type: EventJob, value: job(1)})
		if events, _ = w.Next(context.Background()); len(events) != 1 || events[0].ID != id || events[0].Type != EventJob {
			t.Errorf("%s: after the reset %v, want the event %d", name, ids(events), id)
		}
	}
}

func TestFeedWakesEveryWatcher(t *testing.T) {
	t.Parallel()
	const watchers, events = 50, 2000
	f := newFeed(1, 1<<40)
	var group sync.WaitGroup
	for range watchers {
		w := f.watch(0)
		group.Go(func() {
			next := uint64(1)
			for next <= events {
				got, err := w.Next(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range got {
					if e.ID != next {
						t.Errorf("event %d came where %d was due", e.ID, next)
						return
					}
					next++
				}
			}
		})
	}
	for i := range int64(events) {
		f.add(&Event{Type: EventJob, value: job(i)})
	}
	group.Wait()
}

func TestWatcherEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := newFeed(1, 10).watch(0).Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %v, want %v", err, context.Canceled)
	}
}

func TestEventDataForThoseWhoMayNotInspect(t *testing.T) {
	t.Parallel()
	cfg := server.DefaultConfig("a")
	entry := &Entry{Server: server.Server{ID: 1, Name: "a", Config: &cfg, Job: job(3)}}
	e := &Event{Type: EventServer, entry: entry}
	public := e.Server().Public()
	if public.Config != nil || public.Job != nil {
		t.Errorf("the public form shows %+v", public)
	}
	if string(e.Data(true)) == string(e.Data(false)) {
		t.Error("those who may not inspect see what those see who may")
	}
	if d := (&Event{Type: EventJob, value: job(3)}).Data(false); d != nil {
		t.Errorf("a job event reaches those who may not inspect: %s", d)
	}
}
