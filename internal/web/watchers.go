package web

import (
	"context"
	"sync"
	"time"
)

// How much of what lasts one user may hold, in however many browsers.
const (
	streamsOfOne = 64
	logsOfOne    = 6
)

// places bounds how many of something each user holds.
type places struct {
	most int

	mu   sync.Mutex
	held map[int64]int
}

func newPlaces(most int) *places { return &places{most: most, held: map[int64]int{}} }

// take takes one for a user; ok is false when that one has too many. Otherwise
// give must be called, once.
func (p *places) take(user int64) (give func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[user] >= p.most {
		return nil, false
	}
	p.held[user]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.held[user]--; p.held[user] == 0 {
			delete(p.held, user)
		}
	}, true
}

// How many requests are at the daemon at once. It allows 64 connections of one
// uid, of which the hub and 16 logs have theirs. One user cannot hold them all,
// with waits that take minutes.
const (
	turnsInAll = 36
	turnsOfOne = 12
	turnWait   = 10 * time.Second
)

// turns are taken by requests to the daemon, first come first served but for
// users who hold as many as one may.
type turns struct {
	each int

	mu    sync.Mutex
	free  int
	held  map[int64]int
	queue []*waiter
}

type waiter struct {
	user  int64
	ready chan struct{} // closed, under the lock, when it has its turn
}

func newTurns(all, each int) *turns { return &turns{each: each, free: all, held: map[int64]int{}} }

// take waits for a turn, at most for turnWait. Unless ok is false, give must be
// called, once.
func (t *turns) take(ctx context.Context, user int64) (give func(), ok bool) {
	t.mu.Lock()
	if t.free > 0 && t.held[user] < t.each {
		t.grant(user)
		t.mu.Unlock()
		return func() { t.give(user) }, true
	}
	w := &waiter{user, make(chan struct{})}
	t.queue = append(t.queue, w)
	t.mu.Unlock()

	timer := time.NewTimer(turnWait)
	defer timer.Stop()
	select {
	case <-w.ready:
		return func() { t.give(user) }, true
	case <-timer.C:
	case <-ctx.Done():
	}
	if t.leave(w) {
		return nil, false
	}
	return func() { t.give(user) }, true // it came at the last moment
}

func (t *turns) grant(user int64) {
	t.free--
	t.held[user]++
}

// leave takes a waiter out of the queue; false when it has its turn already.
func (t *turns) leave(w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, other := range t.queue {
		if other == w {
			t.queue = append(t.queue[:i], t.queue[i+1:]...)
			return true
		}
	}
	return false
}

func (t *turns) give(user int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	if t.held[user]--; t.held[user] == 0 {
		delete(t.held, user)
	}
	for i := 0; i < len(t.queue) && t.free > 0; i++ {
		w := t.queue[i]
		if t.held[w.user] >= t.each {
			continue
		}
		t.queue = append(t.queue[:i], t.queue[i+1:]...)
		i--
		t.grant(w.user)
		close(w.ready)
	}
}
