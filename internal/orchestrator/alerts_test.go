package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// webhook is a Probe whose only use is to deliver. answer says what the nth
// delivery (from 0) ends with; nil is delivered.
type webhook struct {
	mu     sync.Mutex
	got    []server.Alert
	wants  []probe.Delivery
	answer func(n int) error
	came   chan struct{}
}

func newWebhook(answer func(n int) error) *webhook {
	return &webhook{answer: answer, came: make(chan struct{}, 10_000)}
}

func (*webhook) Query(context.Context, probe.Query) (*probe.Answer, error) {
	return nil, &probe.Fault{Code: probe.FaultGone}
}

func (*webhook) RCON(context.Context, probe.Command) (*probe.Output, error) {
	return nil, &probe.Fault{Code: probe.FaultGone}
}

func (w *webhook) Deliver(_ context.Context, d probe.Delivery) (*probe.Delivered, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var a server.Alert
	if err := json.Unmarshal(d.Body, &a); err != nil {
		return nil, &probe.Fault{Code: probe.FaultInvalid}
	}
	var err error
	if w.answer != nil {
		err = w.answer(len(w.got))
	}
	w.got, w.wants = append(w.got, a), append(w.wants, d)
	w.came <- struct{}{}
	if err != nil {
		return nil, err
	}
	return &probe.Delivered{Status: 204}, nil
}

// texts are the deliveries so far.
func (w *webhook) texts() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.got {
		text := fmt.Sprintf("%s %s %s: %s", a.Rule, a.Event, a.State, a.Text)
		if a.Repeated {
			text += " (repeated)"
		}
		all = append(all, text)
	}
	return all
}

// await waits for n further deliveries.
func (w *webhook) await(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-w.came:
		case <-time.After(30 * time.Second):
			t.Fatalf("nothing more comes; so far %q", w.texts())
		}
	}
}

const secretPath = "T0KEN"

func opsRule(t *testing.T) server.AlertRule {
	t.Helper()
	address, err := server.NewWebhook("https://hooks.example.net/" + secretPath)
	if err != nil {
		t.Fatal(err)
	}
	return server.AlertRule{Name: "ops", On: server.AlertEvents(), URL: address, Format: server.FormatJSON}
}

func alertStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// alerting is an Orchestrator with a store, rules and one server that was seen to
// run, whose chronicle and alerts are at work until stop is called.
func alerting(t *testing.T, s *store.Store, hook Probe, rules ...server.AlertRule) (o *Orchestrator, r *record, stop func()) {
	t.Helper()
	settings := DefaultSettings()
	settings.Alerts = rules
	o = New(Options{Settings: settings, Store: s, Log: zerolog.Nop(), Probe: hook, Host: "box"})
	o.feed = newFeed(1, 1<<40)
	o.host.template = "/usr/lib/systemd/system/" + server.Template
	rows, err := s.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		cfg := server.DefaultConfig("a")
		cfg.Port = 27015
		row, _, err := s.CreateServer(t.Context(), store.ServerRow{Name: "a", Desired: server.DesiredRunning, Config: cfg},
			store.JobRow{Job: server.Job{Kind: server.JobInitialize, State: server.JobQueued}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetPhase(t.Context(), row.ID, server.PhaseReady); err != nil {
			t.Fatal(err)
		}
		row.Phase = server.PhaseReady
		rows = []store.ServerRow{row}
	}
	if err := o.alerts.load(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	r = newRecord(rows[0])
	o.mu.Lock()
	o.insert(r)
	o.mu.Unlock()
	for _, target := range o.alerts.targets {
		target.pause = func(int) time.Duration { return time.Millisecond }
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { o.chronicle.loop(ctx) })
	all.Go(func() { o.alerts.deliver(ctx) })
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	t.Cleanup(stop)
	return o, r, stop
}

// becomes lets the unit of r be seen so.
func (o *Orchestrator) becomes(r *record, active, sub string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := server.Unit{Load: "loaded", Active: active, Sub: sub, Result: "success"}
	if active == "active" {
		u.MainPID = 7
	}
	if active == "failed" {
		u.Result = "signal"
	}
	o.apply(r, u, time.Now(), server.BySignal)
}

// One alert for each transition, and none for what another daemon told of.
func TestAlertsOfAServer(t *testing.T) {
	t.Parallel()
	s, hook := alertStore(t), newWebhook(nil)
	quiet := opsRule(t)
	quiet.Name, quiet.Servers = "others", []string{"versus-*"}
	o, r, stop := alerting(t, s, hook, opsRule(t), quiet)
	o.becomes(r, "active", "running")
	o.becomes(r, "failed", "failed")
	o.becomes(r, "failed", "failed")
	hook.await(t, 1)
	stop()

	o, r, stop = alerting(t, s, hook, opsRule(t), quiet) // it was told of
	o.becomes(r, "failed", "failed")
	o.becomes(r, "active", "running")
	hook.await(t, 1)
	stop()

	o, r, stop = alerting(t, s, hook, opsRule(t), quiet) // it fell while nobody looked
	o.becomes(r, "inactive", "dead")
	hook.await(t, 1)
	o.mu.Lock()
	o.applyLink(r, false, false, server.BySignal)
	o.mu.Unlock()
	hook.await(t, 1)
	stop()
	want := []string{
		"ops down firing: a should run, and is failed, result signal",
		"ops down resolved: a runs again",
		"ops down firing: a should run, and is stopped",
		"ops down resolved: a is not to run any more, and is stopped",
	}
	if diff := cmp.Diff(want, hook.texts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	first := hook.got[0]
	if age := time.Since(first.At); age < 0 || age > time.Minute {
		t.Errorf("seen at %s", first.At)
	}
	first.At = time.Time{}
	wantFirst := server.Alert{
		Version: 1, ID: 1, Rule: "ops", Event: "down", State: "firing", Host: "box", Server: "a", ServerID: 1, Unit: "left4me-server@a.service",
		Desired: "running", ServerState: "failed", Drift: "down", Text: "a should run, and is failed, result signal",
	}
	if diff := cmp.Diff(wantFirst, first); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if d := hook.wants[0]; d.URL != "https://hooks.example.net/"+secretPath || d.AllowHTTP || d.AllowPrivate {
		t.Errorf("asked of the probe: %+v", d)
	}
}

// What is over in time is not told, and while a job is at work nothing is.
func TestAlertsWait(t *testing.T) {
	t.Parallel()
	s, hook := alertStore(t), newWebhook(nil)
	rule := opsRule(t)
	rule.After = time.Hour
	o, r, stop := alerting(t, s, hook, rule)
	o.becomes(r, "failed", "failed")
	o.becomes(r, "active", "running")
	o.mu.Lock()
	r.run = &run{o: o, rec: r, job: &server.Job{ID: 9, Kind: server.JobRestart, State: server.JobRunning}}
	o.mu.Unlock()
	o.becomes(r, "inactive", "dead")
	o.mu.Lock()
	r.run = nil
	o.mu.Unlock()
	o.becomes(r, "active", "running")
	o.becomes(r, "failed", "failed")
	o.chronicle.settle(t.Context())
	stop()
	waiting, err := s.WaitingAlerts(t.Context(), time.Now().Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if n := waiting[store.AlertTarget{Rule: "ops", Target: "webhook"}].Count; n != 1 || len(hook.texts()) != 0 {
		t.Errorf("%d wait, and told is %q", n, hook.texts())
	}
}

// What was to be told if it lasts, and came due while there was no daemon, is told
// only when the next one has seen that it lasts.
func TestAlertsThatCameDueUnseen(t *testing.T) {
	t.Parallel()
	rule := opsRule(t)
	rule.After = 5 * time.Minute
	for active, want := range map[string]string{"active": "", "failed": "ops down firing: as before"} {
		t.Run(active, func(t *testing.T) {
			t.Parallel()
			s, hook := alertStore(t), newWebhook(nil)
			_, _, stop := alerting(t, s, hook, rule) // makes the server
			stop()
			before := New(Options{Settings: Settings{Alerts: []server.AlertRule{rule}}, Store: s, Host: "box"})
			held := before.alerts.notices("server/1", "a", server.Alert{
				Event: server.AlertDown, State: server.AlertFiring, At: time.Now().Add(-6 * time.Minute), Server: "a", ServerID: 1, Text: "as before",
			})
			if err := s.AddAlerts(t.Context(), &store.Alerts{Notices: held}); err != nil {
				t.Fatal(err)
			}
			o, r, stop := alerting(t, s, hook, rule)
			o.becomes(r, active, "")
			if want != "" {
				hook.await(t, 1)
			}
			o.chronicle.settle(t.Context())
			stop()
			if got := strings.Join(hook.texts(), ", "); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
			if waiting, err := s.WaitingAlerts(t.Context(), time.Now().Add(time.Hour)); err != nil || len(waiting) != 0 {
				t.Error(waiting, err)
			}
		})
	}
}

// A server's healing that gives up, and a server that is deleted while it is down.
func TestAlertsOfGivingUpAndDeleting(t *testing.T) {
	t.Parallel()
	s, hook := alertStore(t), newWebhook(nil)
	o, r, _ := alerting(t, s, hook, opsRule(t))
	o.mu.Lock()
	cfg := *r.config
	cfg.Heal = server.HealFailed
	r.config = &cfg
	for range o.Settings.Heal.Limit {
		r.healing.attempts = append(r.healing.attempts, time.Now())
	}
	o.mu.Unlock()
	o.becomes(r, "failed", "failed")
	hook.await(t, 2)
	if err := (&run{o: o, rec: r}).forget(); err != nil {
		t.Fatal(err)
	}
	hook.await(t, 2)
	want := []string{
		"ops down firing: a should run, and is failed, result signal",
		"ops gave-up firing: left4med starts a no more by itself, after 5 starts within 60 min",
		"ops down resolved: a is deleted",
		"ops gave-up resolved: a is deleted",
	}
	if diff := cmp.Diff(want, hook.texts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A server that was told to be down is deleted by a daemon that did not tell so, and
// which is killed as soon as the server is gone.
func TestAlertsEndWithTheirServer(t *testing.T) {
	t.Parallel()
	s, hook := alertStore(t), newWebhook(nil)
	o, r, stop := alerting(t, s, hook, opsRule(t))
	o.becomes(r, "failed", "failed")
	hook.await(t, 1)
	stop()
	o, r, stop = alerting(t, s, hook, opsRule(t))
	stop() // nothing is written any more but what the job writes itself
	if err := (&run{o: o, rec: r}).forget(); err != nil {
		t.Fatal(err)
	}
	alerting(t, s, hook, opsRule(t))
	hook.await(t, 1)
	want := []string{"ops down firing: a should run, and is failed, result signal", "ops down resolved: a is deleted"}
	if diff := cmp.Diff(want, hook.texts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is not to be told yet of a server that is deleted never is.
func TestHeldAlertsEndWithTheirServer(t *testing.T) {
	t.Parallel()
	s := alertStore(t)
	rule := opsRule(t)
	rule.After = time.Hour
	o, r, _ := alerting(t, s, newWebhook(nil), rule)
	o.becomes(r, "failed", "failed")
	o.chronicle.settle(t.Context())
	if err := (&run{o: o, rec: r}).forget(); err != nil {
		t.Fatal(err)
	}
	if waiting, err := s.WaitingAlerts(t.Context(), time.Now().Add(2*time.Hour)); err != nil || len(waiting) != 0 {
		t.Error(waiting, err)
	}
}

// Every fault is tried again, marked when it may have arrived; one that is refused
// holds up no other, and nothing gives the address away.
func TestAlertsAreRetried(t *testing.T) {
	t.Parallel()
	leak := "https://hooks.example.net/" + secretPath
	faults := []probe.Fault{
		{Code: probe.FaultRefused}, {Code: probe.FaultUnreached}, {Code: probe.FaultTLS}, {Code: probe.FaultBusy}, {Code: probe.FaultAddress},
		{Code: probe.FaultStatus, Status: 429, RetryAfterMS: 1}, {Code: probe.FaultStatus, Status: 500}, {Code: probe.FaultSilent}, {Code: probe.FaultNetwork}, {Code: "new"},
	}
	s := alertStore(t)
	hook := newWebhook(func(n int) error {
		if n < len(faults) {
			f := faults[n]
			f.Detail = leak
			return &f
		}
		return nil
	})
	o, r, _ := alerting(t, s, hook, opsRule(t))
	o.becomes(r, "failed", "failed")
	hook.await(t, len(faults)+1)
	for i, a := range hook.got {
		if want := i > 6; a.Repeated != want || a.ID != 1 {
			t.Errorf("attempt %d: alert %d, repeated %v", i, a.ID, a.Repeated)
		}
	}
	target := o.alerts.targets[0]
	for i, f := range faults {
		f.Detail = leak
		out := target.outcomeOf(&f)
		if out.why == "" || strings.Contains(out.why, secretPath) {
			t.Errorf("fault %d: %q", i, out.why)
		}
		if out.refused || out.hopeless {
			t.Errorf("fault %d holds for the alert alone: %+v", i, out)
		}
	}
	gone := target.outcomeOf(&probe.Fault{Code: probe.FaultStatus, Status: 404})
	if diff := cmp.Diff(outcome{why: "the webhook answered 404", code: "status", status: 404, refused: true}, gone, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// One webhook that hangs holds up no other, nor the daemon's end for long.
func TestAlertsAreIndependent(t *testing.T) {
	t.Parallel()
	s, hook := alertStore(t), newWebhook(nil)
	other := opsRule(t)
	other.Name = "other"
	o, r, stop := alerting(t, s, hook, opsRule(t), other)
	o.alerts.targets[0].turn <- struct{}{} // as if one were on its way
	o.becomes(r, "failed", "failed")
	o.becomes(r, "active", "running")
	hook.await(t, 2)
	h := o.alerts.health(t.Context())
	stop()
	if diff := cmp.Diff([]string{"other down firing: a should run, and is failed, result signal", "other down resolved: a runs again"}, hook.texts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if h[0].Waiting != 2 || h[0].OldestAt.IsZero() || h[0].Error != "" {
		t.Errorf("health: %+v", h[0])
	}
}

// An alert that nothing took for a week is given up, which is on record.
func TestAlertIsGivenUp(t *testing.T) {
	t.Parallel()
	s, hook := alertStore(t), newWebhook(func(int) error { return &probe.Fault{Code: probe.FaultStatus, Status: 500} })
	o, _, stop := alerting(t, s, hook, opsRule(t))
	old := o.alerts.notices("server/1", "a", server.Alert{Event: server.AlertDown, State: server.AlertFiring, At: time.Now().Add(-alertPatience), Server: "a", ServerID: 1})
	o.chronicle.notify(old)
	hook.await(t, 1)
	stop()
	entries, err := s.History(t.Context(), server.HistoryFilter{Kinds: []server.HistoryKind{server.HistoryAlert}})
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	if want := "down firing of rule ops for webhook, after 1 attempts: the webhook answered 500"; entries[0].Detail != want || entries[0].Words() != "alert given-up" {
		t.Errorf("%+v", entries[0])
	}
	if waiting, err := s.WaitingAlerts(t.Context(), time.Now()); err != nil || len(waiting) != 0 {
		t.Error(waiting, err)
	}
}
