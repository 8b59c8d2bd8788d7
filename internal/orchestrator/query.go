package orchestrator

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
)

// queries asks the games that run what they play and who is there, through
// left4med-probe, each of them once in an interval and all of them spread over
// it. What comes of it is shown and is nothing else: a game that does not answer
// may well be loading a map, so no answer is ever a reason to touch it.
type queries struct {
	o      *Orchestrator
	cgroup func(ctx context.Context, unit string) (uint64, error)
	began  time.Time
	free   chan struct{} // holds a value for each query under way
	again  chan struct{} // holds a value when a place is free that somebody waits for, or a run is new

	waited bool      // somebody waits for a place; o.mu guards it
	look   time.Time // when the servers are looked through next; the same

	mu   sync.Mutex
	hand handFacts
	heal *handHealer
}

const (
	// queryLeast is how often a server is asked at most.
	queryLeast = 5 * time.Second
	// queriesAtOnce bounds what a left4med-probe that hangs can hold: at a second
	// each, 16 get round 80 games that do not answer in five seconds.
	queriesAtOnce = 16
	// queryTime is how long a game has for its answer. On the host itself it takes
	// a fraction of a millisecond; one that computes a frame, some dozens.
	queryTime = time.Second
	// queryGrace is how much longer left4med-probe has for its own.
	queryGrace = 2 * time.Second
	// queryGap is how often the servers are looked through at most, which holds up
	// whoever reads or changes them: queries that are due closer to each other begin
	// together.
	queryGap  = 20 * time.Millisecond
	queryRest = time.Hour // the longest time without a look; what begins meanwhile stirs
)

func newQueries(o *Orchestrator) *queries {
	q := &queries{o: o, free: make(chan struct{}, queriesAtOnce), again: make(chan struct{}, 1), heal: newHandHealer(o)}
	if o.Units != nil {
		q.cgroup = o.Units.Cgroup
	}
	return q
}

// interval is the time between two queries of a server.
func (q *queries) interval() time.Duration {
	interval, _ := q.o.faults.pace(max(q.o.Settings.QueryInterval, queryLeast), queryTime)
	return interval
}

// gap is the time between two looks at all servers, at least.
func (q *queries) gap() time.Duration { return min(queryGap, q.interval()/100) }

func (q *queries) on() bool { return q.o.Probe != nil && q.o.Settings.QueryEnabled }

// loop asks until ctx ends, and returns when nothing of it is under way.
func (q *queries) loop(ctx context.Context) {
	if !q.on() {
		return
	}
	var under sync.WaitGroup
	defer under.Wait()
	q.o.mu.Lock()
	q.began = time.Now()
	q.o.mu.Unlock()
	next := time.NewTimer(0)
	defer next.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-q.again:
			if early := q.gap() - time.Since(last); early > 0 {
				next.Reset(early)
				continue
			}
		}
		last = time.Now()
		next.Reset(q.round(ctx, &under))
	}
}

// round begins the queries that are due, and returns after what time to look
// again.
func (q *queries) round(ctx context.Context, under *sync.WaitGroup) (wake time.Duration) {
	q.o.mu.Lock()
	defer q.o.mu.Unlock()
	now := time.Now()
	wake = queryRest
	defer func() {
		wake = max(wake, q.gap())
		q.look = now.Add(wake)
	}()
	var due []*record
	for _, r := range q.o.order {
		at, runs := q.due(r, now)
		if r.heard.off = !runs; !runs {
			continue
		}
		switch {
		case r.heard.busy != nil:
		case r.heard.wanted > 0 && now.Sub(at) < q.least(): // who wants to know more is about to ask
			wake = min(wake, at.Add(q.least()).Sub(now))
		case at.After(now):
			wake = min(wake, at.Sub(now))
		default:
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *record) int { return a.heard.due.Compare(b.heard.due) })
	q.waited = false
	for _, r := range due {
		select {
		case q.free <- struct{}{}:
		default:
			q.waited = true
			return wake
		}
		ask := q.begin(r, now)
		under.Go(func() {
			q.ask(ctx, ask)
			<-q.free
			q.o.mu.RLock()
			again := q.waited
			q.o.mu.RUnlock()
			if again {
				q.stir()
			}
		})
	}
	return wake
}

// stir has the loop look through the servers now.
func (q *queries) stir() {
	select {
	case q.again <- struct{}{}:
	default:
	}
}

// begins has a server asked of which the loop does not know that it runs. The caller
// holds o.mu.
func (q *queries) begins(r *record) {
	if q.on() && asks(r) && (r.heard.off || r.heard.invocation != r.unit.InvocationID) {
		q.stir()
	}
}

// asks says whether a server is one to be asked. The caller holds o.mu.
func asks(r *record) bool {
	return r.state() == server.StateRunning && r.unit.InvocationID != "" && r.row.Phase == server.PhaseReady
}

// due is when a server is to be asked next; runs is false while it does not run.
// The caller holds o.mu.
func (q *queries) due(r *record, now time.Time) (at time.Time, runs bool) {
	if !asks(r) {
		return time.Time{}, false
	}
	if h := &r.heard; h.invocation != r.unit.InvocationID {
		// The port is that of the settings as they are now: those of a later
		// moment are for the next run.
		*h = heard{invocation: r.unit.InvocationID, port: r.row.Config.Port, asked: h.asked, busy: h.busy, wanted: h.wanted}
		settled := r.unit.Since.Add(q.o.Settings.Settle)
		switch {
		case settled.Before(q.began): // it ran before this daemon did, as others may have
			h.due = q.began.Add(q.phase(r))
		case settled.After(now.Add(q.o.Settings.Settle)): // the clock was set back
			h.due = now.Add(q.o.Settings.Settle)
		default:
			h.due = settled
		}
		if first := h.asked.Add(q.least()); !h.asked.IsZero() && h.due.Before(first) {
			h.due = first
		}
	}
	return r.heard.due, true
}

// least is how long a server is left alone after a query, in whatever run.
func (q *queries) least() time.Duration { return min(q.interval(), queryLeast) }

// phase is a server's own place in the interval. The golden ratio's multiples
// spread however many servers evenly.
func (q *queries) phase(r *record) time.Duration {
	_, part := math.Modf(float64(r.row.ID) * (math.Phi - 1))
	return time.Duration(part * float64(q.interval()))
}

// next is when a server is to be asked again after a query that began then: an
// interval later, and a little more while it is not in its own place, so that
// servers that were started together part.
func (q *queries) next(r *record, began time.Time) time.Time {
	interval := q.interval()
	due := began.Add(interval)
	missing := (q.phase(r) - due.Sub(q.began)) % interval
	if missing < 0 {
		missing += interval
	}
	if missing < interval*9/10 { // else it has just passed its place
		due = due.Add(min(missing, interval/10))
	}
	return due
}

// ofTheGame says whether a fault tells something of the game. Others tell of
// left4med-probe, or that it could not be asked.
func ofTheGame(code probe.FaultCode) bool {
	switch code {
	case probe.FaultSilent, probe.FaultRefused, probe.FaultStranger, probe.FaultMalformed, probe.FaultNetwork:
		return true
	}
	return false
}

// showGame replaces what readers see of the server by the same with what its game
// told last. Nothing is judged anew. The caller holds o.mu.
func (o *Orchestrator) showGame(r *record) {
	if r.entry == nil || r.orphan || o.records[r.row.Name] != r {
		return
	}
	e := &Entry{Server: r.entry.Server}
	r.heard.show(&e.Server)
	o.show(r, e)
}
