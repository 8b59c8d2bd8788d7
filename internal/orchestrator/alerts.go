package orchestrator

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// alerts tells webhooks and units what the rules in the settings ask for. What is
// to be told is stored in the transaction that stores what was seen; from there a
// loop for each target delivers it, so that one that hangs holds up no other.
type alerts struct {
	o       *Orchestrator
	rules   []server.AlertRule
	targets []*target

	mu    sync.Mutex
	woken chan struct{} // closed when alerts were stored

	testing chan struct{} // holds a value while a test is under way
}

func newAlerts(o *Orchestrator) *alerts {
	a := &alerts{o: o, rules: o.Settings.Alerts, woken: make(chan struct{}), testing: make(chan struct{}, 1)}
	for i := range a.rules {
		for _, name := range a.rules[i].Targets() {
			a.targets = append(a.targets, newTarget(a, &a.rules[i], name))
		}
	}
	return a
}

// firstLook is how long the subject of an alert that is told only if it lasts may
// take until a daemon that starts can judge it. After a boot that is when systemd
// has come to the end of its start.
const firstLook = 10 * time.Minute

// load drops what the settings have no rule for any more, and what is known of
// servers that are gone. What was to be told if it lasts waits until that is known:
// it may have ended while no daemon looked.
func (a *alerts) load(ctx context.Context, rows []store.ServerRow) error {
	var targets []store.AlertTarget
	for _, t := range a.targets {
		targets = append(targets, store.AlertTarget{Rule: t.rule.Name, Target: t.name})
	}
	there := map[string]bool{}
	for _, row := range rows {
		there[serverSubject(row.ID)] = true
	}
	removed, err := a.o.Store.KeepAlerts(ctx, targets, func(subject string) bool {
		return there[subject] || !strings.HasPrefix(subject, subjectServer)
	})
	if err != nil {
		return fmt.Errorf("cannot read the alerts: %w", err)
	}
	for t, n := range removed {
		a.o.Log.Warn().Int64("alerts", n).Str("RULE", t.Rule).Str("TARGET", t.Target).
			Msg("alerts are dropped: the settings do not have the rule, or its target, any more")
	}
	if err := a.o.Store.HoldAlerts(ctx, time.Now().Add(firstLook)); err != nil {
		return fmt.Errorf("cannot hold alerts back: %w", err)
	}
	return nil
}

// with stores notices together with something else, and has them delivered.
func (a *alerts) with(notices []store.Notice, write func(*store.Alerts) error) error {
	set := store.Alerts{Notices: notices}
	if err := write(&set); err != nil || len(notices) == 0 {
		return err
	}
	for _, e := range set.Dropped {
		a.o.logEntry(e, nil)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.woken)
	a.woken = make(chan struct{})
	return nil
}

// wakes is closed when there is more to deliver.
func (a *alerts) wakes() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.woken
}

// deliver runs the targets until ctx ends.
func (a *alerts) deliver(ctx context.Context) {
	var all sync.WaitGroup
	for _, t := range a.targets {
		all.Go(func() { t.loop(ctx) })
	}
	all.Wait()
}

// health is how the targets are; nil without rules.
func (a *alerts) health(ctx context.Context) []AlertHealth {
	if len(a.targets) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	waiting, err := a.o.Store.WaitingAlerts(ctx, time.Now())
	if err != nil {
		a.o.Log.Warn().Err(err).Msg("cannot say how many alerts wait")
	}
	all := make([]AlertHealth, len(a.targets))
	for i, t := range a.targets {
		w := waiting[store.AlertTarget{Rule: t.rule.Name, Target: t.name}]
		all[i] = t.health()
		all[i].Waiting, all[i].OldestAt = w.Count, w.Oldest
	}
	return all
}

func checkAlerts(all []AlertHealth) Check {
	c := Check{Name: "alerts", OK: true, LookedAt: "what is to be told by [[alerts]] in the settings"}
	waiting, oldest := 0, time.Time{}
	var wrong []string
	for _, h := range all {
		waiting += h.Waiting
		if h.Waiting > 0 && (oldest.IsZero() || h.OldestAt.Before(oldest)) {
			oldest = h.OldestAt
		}
		if h.Error != "" {
			wrong = append(wrong, fmt.Sprintf("%s, %s: %s", h.Rule, h.Target, h.Error))
		}
	}
	switch {
	case waiting == 0:
		c.Found = "nothing waits"
	default:
		c.Found = fmt.Sprintf("%d wait, the oldest for %s", waiting, server.Span(time.Since(oldest)))
	}
	if len(wrong) > 0 {
		c.OK, c.Cure = false, "l4d2ctl doctor --alerts"
		c.Found += "; not delivered: " + someOf(wrong)
	}
	return c
}

// Subjects of notices, of which the store knows what the rules were told.
const (
	subjectServer = "server/"
	subjectOrphan = "orphan/"
	subjectDaemon = "daemon/"
)

func serverSubject(id int64) string { return subjectServer + strconv.FormatInt(id, 10) }

// told is what the rules were told of a server.
type told struct{ down, gaveUp bool }

