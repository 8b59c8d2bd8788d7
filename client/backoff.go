package client

import (
	"context"
	"time"
)

// Pauses between attempts to reach a daemon that is away. It is local: asking
// often costs little, and a restart takes well under a second.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = 2 * time.Second
)

// backoff doubles the pause at each attempt in a row. The zero value is ready.
type backoff struct{ pause time.Duration }

func (b *backoff) reset() { b.pause = 0 }

// sleep waits; its error is why ctx ended.
func (b *backoff) sleep(ctx context.Context) error {
	b.pause = min(max(2*b.pause, firstPause), maxPause)
	timer := time.NewTimer(b.pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
