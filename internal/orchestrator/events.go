package orchestrator

import (
	"context"
	"sync"

	"github.com/left4med/left4med/internal/server"
)

// EventType is what an event is about.
type EventType string

// The types of events.
const (
	EventServer  EventType = "server"  // a server is new or changed; data is the server
	EventJob     EventType = "job"     // a job is new or changed; data is the job
	EventDeleted EventType = "deleted" // a server is gone; data is {"id":…,"name":…}
	EventReset   EventType = "reset"   // events were missed: read everything again
)

// Event is one change. It never changes itself.
type Event struct {
	ID   uint64
	Type EventType

	entry *Entry
	inner bool // only what inspect shows has changed
	value any  // of job and deleted events
	data  encoded
}

// Data is the event's JSON for a reader, or nil when the event is not for a
// reader who may not inspect. The bytes are shared and must not be changed.
func (e *Event) Data(inspect bool) []byte {
	switch e.Type {
	case EventServer:
		if e.inner && !inspect {
			return nil // that there is something to see tells when players come and go
		}
		return e.entry.JSON(inspect)
	case EventJob:
		if !inspect {
			return nil
		}
	case EventReset:
		return []byte("{}")
	}
	return e.data.of(e.value)
}

// Server is the new state, for EventServer; nil for other types.
func (e *Event) Server() *Entry { return e.entry }

// Job is the job, for EventJob; nil for other types.
func (e *Event) Job() *server.Job {
	j, _ := e.value.(*server.Job)
	return j
}

// Deleted says which server is gone, for EventDeleted; zero for other types.
func (e *Event) Deleted() Deleted {
	d, _ := e.value.(Deleted)
	return d
}

// Deleted is the data of EventDeleted.
type Deleted struct {
	ID   int64       `json:"id"`
	Name server.Name `json:"name"`
}

// eventBacklog is how many events are kept for readers that come back: at one
// change of each of 1,000 servers a second, about 16 seconds.
const eventBacklog = 16384

// feed keeps the newest events and wakes those who wait for more. Readers keep
// their own place in it, so a slow reader costs nothing and holds nobody up: it
// is told to start anew once what it needs is gone.
type feed struct {
	mu    sync.RWMutex
	ring  []*Event
	next  uint64 // id of the next event
	first uint64 // oldest id in the ring; next when it is empty
	limit uint64 // ids below it are reserved in the store
	woken chan struct{}
}

func newFeed(next, limit uint64) *feed {
	return &feed{ring: make([]*Event, eventBacklog), next: next, first: next, limit: limit, woken: make(chan struct{})}
}

// add appends an event and returns its id.
func (f *feed) add(e *Event) uint64 {
	f.mu.Lock()
	e.ID = f.next
	f.ring[e.ID%eventBacklog] = e
	f.next++
	if f.next-f.first > eventBacklog {
		f.first = f.next - eventBacklog
	}
	woken := f.woken
	f.woken = make(chan struct{})
	f.mu.Unlock()
	close(woken)
	return e.ID
}

// last is the id of the newest event.
func (f *feed) last() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.next - 1
}

// reserved is how many ids may still be given out before more must be
// reserved in the store.
func (f *feed) reserved() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.limit - f.next
}

func (f *feed) extend(limit uint64) {
	f.mu.Lock()
	f.limit = max(f.limit, limit)
	f.mu.Unlock()
}

// Watcher reads the events after a place, in order, without a gap. It holds no
// resource and need not be closed.
type Watcher struct {
	feed *feed
	next uint64
}

// watch begins after the event with id last. An id that was never given out,
// or whose successors are gone, makes the first event a reset.
func (f *feed) watch(last uint64) *Watcher { return &Watcher{feed: f, next: last + 1} }

// maxBatch bounds what Next returns at once.
const maxBatch = 512

// Next waits for events and returns all that are there, at most 512. The error
// is ctx's.
func (w *Watcher) Next(ctx context.Context) ([]*Event, error) {
	for {
		events, woken := w.take()
		if len(events) > 0 {
			return events, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-woken:
		}
	}
}

func (w *Watcher) take() ([]*Event, <-chan struct{}) {
	f := w.feed
	f.mu.RLock()
	defer f.mu.RUnlock()
	if w.next < f.first || w.next > f.next {
		w.next = f.next
		return []*Event{{ID: f.next - 1, Type: EventReset}}, f.woken
	}
	n := min(f.next-w.next, maxBatch)
	events := make([]*Event, 0, n)
	for ; n > 0; n-- {
		events = append(events, f.ring[w.next%eventBacklog])
		w.next++
	}
	return events, f.woken
}
