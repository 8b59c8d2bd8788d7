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

// The host's clock is compared this often with how much time really passed, and
// was set when they differ by more than clockSlack: what adjtimex(2) and chrony do
// gently stays far below.
const (
	clockLook  = 5 * time.Second
	clockSlack = 2 * time.Second
)

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

	mark time.Time // the last look at the clock, as the host's monotonic clock has it
	wall time.Time // and as the clock itself had it
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
	w.begin(time.Now())
	w.rouse()
}

// begin begins a watch. The caller holds w.mu.
func (w *watching) begin(now time.Time) {
	w.now = &server.Watch{From: now, Boot: w.o.BootID}
	w.mark, w.wall = now, now.Round(0)
}

// end ends the watch. The caller holds w.mu.
func (w *watching) end(at time.Time, why server.WatchEnd) {
	if at.Round(0).Before(w.now.From.Round(0)) {
		at = w.now.From
	}
	w.now.Until, w.now.Ended = at, why
	if w.over = append(w.over, *w.now); len(w.over) > keptWatches {
		w.over = w.over[1:]
	}
	w.now = nil
}

// look begins another watch when the clock was set: a host without a clock of its
// own boots with the time at which it went down, and one that was suspended wakes up
// late. Nobody watched through the hours that the clock then skips. The caller holds
// w.mu.
func (w *watching) look(now time.Time) {
	if w.now == nil || now.Before(w.mark) {
		return
	}
	if set := now.Round(0).Sub(w.wall) - now.Sub(w.mark); set.Abs() > clockSlack {
		w.o.Log.Info().Stringer("by", set.Round(time.Millisecond)).Msg("the host's clock was set: what lies between is on record as not watched")
		w.end(w.wall, server.WatchClock)
		w.begin(now)
		w.rouse()
		return
	}
	w.mark, w.wall = now, now.Round(0)
}

// ended notes that nobody watches from a time on. The caller holds o.mu when the
// link broke.
func (w *watching) ended(at time.Time, why server.WatchEnd) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look(time.Now())
	if w.now == nil {
		return
	}
	w.end(at, why)
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
	w.look(now)
	known := append([]server.Watch{}, w.over...)
	if w.now != nil {
		last := *w.now
		last.Until = now // not before From: look has seen to it
		known = append(known, last)
	}
	return known
}

// loop stores what comes, and each minute that the watch goes on, until ctx ends.
func (w *watching) loop(ctx context.Context) {
	tick, clock := time.NewTicker(watchMark), time.NewTicker(clockLook)
	defer tick.Stop()
	defer clock.Stop()
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
		case <-clock.C:
			w.mu.Lock()
			w.look(time.Now())
			w.mu.Unlock()
			continue
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
