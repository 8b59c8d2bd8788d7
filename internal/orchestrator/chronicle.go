package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// What waits for the disk: at most maxPending entries, the oldest of which are
// dropped; maxWritten of them go into one transaction.
const (
	maxPending = 50_000
	maxWritten = 1_000
)

// chronicle puts what is seen of the servers into the history. Who sees
// something waits for nothing; what the disk refuses is kept and tried again.
type chronicle struct {
	store func(context.Context, map[int64]store.Seen, []server.HistoryEntry, []store.Notice) error
	tell  func(server.HistoryEntry)
	log   zerolog.Logger
	wake  chan struct{}

	mu      sync.Mutex
	entries []server.HistoryEntry
	seen    map[int64]store.Seen // the newest of each server
	notices []store.Notice       // for alerts; maxPending at most, too
	added   uint64               // how often add was called
	written uint64               // of which so many are on the disk
	dropped int
	tried   chan struct{} // closed after each attempt to write
}

func newChronicle(o *Orchestrator) *chronicle {
	return &chronicle{
		store: func(ctx context.Context, seen map[int64]store.Seen, e []server.HistoryEntry, n []store.Notice) error {
			return o.alerts.with(n, func(a *store.Alerts) error { return o.Store.SetSeen(ctx, seen, e, a) })
		},
		tell: func(e server.HistoryEntry) { o.logEntry(e, nil) },
		log:  o.Log, wake: make(chan struct{}, 1), seen: map[int64]store.Seen{}, tried: make(chan struct{}),
	}
}

// add takes in what is seen of a server from now on, what changed with it, and
// what alerts are to tell of that.
func (c *chronicle) add(id int64, seen store.Seen, entries []server.HistoryEntry, notices []store.Notice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[id] = seen
	c.entries = append(c.entries, entries...)
	c.take(notices)
}

