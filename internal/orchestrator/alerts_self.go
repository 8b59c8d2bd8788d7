package orchestrator

import (
	"context"
	"fmt"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// selfEvery is how often the daemon looks at itself for alerts. What two looks in
// a row found holds: systemd re-executes itself in less.
const selfEvery = 5 * time.Second

// watchSelf tells the rules of what ails the daemon, until ctx ends.
func (o *Orchestrator) watchSelf(ctx context.Context) {
	if len(o.alerts.rules) == 0 {
		return
	}
	tick := time.NewTicker(selfEvery)
	defer tick.Stop()
	w := selfWatch{o: o, before: map[string]bool{}, told: map[string]bool{}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		checks := o.lookAtSelf(ctx)
		if ctx.Err() != nil {
			return
		}
		w.look(ctx, checks)
	}
}

// lookAtSelf are the checks that make the daemon degraded, and whether
// left4med-probe answers.
func (o *Orchestrator) lookAtSelf(ctx context.Context) []Check {
	h := Health{Resync: o.resync.health(), Database: o.databaseHealth(ctx)}
	o.mu.RLock()
	host, link := o.host, o.link
	o.mu.RUnlock()
	h.Systemd = SystemdHealth{Connected: link.connected, Since: link.since.UTC(), Version: link.version, Error: link.err}
	h.Jobs.Enabled = o.Settings.JobsEnabled
	return append(ownChecks(h, host), checkProbe(o.queries.probeHealth()))
}

// selfWatch is what was found, and told, of each check.
type selfWatch struct {
	o      *Orchestrator
	before map[string]bool // by the last look
	told   map[string]bool // that it is well
}

// look compares checks with those before.
func (w *selfWatch) look(ctx context.Context, checks []Check) {
	var notices []store.Notice
	for _, c := range checks {
		was, looked := w.before[c.Name]
		w.before[c.Name] = c.OK
		well, known := w.told[c.Name]
		if !looked || was != c.OK || known && well == c.OK {
			continue
		}
		w.told[c.Name] = c.OK
		of := w.o.alerts.notices(subjectDaemon+c.Name, "", selfAlert(c))
		if c.Name == checkedDatabase && !c.OK {
			w.o.alerts.sendNow(ctx, of)
		}
		notices = append(notices, of...)
	}
	if len(notices) > 0 {
		w.o.chronicle.notify(notices)
	}
}

func selfAlert(c Check) server.Alert {
	text := fmt.Sprintf("left4med's check %s found: %s", c.Name, c.Found)
	if !c.OK && c.Cure != "" {
		text += "; what may help: " + c.Cure
	}
	return server.Alert{Event: server.AlertDegraded, State: stateOf(!c.OK), At: time.Now(), Check: c.Name, Text: server.Visible(text)}
}

// sendNow sends alerts that cannot be stored, once and without a promise: the
// database is what they tell of. When it can be written again they are delivered
// as all others, marked as repeated. A rule that wants to know only of what lasts is
// told then, if it does.
func (a *alerts) sendNow(ctx context.Context, notices []store.Notice) {
	for i, n := range notices {
		if n.Due.After(n.Alert.At) {
			continue
		}
		notices[i].Sent = true
		for _, t := range a.targets {
			if t.rule.Name != n.Alert.Rule || len(n.Targets) == 0 {
				continue
			}
			a.o.jobs.Go(func() {
				t.note(t.inTurn(ctx, n.Alert).why)
			})
		}
	}
}
