package orchestrator

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// What two looks in a row find is told; a blink is not.
func TestAlertsOfTheDaemon(t *testing.T) {
	t.Parallel()
	s, hook := alertStore(t), newWebhook(nil)
	some := opsRule(t)
	some.Servers = []string{"versus-*"} // concerns servers alone
	o, _, stop := alerting(t, s, hook, some)
	w := selfWatch{o: o, before: map[string]bool{}, told: map[string]bool{}}
	look := func(ok bool) {
		c := Check{Name: "systemd", OK: ok, Found: "connected"}
		if !ok {
			c.Found, c.Cure = "no connection", "systemctl restart left4med.service"
		}
		w.look(t.Context(), []Check{c, {Name: "resync", OK: true}})
	}
	for _, ok := range []bool{true, true, false, true, true, false, false, false} {
		look(ok)
	}
	hook.await(t, 1)
	look(true)
	look(true)
	hook.await(t, 1)
	stop()
	want := []string{
		"ops degraded firing: left4med's check systemd found: no connection; what may help: systemctl restart left4med.service",
		"ops degraded resolved: left4med's check systemd found: connected",
	}
	if diff := cmp.Diff(want, hook.texts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if a := hook.got[0]; a.Check != "systemd" || a.Server != "" || a.ServerID != 0 {
		t.Errorf("%+v", a)
	}
}

// Of a database that cannot be written the rules are told at once, without it; and
// again, marked, when it can. One that wants to know of what lasts is not.
func TestAlertsOfTheDatabase(t *testing.T) {
	t.Parallel()
	s, hook := alertStore(t), newWebhook(nil)
	patient := opsRule(t)
	patient.Name, patient.After = "patient", time.Hour
	o, _, stop := alerting(t, s, hook, opsRule(t), patient)
	w := selfWatch{o: o, before: map[string]bool{}, told: map[string]bool{}}
	broken := []Check{{Name: checkedDatabase, Found: "no space"}}
	w.look(t.Context(), broken)
	w.look(t.Context(), broken)
	hook.await(t, 2) // here it can be written after all
	o.jobs.Wait()
	o.chronicle.settle(t.Context())
	stop()
	text := "ops degraded firing: left4med's check database found: no space"
	got := hook.texts()
	if len(got) != 2 || (got[0] != text || got[1] != text+" (repeated)") && (got[1] != text || got[0] != text+" (repeated)") {
		t.Errorf("told: %q", got)
	}
	waiting, err := s.WaitingAlerts(t.Context(), time.Now().Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if n := waiting[store.AlertTarget{Rule: "patient", Target: "webhook"}].Count; n != 1 {
		t.Errorf("%d wait for who is told only of what lasts", n)
	}
}

// Orphans are told of once, also those that were there before the rule was.
func TestAlertsOfOrphans(t *testing.T) {
	t.Parallel()
	s, hook := alertStore(t), newWebhook(nil)
	o, _, stop := alerting(t, s, hook, opsRule(t))
	resync := func(o *Orchestrator, instances ...string) {
		known := map[string]*orphan{}
		for _, i := range instances {
			known[i] = &orphan{instance: i, files: true, since: time.Now(), unit: unloaded(server.Unit{})}
		}
		o.mu.Lock()
		o.swapOrphans(known, time.Now())
		o.mu.Unlock()
		o.storeOrphans(t.Context())
	}
	o.mu.Lock()
	o.loadOrphans(map[string]time.Time{unitOf("old"): time.Now()})
	o.mu.Unlock()
	resync(o, "old", "lost")
	resync(o, "old", "lost")
	hook.await(t, 2)
	stop()
	o, _, stop = alerting(t, s, hook, opsRule(t))
	o.mu.Lock()
	o.loadOrphans(map[string]time.Time{unitOf("old"): time.Now(), unitOf("lost"): time.Now()})
	o.mu.Unlock()
	resync(o, "old")
	hook.await(t, 1)
	stop()
	want := []string{
		"ops orphan firing: lost belongs to no server: an instance's directory",
		"ops orphan firing: old belongs to no server: an instance's directory",
		"ops orphan resolved: lost, which belonged to no server, is gone",
	}
	if diff := cmp.Diff(want, hook.texts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A test goes to every target, says of each what came of it, and leaves nothing
// waiting.
func TestTestOfAlerts(t *testing.T) {
	t.Parallel()
	s := alertStore(t)
	hook := newWebhook(func(n int) error { return &probe.Fault{Code: probe.FaultStatus, Status: 500, Detail: secretPath} })
	o, _, _ := alerting(t, s, hook, opsRule(t))
	got, err := o.TestAlerts(t.Context(), server.Requester{UID: 1000, User: "kim", Via: server.ViaHTTP})
	if err != nil {
		t.Fatal(err)
	}
	want := []AlertResult{{Rule: "ops", Target: "webhook", Status: 500, Fault: "status", Detail: "the webhook answered 500"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if a := hook.got[0]; !a.Test || a.Event != server.AlertTest || a.ID != 0 {
		t.Errorf("%+v", a)
	}
	wantHealth := []AlertHealth{{Rule: "ops", Target: "webhook", Error: "the webhook answered 500"}}
	health := o.alerts.health(t.Context())
	if diff := cmp.Diff(wantHealth, health); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	check := Check{
		Name: "alerts", LookedAt: "what is to be told by [[alerts]] in the settings",
		Found: "nothing waits; not delivered: ops, webhook: the webhook answered 500", Cure: "l4d2ctl doctor --alerts",
	}
	if diff := cmp.Diff(check, checkAlerts(health)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	entries, err := s.History(t.Context(), server.HistoryFilter{Kinds: []server.HistoryKind{server.HistoryChange}})
	if err != nil || len(entries) != 1 || entries[0].What != "test-alerts" || entries[0].By.User != "kim" {
		t.Error(entries, err)
	}
}

// Two who test at once both are served; without rules there is nothing to do.
func TestTestsOfAlertsTakeTurns(t *testing.T) {
	t.Parallel()
	o, _, _ := alerting(t, alertStore(t), newWebhook(nil), opsRule(t))
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if got, err := o.TestAlerts(t.Context(), server.Requester{}); err != nil || len(got) != 1 || !got[0].OK {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	both.Wait()
	none, _, _ := observed(t)
	if got, err := none.TestAlerts(t.Context(), server.Requester{}); err != nil || len(got) != 0 {
		t.Errorf("without rules: %+v, %v", got, err)
	}
}
