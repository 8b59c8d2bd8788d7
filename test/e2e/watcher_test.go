package e2e_test

import (
	"context"
	"sync"
	"testing"

	"github.com/left4med/left4med/client"
)

// watcher remembers all that /v1/events says.
type watcher struct {
	lab *lab

	mu     sync.Mutex
	events []client.Event
	last   uint64
	err    error
	more   chan struct{} // closed and replaced at each event
}

// watch begins to watch and ends with the test.
func (l *lab) watch(t *testing.T) *watcher {
	t.Helper()
	c := l.api(t)
	list, err := c.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{lab: l, last: list.EventID, more: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ev, err := range c.Events(ctx, client.EventsOptions{After: list.EventID}) {
			w.add(ev, err)
		}
	}()
	return w
}

func (w *watcher) add(ev client.Event, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.err = err
	} else {
		w.events, w.last = append(w.events, ev), ev.ID
	}
	close(w.more)
	w.more = make(chan struct{})
}

// all returns the events up to this moment.
func (w *watcher) all(t *testing.T) []client.Event {
	t.Helper()
	list, err := w.lab.api(t).Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, "the events up to now")
	for {
		w.mu.Lock()
		events, last, err, more := w.events[:len(w.events):len(w.events)], w.last, w.err, w.more
		w.mu.Unlock()
		switch {
		case err != nil:
			t.Fatal(err)
		case last >= list.EventID:
			return events
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		}
	}
}

// story is what the events told of one server, each moment once.
func (w *watcher) story(t *testing.T, name string) []moment {
	t.Helper()
	var told []moment
	for _, ev := range w.all(t) {
		if ev.Server == nil || string(ev.Server.Name) != name {
			continue
		}
		if m := momentOf(ev.Server); len(told) == 0 || told[len(told)-1] != m {
			told = append(told, m)
		}
	}
	return told
}
