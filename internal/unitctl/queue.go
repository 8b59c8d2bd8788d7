package unitctl

import (
	"context"
	"sync"

	"github.com/rs/zerolog"
)

// queueAlarm is the length from which a growing queue is logged, then at every
// doubling. A reload of 1,000 units gives about 2,400 events at once.
const queueAlarm = 8192

// queue holds events without a bound: systemd must never wait for a handler,
// and no event may be lost.
type queue struct {
	log    zerolog.Logger
	filled chan struct{} // holds one token when events may be there

	mu     sync.Mutex
	events []Event
	alarm  int
}

func newQueue(log zerolog.Logger) *queue {
	return &queue{log: log, filled: make(chan struct{}, 1), alarm: queueAlarm}
}

func (q *queue) push(e Event) {
	q.mu.Lock()
	q.events = append(q.events, e)
	n := len(q.events)
	alarm := n >= q.alarm
	if alarm {
		q.alarm *= 2
	}
	q.mu.Unlock()
	select {
	case q.filled <- struct{}{}:
	default: // a token is there already
	}
	if alarm {
		q.log.Warn().Int("events", n).Msg("events from systemd pile up: they come faster than they are handled")
	}
}

// take empties the queue.
func (q *queue) take() []Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := q.events
	q.events = nil
	q.alarm = queueAlarm
	return events
}

func (q *queue) clear() { q.take() }

// drain hands every event to handle until ctx ends.
func (q *queue) drain(ctx context.Context, handle func(Event)) {
	for {
		for _, e := range q.take() {
			if ctx.Err() != nil {
				return
			}
			handle(e)
		}
		select {
		case <-ctx.Done():
			return
		case <-q.filled:
		}
	}
}
