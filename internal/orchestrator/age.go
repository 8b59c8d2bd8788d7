package orchestrator

import (
	"context"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// What is judged by the clock: how old an observation may be, and how many
// restarts are too many.

// lossGrace is how long the link to systemd may be down before every server is
// stale. When systemd re-executes itself nothing changes meanwhile, and it takes
// about a second at 1,000 running units.
const lossGrace = 2 * time.Second

// watchAge marks servers stale whose last observation is too old, all of them
// when the link to systemd is down, and ends what time ends.
func (o *Orchestrator) watchAge(ctx context.Context) {
	limit := 2 * o.Settings.ResyncInterval
	tick := time.NewTicker(max(o.Settings.ResyncInterval/4, 100*time.Millisecond))
	defer tick.Stop()
	var told time.Time // the loss of the link that was told of
	for {
		link, relinked := o.linkNow()
		var lost <-chan time.Time
		if !link.connected && !link.since.IsZero() && link.since != told {
			lost = time.After(time.Until(link.since.Add(lossGrace)))
		}
		select {
		case <-ctx.Done():
			return
		case <-relinked:
		case now := <-lost:
			told = link.since
			o.markStale(now)
		case now := <-tick.C:
			// Without a resync nobody looks again, and signals come only when
			// something changes: then silence says nothing.
			if o.Settings.ResyncEnabled {
				o.markStale(now.Add(-limit))
			}
			o.calm()
		}
	}
}

// linkNow is the state of the link to systemd, and a channel that is closed when
// it comes or goes.
func (o *Orchestrator) linkNow() (linkState, <-chan struct{}) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.link, o.relink
}

// markStale marks the servers that were last observed before a time.
func (o *Orchestrator) markStale(before time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.order {
		if !r.stale && r.observedAt.Before(before) {
			r.stale = true
			o.publish(r, server.ByResync)
		}
	}
}

// countRestarts notes the restarts by systemd that u has over what was known of
// r. systemd counts anew after a start by hand. The caller holds o.mu.
func (o *Orchestrator) countRestarts(r *record, u server.Unit, at time.Time) {
	keep := o.Settings.FlapRestarts + 1
	switch {
	case r.observedAt.IsZero(), r.unit.InvocationID == "" && u.InvocationID != "":
		// When they were is not known; the list, which is looked at first, tells of none.
	case u.Restarts < r.unit.Restarts:
		r.restarted = nil
		r.restarts += uint64(u.Restarts)
	default:
		r.restarts += uint64(u.Restarts - r.unit.Restarts)
		for range min(int(u.Restarts-r.unit.Restarts), keep) {
			r.restarted = append(r.restarted, at)
		}
		if over := len(r.restarted) - keep; over > 0 {
			r.restarted = append([]time.Time{}, r.restarted[over:]...)
		}
	}
}

// flapping says whether systemd restarted a live server too often. The caller
// holds o.mu.
func (o *Orchestrator) flapping(r *record, now time.Time) bool {
	return len(r.restarted) > o.Settings.FlapRestarts && now.Sub(r.restarted[0]) < o.Settings.FlapWindow && r.state().Live()
}

// calm judges anew the servers that were flapping.
func (o *Orchestrator) calm() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.order {
		if r.drift == server.DriftFlapping {
			o.publish(r, server.ByResync)
		}
	}
}
