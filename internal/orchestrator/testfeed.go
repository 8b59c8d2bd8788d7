package orchestrator

import "github.com/left4med/left4med/internal/server"

// TestFeed is a feed of events without an orchestrator, for the tests of what
// reads one.
type TestFeed struct{ feed *feed }

// NewTestFeed makes a feed whose first event has the id next.
func NewTestFeed(next uint64) *TestFeed { return &TestFeed{newFeed(next, 1<<62)} }

// Server adds an event about a server and returns its id.
func (t *TestFeed) Server(e *Entry) uint64 {
	return t.feed.add(&Event{Type: EventServer, entry: e})
}

// Inner adds an event about a server in which only what inspect shows has changed,
// and returns its id.
func (t *TestFeed) Inner(e *Entry) uint64 {
	return t.feed.add(&Event{Type: EventServer, entry: e, inner: true})
}

// Job adds an event about a job and returns its id.
func (t *TestFeed) Job(j *server.Job) uint64 {
	return t.feed.add(&Event{Type: EventJob, value: j})
}

// Deleted adds an event about a server that is gone and returns its id.
func (t *TestFeed) Deleted(d Deleted) uint64 {
	return t.feed.add(&Event{Type: EventDeleted, value: d})
}

// Last is the id of the newest event.
func (t *TestFeed) Last() uint64 { return t.feed.last() }

// Watch reads the events after an id, or from now on when resume is false.
func (t *TestFeed) Watch(after uint64, resume bool) *Watcher {
	if !resume {
		after = t.feed.last()
	}
	return t.feed.watch(after)
}