// notices are those of one alert, for each rule that is concerned. The end of
// something goes to all that may have been told of it: the store knows which were.
func (a *alerts) notices(subject, name string, alert server.Alert) []store.Notice {
	var all []store.Notice
	alert.Version, alert.Host, alert.At = server.AlertVersion, a.o.Host, alert.At.UTC().Truncate(time.Millisecond)
	for i := range a.rules {
		rule := &a.rules[i]
		n := store.Notice{Subject: subject, Alert: alert, Due: alert.At}
		n.Alert.Rule = rule.Name
		switch wants := rule.Wants(alert.Event, name); {
		case alert.State == server.AlertFiring && !wants:
			continue
		case alert.State == server.AlertFiring:
			n.Targets, n.Due = rule.Targets(), alert.At.Add(rule.After)
		case wants && rule.Wants(server.AlertRecovered, name):
			n.Targets = rule.Targets()
		}
		all = append(all, n)
	}
	return all
}

// noticesOf are what the rules are to be told of r, which they were not told yet.
// While it is on its way somewhere they are told nothing. What a daemon told
// before, the store knows. The caller holds o.mu.
func (o *Orchestrator) noticesOf(r *record) []store.Notice {
	if len(o.alerts.rules) == 0 || o.recovering || r.unsettled() || o.records[r.row.Name] != r {
		return nil
	}
	now := told{down: r.isDown(), gaveUp: r.healing.gaveUp}
	was := r.told
	r.told = &now
	var all []store.Notice
	if was == nil || was.down != now.down {
		all = append(all, o.serverNotices(r, server.AlertDown, now.down, o.downText(r, now.down))...)
	}
	if was == nil || was.gaveUp != now.gaveUp {
		all = append(all, o.serverNotices(r, server.AlertGaveUp, now.gaveUp, o.gaveUpText(r, now.gaveUp))...)
	}
	return all
}

// noticesOfEnd are for a server that is gone. What a rule was told of it, perhaps
// by the daemon before, the store knows. The caller holds o.mu.
func (o *Orchestrator) noticesOfEnd(r *record) []store.Notice {
	text := string(r.row.Name) + " is deleted"
	return append(o.serverNotices(r, server.AlertDown, false, text), o.serverNotices(r, server.AlertGaveUp, false, text)...)
}

func (o *Orchestrator) serverNotices(r *record, event server.AlertEvent, begins bool, text string) []store.Notice {
	return o.alerts.notices(serverSubject(r.row.ID), string(r.row.Name), server.Alert{
		Event: event, State: stateOf(begins), At: time.Now(),
		Server: string(r.row.Name), ServerID: r.row.ID, Unit: r.row.Name.Unit(),
		Desired: r.desired(), ServerState: r.state(), Drift: r.drift, Text: text,
	})
}

func stateOf(begins bool) server.AlertState {
	if begins {
		return server.AlertFiring
	}
	return server.AlertResolved
}

// isDown says whether r should run and does not, for whatever reason, or crashes
// again and again.
func (r *record) isDown() bool {
	switch r.drift {
	case server.DriftDown, server.DriftFlapping:
		return true
	case server.DriftMasked, server.DriftMissing:
		return r.enabled && (r.state() == server.StateStopped || r.state() == server.StateFailed)
	}
	return false
}

func (o *Orchestrator) downText(r *record, down bool) string {
	name, state := string(r.row.Name), r.state()
	switch {
	case !down && state == server.StateRunning:
		return name + " runs again"
	case !down && !r.enabled:
		return fmt.Sprintf("%s is not to run any more, and is %s", name, state)
	case !down:
		return fmt.Sprintf("%s is %s", name, state)
	case r.drift == server.DriftFlapping:
		return fmt.Sprintf("%s crashes again and again: systemd restarted it more than %d times within %s",
			name, o.Settings.FlapRestarts, server.Span(o.Settings.FlapWindow))
	}
	text := fmt.Sprintf("%s should run, and is %s", name, state)
	if detail := stateDetail(r, false); detail != "" {
		text += ", " + detail
	}
	switch r.drift {
	case server.DriftMasked:
		text += "; its unit is masked"
	case server.DriftMissing:
		text += "; its files or the unit's template are gone"
	}
	return text
}

func (o *Orchestrator) gaveUpText(r *record, gaveUp bool) string {
	switch name := string(r.row.Name); {
	case gaveUp:
		return fmt.Sprintf("left4med starts %s no more by itself, after %s within %s", name, server.Starts(len(r.healing.attempts)), server.Span(o.Settings.Heal.Window))
	case r.state() == server.StateRunning:
		return name + " runs again"
	default:
		return name + " is no longer given up"
	}
}

// orphanNotices tell that an orphan was found, or is none any more. The caller
// holds o.mu.
func (o *Orchestrator) orphanNotices(n *orphan, found bool, at time.Time) []store.Notice {
	name := server.Visible(n.instance)
	alert := server.Alert{
		Event: server.AlertOrphan, State: stateOf(found), At: at, Server: name, Unit: unitOf(n.instance),
		Text: fmt.Sprintf("%s belongs to no server: %s", name, n.words()),
	}
	switch {
	case found:
		alert.ServerState = server.DeriveState(n.unit)
	case o.records[server.Name(n.instance)] != nil:
		alert.Text = name + " is a server now"
	default:
		alert.Text = name + ", which belonged to no server, is gone"
	}
	return o.alerts.notices(subjectOrphan+unitOf(n.instance), n.instance, alert)
}
