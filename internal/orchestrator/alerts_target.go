package orchestrator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// outbox is the store, as far as a target needs it.
type outbox interface {
	NextAlert(ctx context.Context, rule, target string, now time.Time) (*store.AlertRow, time.Time, error)
	TryAlert(ctx context.Context, id int64, at time.Time) (found, repeated bool, err error)
	RetryAlert(ctx context.Context, id int64, unsure bool, due time.Time) error
	RemoveAlert(ctx context.Context, id int64, entries ...server.HistoryEntry) error
}

// alertPauses are those between attempts: from 1 s, doubled up to 15 min.
var alertPauses = server.HealPolicy{First: time.Second, Max: 15 * time.Minute}

// alertPatience is how long an alert is tried before it is given up.
const alertPatience = 7 * 24 * time.Hour

// target is where alerts go: a rule's webhook, or one of its units. One alert is
// on its way to it at a time, the oldest first.
type target struct {
	a     *alerts
	rule  *server.AlertRule
	name  string
	box   outbox
	turn  chan struct{} // holds a value while something is on its way
	send  func(context.Context, server.Alert) outcome
	pause func(attempt int) time.Duration

	fails int // attempts in a row; of loop alone

	mu          sync.Mutex
	why         string // the last attempt failed
	deliveredAt time.Time
}

func newTarget(a *alerts, rule *server.AlertRule, name string) *target {
	t := &target{a: a, rule: rule, name: name, box: a.o.Store, turn: make(chan struct{}, 1)}
	t.pause = func(attempt int) time.Duration { return alertPauses.Pause(attempt, rand.Float64()) }
	if t.send = t.startUnit; name == server.TargetWebhook {
		t.send = t.post
	}
	return t
}

// longestWait bounds a wait, so that a clock that is set is noticed.
const longestWait = time.Minute

// loop delivers what there is until ctx ends. It sleeps until something is due.
func (t *target) loop(ctx context.Context) {
	for ctx.Err() == nil {
		more := t.a.wakes() // before the look, so that nothing is missed
		row, next, err := t.box.NextAlert(ctx, t.rule.Name, t.name, time.Now())
		switch {
		case err != nil && ctx.Err() == nil:
			t.a.o.Log.Error().Err(err).Str("RULE", t.rule.Name).Msg("cannot read the alerts; trying on")
			sleep(ctx, storeRetry, nil)
		case row != nil:
			sleep(ctx, t.attempt(ctx, row), nil)
		case next.IsZero():
			select {
			case <-ctx.Done():
			case <-more:
			}
		default:
			sleep(ctx, min(time.Until(next), longestWait), more)
		}
	}
}

// sleep waits for d, or until ctx ends or wake is closed.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}

// attempt sends an alert and says how long to leave the target alone afterwards.
// That it is sent is on the disk before; so one whose outcome the disk does not
// know, because the daemon was killed, is marked when it is sent again.
func (t *target) attempt(ctx context.Context, row *store.AlertRow) (pause time.Duration) {
	found, repeated, err := t.box.TryAlert(ctx, row.ID, time.Now())
	switch {
	case err != nil:
		return storeRetry
	case !found: // it was dropped meanwhile
		return 0
	}
	row.Alert.Repeated = repeated
	out := t.inTurn(ctx, row.Alert)
	if out.why == "" {
		t.succeeded()
		t.untilStored(ctx, func(ctx context.Context) error { return t.box.RemoveAlert(ctx, row.ID) })
		return 0
	}
	pause = t.failed(out)
	if out.hopeless || time.Since(row.Alert.At) > alertPatience {
		t.giveUp(ctx, row, out)
		return pause
	}
	due := time.Time{}
	if out.refused {
		due = time.Now().Add(max(t.pause(row.Attempts+1), out.after)).UTC()
	}
	if err := t.box.RetryAlert(context.WithoutCancel(ctx), row.ID, out.unsure, due); err != nil {
		t.a.o.Log.Warn().Err(err).Str("RULE", t.rule.Name).Msg("cannot store that an alert was not delivered; it will be marked as repeated")
	}
	return pause
}

// inTurn sends an alert when nothing else is on its way to the target.
func (t *target) inTurn(ctx context.Context, alert server.Alert) outcome {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
		return t.send(ctx, alert)
	case <-ctx.Done():
		return outcome{why: "another alert is on its way to it", code: "busy"}
	}
}

// untilStored repeats a write until the disk takes it, or ctx ends. What was
// delivered is not sent again meanwhile.
func (t *target) untilStored(ctx context.Context, write func(context.Context) error) {
	for {
		err := write(context.WithoutCancel(ctx))
		if err == nil || ctx.Err() != nil {
			return
		}
		t.a.o.Log.Error().Err(err).Str("RULE", t.rule.Name).Msg("cannot store what became of an alert; trying on")
		sleep(ctx, storeRetry, nil)
	}
}

// giveUp takes an alert out that will not be delivered.
func (t *target) giveUp(ctx context.Context, row *store.AlertRow, out outcome) {
	e := server.HistoryEntry{
		At: time.Now().UTC(), Server: row.Alert.Server, ServerID: row.Alert.ServerID,
		Kind: server.HistoryAlert, What: "alert", To: server.AlertGivenUp, Code: server.CodeJobFailed,
		Detail: fmt.Sprintf("%s %s of rule %s for %s, after %d attempts: %s",
			row.Alert.Event, row.Alert.State, t.rule.Name, t.name, row.Attempts+1, out.why),
	}
	t.a.o.Log.Error().Str("RULE", t.rule.Name).Str("TARGET", t.name).Int64("ALERT", row.ID).Msg("an alert is given up: " + e.Detail)
	t.untilStored(ctx, func(ctx context.Context) error { return t.box.RemoveAlert(ctx, row.ID, e) })
}

// succeeded notes that the target took an alert.
func (t *target) succeeded() {
	t.fails = 0
	t.note("")
}

// failed notes that it did not, and says how long to leave it alone.
func (t *target) failed(out outcome) time.Duration {
	t.fails++
	t.note(out.why)
	return max(t.pause(t.fails), out.after)
}

// note keeps what doctor says of the target, and logs what is new of it.
func (t *target) note(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	log := t.a.o.Log.With().Str("RULE", t.rule.Name).Str("TARGET", t.name).Logger()
	switch {
	case why != "" && why != t.why:
		log.Warn().Msgf("alerts of rule %s do not reach %s, trying on: %s", t.rule.Name, t.name, why)
	case why == "" && t.why != "":
		log.Info().Msgf("alerts of rule %s reach %s again", t.rule.Name, t.name)
	}
	if t.why = why; why == "" {
		t.deliveredAt = time.Now().UTC().Truncate(time.Second)
	}
}

// health is how the target is, but for what waits.
func (t *target) health() AlertHealth {
	t.mu.Lock()
	defer t.mu.Unlock()
	return AlertHealth{Rule: t.rule.Name, Target: t.name, DeliveredAt: t.deliveredAt, Error: t.why}
}
