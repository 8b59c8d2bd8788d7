package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/left4med/left4med/internal/probe"
)

// handFacts are how left4med-probe did what it was asked.
type handFacts struct {
	failing bool
	gone    bool      // it does so whatever it is asked: it does not answer
	since   time.Time // that it is so; zero before it was first asked
	last    time.Time
	err     string
	queries uint64
	failed  uint64
}

// note takes in how left4med-probe did what it was asked: err is its own or a
// game's. It logs when the first stops, and when it goes on.
func (q *queries) note(err error, query bool) {
	defer q.heal.note(err)
	fault, ofHand := handFault(err)
	now := time.Now()
	q.mu.Lock()
	h := &q.hand
	changed := ofHand != h.failing
	if changed || h.since.IsZero() {
		h.since = now
	}
	h.failing, h.gone, h.last, h.err = ofHand, isGone(err), now, fault
	if query {
		h.queries++
		if err != nil {
			h.failed++
		}
	}
	q.mu.Unlock()
	switch {
	case changed && isGone(err):
		q.o.Log.Warn().Str("found", fault).Msg("left4med-probe does not do its work: what games tell of themselves is not known and alerts wait; everything else goes on")
	case changed && ofHand:
		q.o.Log.Warn().Str("found", fault).Msg("left4med-probe cannot ask games, so what they tell of themselves is not known; everything else goes on")
	case changed:
		q.o.Log.Info().Msg("left4med-probe answers again")
	}
}

// noteDelivery takes in how left4med-probe did with a webhook, whose own faults are
// none of the probe's. That it answered says nothing of a fault that only asking a
// game has.
func (q *queries) noteDelivery(f *probe.Fault) {
	if f != nil && isGone(f) {
		q.note(f, false)
		return
	}
	q.mu.Lock()
	ofGames := q.hand.failing && !q.hand.gone
	q.mu.Unlock()
	if !ofGames {
		q.note(nil, false)
	}
}

// isGone says whether an error means that left4med-probe does not answer at all.
func isGone(err error) bool {
	var f *probe.Fault
	return errors.As(err, &f) && (f.Code == probe.FaultGone || f.Code == probe.FaultNonsense)
}

// handFault is what an error says of left4med-probe itself; ok is false when it
// did its work.
func handFault(err error) (detail string, ok bool) {
	var f *probe.Fault
	switch {
	case err == nil:
		return "", false
	case errors.As(err, &f):
		if ofTheGame(f.Code) || f.Code == probe.FaultPassword || f.Code == probe.FaultBanned {
			return "", false
		}
		return cut(f.Detail, maxShownFault), true
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time", true
	case errors.Is(err, context.Canceled):
		return "", false // who asked went away
	}
	return "it failed", true
}

// handMemory is for how long a failure counts after which left4med-probe was not
// asked again, since no game runs.
const handMemory = 30 * time.Minute

const maxShownFault = 300 // characters of what a fault says

// probeHealth says how left4med-probe answers.
func (q *queries) probeHealth() ProbeHealth {
	q.mu.Lock()
	defer q.mu.Unlock()
	return ProbeHealth{
		Querying: q.on(), Interval: q.interval().Seconds(),
		OK: !q.hand.failing, Gone: q.hand.gone, Since: q.hand.since.UTC(), LastAt: q.hand.last.UTC(), Error: q.hand.err,
		Queries: q.hand.queries, Failed: q.hand.failed,
	}
}

func checkProbe(p ProbeHealth) Check {
	c := Check{Name: "network-hand", OK: true, LookedAt: "how left4med-probe answered when it was last asked"}
	asked := "not asked for anything yet"
	if !p.LastAt.IsZero() {
		asked = fmt.Sprintf("it answers; %d queries of games so far, %d not answered by the game", p.Queries, p.Failed)
	}
	switch {
	case !p.OK && time.Since(p.LastAt) > handMemory:
		c.Found = fmt.Sprintf("not asked for anything since %s, when it failed: %s", p.LastAt.Format(time.RFC3339), p.Error)
	case !p.OK:
		c.OK, c.Cure = false, "systemctl status left4med-probe.service"
		what, so := "cannot ask games", "map and players are not known and RCON does not work"
		if p.Gone {
			what, so = "does not answer", "map and players are not known, RCON does not work and webhooks are told nothing"
		}
		c.Found = fmt.Sprintf("the network hand %s since %s, so %s; servers are not affected: %s", what, p.Since.Format(time.RFC3339), so, p.Error)
	case !p.Querying:
		c.Found = "games are not asked, [query] enabled = false in /etc/left4me/left4med.toml; " + asked
	default:
		c.Found = asked
	}
	return c
}
