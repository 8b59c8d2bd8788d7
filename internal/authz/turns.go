package authz

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// turns bounds how many questions are under way at once, in all and for each
// uid, so that one user who asks for ever keeps nobody from asking.
type turns struct {
	all    *semaphore.Weighted
	perUID int64

	mu   sync.Mutex
	uids map[uint32]*line
}

// line is where one uid waits.
type line struct {
	turns *semaphore.Weighted
	users int // who wait or hold; the last one takes the line down
}

func newTurns(all, perUID int64) *turns {
	return &turns{all: semaphore.NewWeighted(all), perUID: perUID, uids: map[uint32]*line{}}
}

// take waits for a turn; give must be called once. Those of a uid that waits
// for its own turns do not hold any of the others'.
func (t *turns) take(ctx context.Context, uid uint32) (give func(), err error) {
	l := t.join(uid)
	if err := l.turns.Acquire(ctx, 1); err != nil {
		t.leave(uid, l)
		return nil, err
	}
	if err := t.all.Acquire(ctx, 1); err != nil {
		l.turns.Release(1)
		t.leave(uid, l)
		return nil, err
	}
	return func() {
		t.all.Release(1)
		l.turns.Release(1)
		t.leave(uid, l)
	}, nil
}

func (t *turns) join(uid uint32) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.uids[uid]
	if l == nil {
		l = &line{turns: semaphore.NewWeighted(t.perUID)}
		t.uids[uid] = l
	}
	l.users++
	return l
}

func (t *turns) leave(uid uint32, l *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(t.uids, uid)
	}
}
