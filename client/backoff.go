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
type backoff struct {
	pause time.Duration
	least time.Duration // the first pause is no shorter; firstPause when 0
}

func (b *backoff) reset() { b.pause = 0 }

// sleep waits; its error is why ctx ended.
func (b *backoff) sleep(ctx context.Context) error {
	b.pause = min(max(2*b.pause, firstPause, b.least), max(maxPause, 5*b.least/2))
	timer := time.NewTimer(b.pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
