package unitctl

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/rs/zerolog"
)

func TestJobResultBeforeTheReply(t *testing.T) {
	t.Parallel()
	var j jobs
	j.finish("/job/0", JobDone) // nobody asks: not kept
	first := j.begin()
	j.finish("/job/1", JobCanceled)
	second := j.begin()
	j.finish("/job/2", JobDone)
	if got := <-j.await(first, "/job/1"); got != JobCanceled {
		t.Errorf("job 1: %s", got)
	}
	if len(j.results) != 1 {
		t.Errorf("kept for the second call: %v", j.results)
	}
	later := j.await(second, "/job/3")
	if len(j.results) != 0 || len(j.kept) != 0 {
		t.Errorf("kept for nobody: %v", j.results)
	}
	j.finish("/job/3", JobFailed)
	if got := <-later; got != JobFailed {
		t.Errorf("job 3: %s", got)
	}
	if len(j.waiting) != 0 || j.calls.Len() != 0 {
		t.Errorf("left: %v, %d calls", j.waiting, j.calls.Len())
	}
}

// Two callers whose starts systemd merged wait for one job.
func TestJobSharedAndAbandoned(t *testing.T) {
	t.Parallel()
	var j jobs
	one, two, three := j.await(j.begin(), "/job/1"), j.await(j.begin(), "/job/1"), j.await(j.begin(), "/job/1")
	j.abandon("/job/1", two)
	j.finish("/job/1", JobDone)
	if a, b := <-one, <-three; a != JobDone || b != JobDone {
		t.Errorf("%s, %s", a, b)
	}
	select {
	case r := <-two:
		t.Errorf("the abandoned wait got %s", r)
	default:
	}
	j.abandon("/job/1", one) // after the end: nothing to do
	if len(j.waiting) != 0 {
		t.Errorf("left: %v", j.waiting)
	}
}

func TestJobsSideBySide(t *testing.T) {
	t.Parallel()
	var (
		j     jobs
		group sync.WaitGroup
	)
	for i := range 500 {
		path := dbus.ObjectPath(fmt.Sprintf("/job/%d", i))
		call := j.begin()
		group.Go(func() { j.finish(path, JobResult(path)) })
		group.Go(func() {
			if got := <-j.await(call, path); got != JobResult(path) {
				t.Errorf("%s ended %s", path, got)
			}
		})
	}
	group.Wait()
	if len(j.waiting)+len(j.results)+len(j.kept)+j.calls.Len() != 0 {
		t.Errorf("left: %+v", &j)
	}
}

func TestQueueKeepsAllInOrder(t *testing.T) {
	t.Parallel()
	const n = 3 * queueAlarm
	q := newQueue(zerolog.Nop())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for i := range uint64(n) {
			q.push(Event{Stamp: Stamp{Seq: i}})
		}
	}()
	var next uint64
	q.drain(ctx, func(e Event) {
		if e.Stamp.Seq != next {
			t.Errorf("event %d came as %d", e.Stamp.Seq, next)
		}
		if next++; next == n {
			cancel()
		}
	})
	if next != n {
		t.Errorf("%d of %d events", next, n)
	}
}
