package orchestrator

import (
	"context"
	"sync"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// watchMark is how often it is put on record that the servers are still watched:
// what a daemon that is killed saw since then is lost, unless the history tells of
// it. A mark is one row and one fsync.
const watchMark = time.Minute

// watchTime bounds a write of it, when the daemon is to end.
const watchTime = 5 * time.Second

// keptWatches bounds how many ended watches wait for a disk that refuses them.
const keptWatches = 1000

// watching puts on record through which times all servers were watched: from the
// end of a look at all of them until the link to systemd breaks, or the daemon
// ends. Without it nobody could tell whether a history that is silent means that
// nothing happened.
type watching struct {
	save func(context.Context, ...server.Watch) error
	o    *Orchestrator
	wake chan struct{}

	mu   sync.Mutex
	now  *server.Watch  // Until is not kept up; nil while the servers are not watched
	over []server.Watch // ended, and not stored yet; the newest of them
}

func newWatching(o *Orchestrator) *watching {
	return &watching{
		save: func(ctx context.Context, w ...server.Watch) error { return o.Store.SetWatches(ctx, w...) },
		o:    o, wake: make(chan struct{}, 1),
	}
}

// looked notes that all servers have been looked at, by a look that began while
// the link to systemd stood.
func (w *watching) looked(began time.Time) {
	w.o.mu.RLock() // as ended is called, so that none comes between
	defer w.o.mu.RUnlock()
	link := w.o.link
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now != nil || !link.connected || link.since.After(began) {
		return
	}
	w.now = &server.Watch{From: time.Now(), Boot: w.o.BootID}
	w.rouse()
}

// ended notes that nobody watches from a time on. The caller holds o.mu when the
// link broke.
func (w *watching) ended(at time.Time, why server.WatchEnd) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == nil {
		return
	}
	w.now.Until, w.now.Ended = at, why
	if w.over = append(w.over, *w.now); len(w.over) > keptWatches {
		w.over = w.over[1:]
	}
	w.now = nil
	w.rouse()
}

func (w *watching) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// known are the watches that are not stored as they are: those that ended, and
// last the one that goes on, up to now.
func (w *watching) known(now time.Time) []server.Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := append([]server.Watch{}, w.over...)
	if w.now != nil {
		last := *w.now
		last.Until = now
		known = append(known, last)
	}
	return known
}

// loop stores what comes, and each minute that the watch goes on, until ctx ends.
func (w *watching) loop(ctx context.Context) {
	tick := time.NewTicker(watchMark)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			w.ended(time.Now(), server.WatchStopped)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchTime)
			defer cancel()
			if err := w.store(ctx); err != nil {
				w.o.Log.Error().Err(err).Msg("that the servers are watched no longer is not on record")
			}
			return
		case <-w.wake:
		case <-tick.C:
		}
		err := w.store(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			w.o.Log.Warn().Err(err).Msg("cannot put on record that the servers are watched; trying on")
		}
		failing = err != nil
	}
}

// store writes what is known now.
func (w *watching) store(ctx context.Context) error {
	known := w.known(time.Now())
	if len(known) == 0 {
		return nil
	}
	if err := w.save(ctx, known...); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.over) > 0 && len(known) > 0 && w.over[0] == known[0] {
		w.over, known = w.over[1:], known[1:]
	}
	return nil
}
