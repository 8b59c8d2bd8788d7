package orchestrator

import (
	"context"
	"errors"
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
)

// question is one query of one run of a server.
type question struct {
	probe.Target
	r          *record
	name       server.Name
	invocation string
}

// begin takes a server for one query, which put ends. The caller holds o.mu.
func (q *queries) begin(r *record, now time.Time) question {
	h := &r.heard
	h.busy, h.asked = make(chan struct{}), now
	return question{r: r, name: r.row.Name, invocation: h.invocation, Target: probe.Target{Port: h.port, Cgroup: h.cgroup}}
}

// ask queries a game for what it plays and how many are there.
func (q *queries) ask(ctx context.Context, a question) {
	_, patience := q.o.faults.pace(0, queryTime)
	_, _, _ = q.put(ctx, a, probe.Query{}, patience) // what came of it is taken in
}

// put queries a game, takes in and shows what came of it, and returns it with the
// target that was asked.
func (q *queries) put(ctx context.Context, a question, what probe.Query, patience time.Duration) (*probe.Answer, probe.Target, error) {
	bounded, cancel := context.WithTimeout(ctx, patience+queryGrace)
	defer cancel()
	var answer *probe.Answer
	var err error
	if a.Cgroup == 0 {
		a.Cgroup, err = q.cgroup(bounded, a.name.Unit())
	}
	if err == nil {
		what.Target, what.TimeoutMS = a.Target, int(patience/time.Millisecond)
		answer, err = q.o.Probe.Query(bounded, what)
		if ctx.Err() == nil {
			q.note(err, true)
		}
	}
	q.over(ctx, a, answer, err)
	return answer, a.Target, err
}

// over ends a query and shows what came of it.
func (q *queries) over(ctx context.Context, a question, answer *probe.Answer, err error) {
	o := q.o
	o.mu.Lock()
	defer o.mu.Unlock()
	h := &a.r.heard
	close(h.busy)
	h.busy = nil
	defer func() {
		if h.due.Before(q.look) {
			q.stir()
		}
	}()
	if h.invocation != a.invocation {
		return // what was asked is over
	}
	h.due = q.next(a.r, h.asked)
	if ctx.Err() != nil || a.invocation == "" {
		return
	}
	h.cgroup = a.Cgroup
	now := time.Now()
	var f *probe.Fault
	switch {
	case !q.on():
		return // it would be shown for ever
	case err == nil:
		h.game, h.at = gameOf(answer, now), now
	case errors.As(err, &f) && ofTheGame(f.Code):
		h.game, h.at = &server.Game{QueriedAt: now.UTC(), Error: wordsOf(f.Code)}, now
	case a.Cgroup == 0 && !h.warned && !unreached(err):
		h.warned = true
		o.Log.Warn().Err(err).Str("SERVER", string(a.name)).Msg("a game cannot be asked for map and players; trying again")
	case h.game != nil && !o.lately(a.r):
		h.game = nil // nobody says anything of the game any more
	}
	o.showGame(a.r)
}

// take takes a server for one query that is not the loop's, unless its game is being
// asked, or was a moment ago.
func (q *queries) take(r *record) (a question, ok bool) {
	q.o.mu.Lock()
	defer q.o.mu.Unlock()
	now := time.Now()
	q.due(r, now) // its run may be new
	if r.heard.busy != nil || now.Before(r.heard.asked.Add(q.least())) {
		return a, false
	}
	return q.begin(r, now), true
}

// await waits until a game may be asked; ready is false when it was asked meanwhile.
func (q *queries) await(ctx context.Context, r *record) (ready bool, err error) {
	q.o.mu.RLock()
	busy, wait := r.heard.busy, time.Until(r.heard.asked.Add(q.least()))
	q.o.mu.RUnlock()
	if busy == nil && wait <= 0 {
		return true, nil
	}
	var later <-chan time.Time
	if busy == nil {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		later = timer.C
	}
	select {
	case <-busy: // what it told may do
		return false, nil
	case <-later:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// want has the loop leave a game to who is about to ask it, until done is called,
// but not for long.
func (q *queries) want(r *record) (done func()) {
	add := func(n int) {
		q.o.mu.Lock()
		r.heard.wanted += n
		q.o.mu.Unlock()
	}
	add(1)
	return func() { add(-1) }
}

// refresh has a game asked that was not within the last seconds, and says whether it
// answered the last time.
func (q *queries) refresh(ctx context.Context, r *record) bool {
	if !q.on() {
		return false // switched off since somebody waits for it
	}
	select {
	case q.free <- struct{}{}:
		defer func() { <-q.free }()
	case <-ctx.Done():
		return false
	}
	defer q.want(r)()
	for {
		a, ok := q.take(r)
		if ok {
			q.ask(ctx, a)
		}
		q.o.mu.RLock()
		busy, answered := r.heard.busy, !r.heard.at.Before(r.heard.asked)
		q.o.mu.RUnlock()
		if ok || busy == nil {
			return answered
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return false
		}
	}
}
