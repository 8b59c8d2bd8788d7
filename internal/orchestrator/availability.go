package orchestrator

import (
	"context"
	"slices"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// settleTime is how long a reader waits for what was seen to be on record.
const settleTime = 2 * time.Second

// Availability tells how much of so many days, up to now, a server ran of the time
// that it was meant to.
func (o *Orchestrator) Availability(ctx context.Context, name server.Name, days int) (*server.Availability, error) {
	wait, cancel := context.WithTimeout(ctx, settleTime)
	o.chronicle.settle(wait)
	cancel()
	now := time.Now().UTC()
	o.mu.RLock()
	r, known := o.records[name]
	if !known {
		o.mu.RUnlock()
		return nil, errNoServer(name)
	}
	id, record := r.row.ID, server.Record{From: now.AddDate(0, 0, -days), To: now, State: server.StateUnknown, Desired: r.desired()}
	if seen := r.row.Seen; seen != nil {
		record.State, record.Desired = seen.State, seen.Desired
	}
	if r.row.CreatedAt.After(record.From) {
		record.From = r.row.CreatedAt
	}
	unstored := o.chronicle.unstored(id, record.From)
	o.mu.RUnlock()

	watches, err := o.Store.Watches(ctx, record.From)
	if err != nil {
		return nil, err
	}
	record.Watches = withNewest(watches, o.watch.known(now))
	if record.Entries, record.Since, err = o.Store.Presence(ctx, name, id, record.From); err != nil {
		return nil, err
	}
	for _, e := range unstored {
		if !slices.ContainsFunc(record.Entries, func(s server.HistoryEntry) bool { // stored meanwhile
			return s.Kind == e.Kind && s.To == e.To && s.At.Equal(e.At.Truncate(time.Microsecond))
		}) {
			record.Entries = append(record.Entries, e)
		}
	}
	a := record.Availability()
	a.Server, a.Days = name, days
	return &a, nil
}

// withNewest is what is stored of watches with what is known in memory: that one
// goes on is stored a minute late.
func withNewest(stored, known []server.Watch) []server.Watch {
	for _, w := range known {
		from := w.From.UTC().Truncate(time.Microsecond)
		stored = slices.DeleteFunc(stored, func(s server.Watch) bool { return s.From.Equal(from) })
		stored = append(stored, w)
	}
	slices.SortFunc(stored, func(a, b server.Watch) int { return a.From.Compare(b.From) })
	return stored
}

// unstored are the entries of a server's states and intents that the disk has not
// taken yet, from a time on.
func (c *chronicle) unstored(id int64, since time.Time) []server.HistoryEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []server.HistoryEntry
	for _, e := range c.entries {
		if e.ServerID == id && (e.Kind == server.HistoryState || e.Kind == server.HistoryDesired) && !e.At.Before(since) {
			found = append(found, e)
		}
	}
	return found
}