// notify takes in what alerts are to tell of beside what is seen of servers.
func (c *chronicle) notify(notices []store.Notice) {
	if len(notices) == 0 {
		return // settle would wait for nothing to be written
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take(notices)
}

// take takes in notices and has all written. The caller holds c.mu.
func (c *chronicle) take(notices []store.Notice) {
	c.notices = append(c.notices, notices...)
	if over := len(c.notices) - maxPending; over > 0 {
		c.notices = slices.Delete(c.notices, 0, over)
		c.dropped += over
	}
	if over := len(c.entries) - maxPending; over > 0 {
		c.entries = slices.Delete(c.entries, 0, over)
		c.dropped += over
	}
	c.added++
	select {
	case c.wake <- struct{}{}:
	default: // it is awake
	}
}

// settle waits until what was added before is on the disk, or the disk has
// refused it. What is stored afterwards then comes after it in the history.
func (c *chronicle) settle(ctx context.Context) {
	c.mu.Lock()
	upTo, tried := c.added, c.tried
	settled := c.written >= upTo
	c.mu.Unlock()
	if settled {
		return
	}
	for range 2 { // the attempt under way may have begun before
		select {
		case <-ctx.Done():
			return
		case <-tried:
		}
		c.mu.Lock()
		tried, settled = c.tried, c.written >= upTo
		c.mu.Unlock()
		if settled {
			return
		}
	}
}

// loop writes what comes until ctx ends, and then what is left, once.
func (c *chronicle) loop(ctx context.Context) {
	wait := time.Duration(0) // after a failure
	for {
		again := (<-chan time.Time)(nil)
		if wait > 0 {
			again = time.After(wait)
		}
		select {
		case <-ctx.Done():
			c.flush(ctx)
			return
		case <-c.wake:
		case <-again:
		}
		switch err := c.flush(ctx); {
		case err == nil:
			wait = 0
		case wait == 0:
			c.log.Error().Err(err).Msg("cannot write the history; trying on")
			wait = storeRetry / 16
		default:
			wait = min(2*wait, storeRetry)
		}
	}
}

// flush writes all that waits, a part at a time.
func (c *chronicle) flush(ctx context.Context) error {
	for {
		c.mu.Lock()
		entries, seen, notices, upTo, dropped := c.entries, c.seen, c.notices, c.added, c.dropped
		c.entries, c.seen, c.notices, c.dropped = nil, map[int64]store.Seen{}, nil, 0
		c.mu.Unlock()
		if len(entries) == 0 && len(seen) == 0 && len(notices) == 0 {
			return nil
		}
		if dropped > 0 {
			c.log.Error().Int("entries", dropped).Msg("entries are missing in the history, or alerts: the database could not be written for too long")
		}
		err := c.write(context.WithoutCancel(ctx), seen, &entries, notices)
		c.mu.Lock()
		if err != nil {
			c.entries = append(entries, c.entries...)
			c.notices = append(notices, c.notices...)
			maps.Copy(seen, c.seen)
			c.seen = seen
		} else {
			c.written = upTo
		}
		close(c.tried)
		c.tried = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// write stores entries and at last what was seen, with what alerts tell of it, and
// leaves in entries what is not stored.
func (c *chronicle) write(ctx context.Context, seen map[int64]store.Seen, entries *[]server.HistoryEntry, notices []store.Notice) error {
	for {
		part, rest := *entries, []server.HistoryEntry(nil)
		if len(part) > maxWritten {
			part, rest = part[:maxWritten], part[maxWritten:]
		}
		with, tell := seen, notices
		if len(rest) > 0 {
			with, tell = nil, nil
		}
		if err := c.store(ctx, with, part, tell); err != nil {
			return err
		}
		for _, e := range part {
			c.tell(e)
		}
		if *entries = rest; len(rest) == 0 {
			return nil
		}
	}
}

// chronicleOf puts on record in what r differs from what was last on record. The
// caller holds o.mu.
func (o *Orchestrator) chronicleOf(r *record, by server.Observer) {
	if r.observedAt.IsZero() || r.row.Phase != server.PhaseReady && r.row.Seen == nil {
		return
	}
	now := store.Seen{
		State: r.state(), Drift: r.drift, DriftSince: r.driftSince.UTC(),
		Desired: r.desired(), Invocation: r.unit.InvocationID,
		Heals: slices.Clone(r.healing.attempts), NextHeal: r.healing.next, GaveUp: r.healing.gaveUp,
	}
	was, notices := r.row.Seen, o.noticesOf(r)
	if was != nil && was.State == now.State && now.Invocation == "" {
		now.Invocation = was.Invocation // the list does not tell it; what reads the rest does
	}
	if was != nil && was.Equal(now) && len(notices) == 0 {
		return
	}
	r.row.Seen = &now
	var entries []server.HistoryEntry
	if was != nil {
		entries = o.differences(r, *was, now, by)
	}
	o.chronicle.add(r.row.ID, now, entries, notices)
}

// differences are the entries of what changed between two sightings of r.
func (o *Orchestrator) differences(r *record, was, now store.Seen, by server.Observer) []server.HistoryEntry {
	base := server.HistoryEntry{
		At: time.Now().UTC(), Server: string(r.row.Name), ServerID: r.row.ID, SeenBy: string(by),
	}
	if r.run.tells() {
		base.Job = r.run.job.ID
	} else if job := o.installing(); r.held && job != nil {
		base.Job = job.ID // stops it and brings it back
	}
	var entries []server.HistoryEntry
	add := func(kind server.HistoryKind, what, from, to, detail string) {
		e := base
		e.Kind, e.What, e.From, e.To, e.Detail = kind, what, from, to, detail
		if base.Job != 0 && kind == server.HistoryDesired && r.run != nil {
			e.By = &r.run.job.RequestedBy
		}
		entries = append(entries, e)
	}
	if was.Desired != now.Desired {
		what := "disable"
		if now.Desired == server.DesiredRunning {
			what = "enable"
		}
		add(server.HistoryDesired, what, string(was.Desired), string(now.Desired), "")
	}
	// A run that nobody saw begin: the unit ended and came back between two looks.
	unseen := was.State == now.State && now.State == server.StateRunning && was.Invocation != "" && was.Invocation != now.Invocation
	if was.State != now.State || unseen {
		add(server.HistoryState, "state", string(was.State), string(now.State), stateDetail(r, unseen))
		if e := &entries[len(entries)-1]; by == server.ByResync && r.unit.Active != "inactive" && r.unit.Since.Before(e.At) {
			e.Since = r.unit.Since.UTC() // of what is inactive systemd may have forgotten it
		}
	}
	if was.Drift != now.Drift {
		add(server.HistoryDrift, "drift", string(was.Drift), string(now.Drift), "")
	}
	if h := r.healing.view(o.Settings.Heal); h != nil && (was.NextHeal != now.NextHeal || was.GaveUp != now.GaveUp) {
		to := "scheduled"
		if h.GaveUp {
			to = "gave-up"
		}
		base.SeenBy = "" // it is our own doing
		add(server.HistoryHealing, "heal", "", to, healingDetail(h, base.At))
	}
	return entries
}

// tells says whether what is seen now comes of the job. Once its end is being
// stored it does not: the history must not tell of a job after the job's end. The
// caller holds o.mu; r may be nil.
func (r *run) tells() bool {
	return r != nil && r.job.State == server.JobRunning && !r.ending && !r.yields
}

// stateDetail says in systemd's words what else is known of a state.
func stateDetail(r *record, unseen bool) string {
	u := r.unit
	switch state := r.state(); {
	case unseen && u.Restarts > 0:
		return fmt.Sprintf("a new run that was not seen to begin: pid %d, restarted %d times", u.MainPID, u.Restarts)
	case unseen:
		return fmt.Sprintf("a new run that was not seen to begin: pid %d", u.MainPID)
	case state == server.StateRunning && u.MainPID != 0:
		return fmt.Sprintf("pid %d", u.MainPID)
	case state == server.StateRestarting || state == server.StateFailed:
		return "result " + u.Result
	case state == server.StateStopped && u.Result != "" && u.Result != "success":
		return "result " + u.Result
	}
	return ""
}
