package orchestrator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// healing is what is done about one server that should run and does not. o.mu
// guards it.
type healing struct {
	attempts []time.Time // the starts within the window, oldest first
	next     time.Time   // when the next one is due; zero when none is
	gaveUp   bool
	timer    *time.Timer // of next
	asking   bool        // a start is being stored: it is neither due nor under way
}

// healer is who asks for the starts that nobody asks for.
var healer = server.Requester{User: "left4med", Via: server.ViaHeal}

// wantsHealing says whether r is to be started by left4med. The caller holds o.mu.
func (o *Orchestrator) wantsHealing(r *record) bool {
	return o.Settings.JobsEnabled && !o.closing && r.run == nil && !r.held && o.installing() == nil && !r.healing.asking && r.row.Phase == server.PhaseReady &&
		r.config.Heal.WantsHealing(r.drift, r.state())
}

// considerHealing sets r's next start, or takes it back. The caller holds o.mu.
func (o *Orchestrator) considerHealing(r *record, now time.Time) {
	h := &r.healing
	if r.observedAt.IsZero() || o.recovering {
		return
	}
	if !o.wantsHealing(r) {
		h.unset()
		if r.config.Heal == server.HealOff || !r.enabled || r.run == nil && r.state() == server.StateRunning {
			h.gaveUp = false
		}
		if r.config.Heal == server.HealOff || !r.enabled {
			h.attempts = nil
		}
		return
	}
	if h.gaveUp || h.timer != nil {
		return
	}
	p := o.Settings.Heal
	h.attempts = p.Recent(h.attempts, now)
	if len(h.attempts) >= p.Limit {
		h.gaveUp, h.next = true, time.Time{}
		return
	}
	pause := p.Pause(len(h.attempts)+1, rand.Float64())
	if !h.next.IsZero() { // of before the daemon's restart, unless the clock was set back
		pause = min(max(h.next.Sub(now), 0), p.Pause(len(h.attempts)+1, 1))
	}
	due := now.Add(pause).UTC().Round(0)
	h.next = due
	h.timer = time.AfterFunc(pause, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.closing {
			o.jobs.Go(func() { o.heal(r, due) })
		}
	})
}

// recovered lets the healing begin: before, a start that the daemon before had
// stored could come a second time.
func (o *Orchestrator) recovered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.recovering = false
	o.publishAll(server.ByResync)
}

// publishAll considers all servers anew. The caller holds o.mu.
func (o *Orchestrator) publishAll(by server.Observer) {
	for _, r := range o.order {
		o.publish(r, by)
	}
}

// unset takes the next start back.
func (h *healing) unset() {
	if h.timer != nil {
		h.timer.Stop()
	}
	h.timer, h.next = nil, time.Time{}
}

// view is the healing as the API shows it; nil when there is nothing to tell.
func (h *healing) view(p server.HealPolicy) *server.Healing {
	switch {
	case h.gaveUp:
		return &server.Healing{Attempt: len(h.attempts), Limit: p.Limit, GaveUp: true}
	case !h.next.IsZero():
		return &server.Healing{Attempt: len(h.attempts) + 1, Limit: p.Limit, NextAt: h.next}
	}
	return nil
}

// heal starts a server whose time has come. A stop that is asked for meanwhile
// takes the start's place; one by another hand is seen in the link.
func (o *Orchestrator) heal(r *record, due time.Time) {
	select {
	case r.claimed <- struct{}{}:
		defer func() { <-r.claimed }()
	case <-o.jobsCtx.Done():
		return
	}
	o.faults.pass("heal due")
	linked, err := o.Units.Linked(string(r.row.Name))
	o.mu.Lock()
	if o.records[r.row.Name] != r || r.healing.next != due {
		o.mu.Unlock()
		return // somebody was faster
	}
	start := err == nil && linked && o.link.connected && !r.stale && o.wantsHealing(r)
	r.healing.unset()
	if start {
		r.healing.attempts = append(r.healing.attempts, time.Now().UTC().Round(0))
		r.healing.asking = true
		o.Meter.Healed()
	}
	o.mu.Unlock()
	if start {
		err = o.startHealing(r)
	}
	if err != nil {
		o.Log.Warn().Err(err).Str("SERVER", string(r.row.Name)).Msg("cannot start a server again; trying on")
	}
	o.mu.Lock()
	r.healing.asking = false
	o.publish(r, server.ByJob) // where nothing came of it, it is considered anew
	o.mu.Unlock()
}

// startHealing asks for the start.
func (o *Orchestrator) startHealing(r *record) error {
	p := o.plan(server.JobStart, "", []*record{r}, healer)
	if err := o.insertJobs(context.WithoutCancel(o.jobsCtx), p); err != nil {
		return err
	}
	o.engage(p)
	return nil
}

// keepLink is link(true) for a start that nobody asked for: it enables nothing.
func (r *run) keepLink() error {
	linked, err := r.o.Units.Linked(string(r.rec.row.Name))
	if err != nil {
		return err
	}
	if !linked {
		return r.disabled()
	}
	r.leaveCohort()
	return r.begin(linked)
}

func (r *run) disabled() error {
	return server.Errorf(server.CodeOvertaken, "%s was disabled before left4med had started it again", r.rec.row.Name.Unit())
}

// yield stops what a healing started beside a hand that disabled the server in
// the same moment.
func (r *run) yield() error {
	linked, err := r.o.Units.Linked(string(r.rec.row.Name))
	if err != nil || linked {
		return err
	}
	if err := r.stopUnit(); err != nil {
		return err
	}
	return r.disabled()
}

// heals says whether nobody but left4med asked for the job.
func (r *run) heals() bool { return r.row.RequestedBy.Via == server.ViaHeal }

// healingDetail says what comes next.
func healingDetail(h *server.Healing, now time.Time) string {
	if h.GaveUp {
		return "after " + server.Starts(h.Limit)
	}
	return fmt.Sprintf("attempt %d of %d, in %d s", h.Attempt, h.Limit, int(h.NextAt.Sub(now).Round(time.Second).Seconds()))
}
