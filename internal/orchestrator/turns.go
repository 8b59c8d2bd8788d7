package orchestrator

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// turns bounds how many units are being started at once. Of two hundred starts
// side by side on two busy cores, the last ran into systemd's start time-out;
// a few at a time they did not.
type turns struct {
	free     chan struct{} // holds a value for each turn taken
	patience time.Duration
}

// startPatience is how long a start keeps its turn. A start takes a fraction of
// a second; one that hangs must not hold up the others until systemd ends it.
const startPatience = 10 * time.Second

func newTurns(n int, patience time.Duration) *turns {
	return &turns{free: make(chan struct{}, n), patience: patience}
}

// startsAtOnce is eight for each core. A start spends much of its time waiting
// for process 1, more so on 257, which loads BPF programs for each: there, two a
// core left the cores idle. On 252 there was no difference between two a core and
// eight, and with 32 a core it took longer again.
func startsAtOnce() int { return 8 * runtime.NumCPU() }

// take waits for a turn, first come, first served, and calls waiting when there
// is none at once. The function that it returns gives the turn back; it may be
// called more than once. The error is ctx's cause.
func (t *turns) take(ctx context.Context, waiting func()) (func(), error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case t.free <- struct{}{}:
	default:
		waiting()
		select {
		case t.free <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	var once sync.Once
	back := func() { once.Do(func() { <-t.free }) }
	early := time.AfterFunc(t.patience, back)
	return func() {
		early.Stop()
		back()
	}, nil
}
