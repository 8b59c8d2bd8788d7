package orchestrator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/internal/server"
)

// audience is who plays on the servers that a job waits for.
type audience struct {
	running int       // servers that run, orphans among them
	people  int       // who plays on them, as far as that is known
	playing []*record // where somebody plays
	silent  []string  // where that is not known
	many    bool      // several servers are meant
	asOf    time.Time // the oldest of the answers that say so
}

// empty says whether nobody plays, for sure.
func (c audience) empty() bool { return c.people == 0 && len(c.silent) == 0 }

// String says who plays.
func (c audience) String() string {
	var parts []string
	switch {
	case c.people > 0 && c.many:
		names := make([]string, len(c.playing))
		for i, r := range c.playing {
			names[i] = string(r.row.Name)
		}
		parts = append(parts, playerCount(c.people)+" on "+someOf(names))
	case c.people > 0:
		parts = append(parts, playerCount(c.people))
	}
	switch {
	case len(c.silent) > 0 && c.many:
		parts = append(parts, "no answer from "+someOf(c.silent))
	case len(c.silent) > 0:
		parts = append(parts, "no answer from the game")
	}
	if len(parts) == 0 {
		return "nobody at the moment"
	}
	return strings.Join(parts, ", and ")
}

func playerCount(n int) string {
	if n == 1 {
		return "1 player"
	}
	return fmt.Sprintf("%d players", n)
}

// count looks who plays on the servers that the job waits for: its own, or all that
// run. Of one that is not up yet, or goes down, nothing is known.
func (w *emptyWait) count(how howAsked) audience {
	o, c := w.o, audience{many: w.row.Kind.OfHost()}
	all := []*record{w.rec}
	up := map[*record]bool{}
	o.mu.RLock()
	if c.many {
		all = slices.DeleteFunc(slices.Clone(o.order), func(r *record) bool { return !r.state().Live() })
		c.silent = o.runningOrphans()
	}
	for _, r := range all {
		up[r] = r.state() == server.StateRunning
	}
	o.mu.RUnlock()
	c.running = len(all) + len(c.silent)
	type told struct {
		people int
		at     time.Time
		known  bool
	}
	answers := make([]told, len(all))
	var g errgroup.Group // a game may have to be asked who of its players are bots
	g.SetLimit(heldAtOnce)
	for i, r := range all {
		if up[r] {
			g.Go(func() error {
				a := &answers[i]
				a.people, a.at, a.known = o.crowd.people(w.ctx, r, how)
				return nil
			})
		}
	}
	_ = g.Wait() // none of them fails
	for i, r := range all {
		switch a := answers[i]; {
		case !a.known:
			c.silent = append(c.silent, string(r.row.Name))
			continue
		case a.people > 0:
			c.people += a.people
			c.playing = append(c.playing, r)
		}
		if at := answers[i].at; c.asOf.IsZero() || at.Before(c.asOf) {
			c.asOf = at
		}
	}
	return c
}

// runningOrphans are the units of no server that run, as people read them. The
// caller holds o.mu.
func (o *Orchestrator) runningOrphans() (units []string) {
	for _, n := range o.orphanUnits() {
		if server.DeriveState(n.unit).Live() {
			units = append(units, server.Visible(unitOf(n.instance))+" (an orphan)")
		}
	}
	return units
}

// canWait refuses an install that would wait for what can never be known.
func (o *Orchestrator) canWait() error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if !o.crowd.counts() && slices.ContainsFunc(o.order, func(r *record) bool { return r.state().Live() }) {
		return errNeverKnown("an install")
	}
	if units := o.runningOrphans(); len(units) > 0 {
		return server.Errorf(server.CodeInstallationInUse, "the game cannot be updated when nobody plays, because nobody can tell who plays on %s. Adopt or end what is an orphan (`l4d2ctl orphans`), then ask again", someOf(units))
	}
	return nil
}

// takeInstallation begins the install: it is judged as one that is asked for now,
// once more who plays among it. What is in its way is gone at a later look. Games are
// asked before anything is kept from other requests, and systemd before games.
func (w *emptyWait) takeInstallation() (taken bool, err error) {
	o, rec := w.o, w.rec
	if !o.connection().connected || o.untouched(w.ctx) != nil || o.Resync(w.ctx) != nil || !w.count(afresh).empty() {
		return false, nil
	}
	o.game.judging.Lock()
	defer o.game.judging.Unlock()
	o.setAsking(true)
	defer o.setAsking(false)
	claimed, _, err := o.claim(w.ctx, o.names())
	if err != nil {
		return false, nil
	}
	defer unclaim(claimed)
	all, err := o.inUse()
	if err != nil || !w.count(fromMemory).empty() {
		return false, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if w.ctx.Err() != nil || rec.run != nil {
		return false, nil
	}
	m := *w.mark.Install
	m.Held = all
	w.mark.Install = &m
	rec.waiting = nil
	o.occupy(rec, w.run)
	o.holdAll(all)
	o.publishAll(server.ByJob) // healing holds still
	return true, nil
}
