package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// outcome is what became of an attempt.
type outcome struct {
	why      string // it was not delivered; without any address
	code     string // the same for programs
	status   int    // the webhook's answer
	unsure   bool   // it may have arrived all the same
	refused  bool   // this alert was, not the target's service: others go before it
	hopeless bool   // trying again cannot help
	after    time.Duration
}

// Bounds of an attempt. When the daemon ends, one under way gets a moment to end
// well, so that an ordinary restart repeats nothing.
const (
	postTime  = 15 * time.Second
	hookTime  = 60 * time.Second
	lastGrace = 3 * time.Second
)

// within is a context for one attempt: it ends after limit, and a moment after
// ctx.
func within(ctx context.Context, limit time.Duration) (context.Context, func()) {
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() {
		sleep(inner, lastGrace, nil)
		cancel()
	})
	return inner, func() {
		stop()
		cancel()
	}
}

// post has left4med-probe send an alert to the rule's webhook.
func (t *target) post(ctx context.Context, alert server.Alert) outcome {
	if t.a.o.Probe == nil {
		return t.outcomeOf(&probe.Fault{Code: probe.FaultGone})
	}
	body := alert.Discord()
	if t.rule.Format == server.FormatJSON {
		text, err := json.Marshal(alert)
		if err != nil {
			return outcome{why: "it cannot be encoded", hopeless: true}
		}
		body = text
	}
	ctx, done := within(ctx, postTime)
	defer done()
	answer, err := t.a.o.Probe.Deliver(ctx, probe.Delivery{
		URL: t.rule.URL.Reveal(), Body: body, AllowHTTP: t.rule.AllowHTTP, AllowPrivate: t.rule.AllowPrivate,
	})
	if err != nil {
		return t.outcomeOf(err)
	}
	t.a.o.queries.noteDelivery(nil)
	return outcome{status: answer.Status}
}

// outcomeOf tells what a fault means. Its own words are not used: an address must
// not get into them by any way.
func (t *target) outcomeOf(err error) outcome {
	var f *probe.Fault
	if !errors.As(err, &f) {
		return outcome{why: "it took too long", code: string(probe.FaultSilent), unsure: true}
	}
	t.a.o.queries.noteDelivery(f)
	out := outcome{
		code: string(f.Code), status: f.Status,
		after: min(time.Duration(max(f.RetryAfterMS, 0))*time.Millisecond, time.Hour),
	}
	switch f.Code {
	case probe.FaultInvalid:
		out.why, out.refused = "left4med-probe does not take it for a request", true
	case probe.FaultRefused:
		out.why = "nothing listens at the webhook's address"
	case probe.FaultUnreached:
		out.why = "the webhook cannot be reached: its name is not known, or there is no way to it"
	case probe.FaultAddress:
		out.why = "the webhook's address is loopback, private or otherwise not of the internet; allow_private = true permits it"
	case probe.FaultTLS:
		out.why = "the webhook's certificate is not valid, or TLS failed"
	case probe.FaultBusy:
		out.why = "left4med-probe has too much to do"
	case probe.FaultRedirect:
		out.why, out.unsure = "the webhook redirects, which is not followed: set its final address", true
	case probe.FaultSilent:
		out.why, out.unsure = "the webhook did not answer in time", true
	case probe.FaultNetwork:
		out.why, out.unsure = "the connection to the webhook broke, or it does not speak HTTP", true
	case probe.FaultStatus:
		out.why = fmt.Sprintf("the webhook answered %d", f.Status)
		refused := f.Status >= 400 && f.Status < 500
		out.unsure = !refused
		out.refused = refused && f.Status != 408 && f.Status != 425 && f.Status != 429 // RFC 9110, RFC 8470, RFC 6585: later
	case probe.FaultGone:
		out.why, out.unsure = "left4med-probe does not answer", true
	default:
		out.why, out.unsure = "left4med-probe answered nonsense", true
	}
	return out
}

// startUnit starts the unit that the target means. Started is not enough: it is
// delivered when the unit has done its work, or works on it still after a minute.
func (t *target) startUnit(ctx context.Context, alert server.Alert) outcome {
	unit, err := server.HookUnit(t.name, alert)
	if err != nil {
		return outcome{why: fmt.Sprintf("%s cannot be started: %v", server.Quote(unit, 80), err), code: "invalid", hopeless: true}
	}
	ctx, done := within(ctx, hookTime)
	defer done()
	wait, err := t.a.o.Units.BeginHook(ctx, unit)
	if err != nil {
		t.a.o.Log.Debug().Err(err).Str("UNIT", unit).Msg("cannot start the unit of an alert")
		var answer *server.Error
		return outcome{
			why: "systemd does not start " + unit + "; `systemctl status` tells more of it", code: "unit",
			refused: errors.As(err, &answer) && !unreached(err),
		}
	}
	switch result, err := wait(ctx); {
	case errors.Is(err, context.DeadlineExceeded):
		return outcome{}
	case err != nil:
		return outcome{why: "the end of " + unit + " was not seen", code: "unit"}
	case result != unitctl.JobDone:
		return outcome{why: fmt.Sprintf("%s failed (%s); `journalctl -u %s` tells more", unit, result, unit), code: "unit", refused: true}
	}
	return outcome{}
}

// testTime bounds a test of the rules, and testTurn how long one waits for another.
const (
	testTime = 25 * time.Second
	testTurn = 2 * time.Second
)

// TestAlerts sends a test to every target, past what waits for it but not beside
// it, and says what came of each. It is not tried again.
func (o *Orchestrator) TestAlerts(ctx context.Context, who server.Requester) ([]AlertResult, error) {
	a := o.alerts
	if len(a.targets) == 0 {
		return nil, nil
	}
	turn := time.NewTimer(testTurn)
	defer turn.Stop()
	select {
	case a.testing <- struct{}{}:
		defer func() { <-a.testing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-turn.C:
		return nil, server.Errorf(server.CodeTooMany, "another test of the alerts is under way; ask again when it has ended")
	}
	o.noteChange(ctx, server.HistoryEntry{What: "test-alerts", By: &who, Detail: fmt.Sprintf("%d targets", len(a.targets))})
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	results := make([]AlertResult, len(a.targets))
	done := make(chan struct{})
	for i, t := range a.targets {
		go func() {
			results[i] = t.test(ctx)
			done <- struct{}{}
		}()
	}
	for range a.targets {
		<-done
	}
	return results, nil
}

func (t *target) test(ctx context.Context) AlertResult {
	alert := server.Alert{
		Version: server.AlertVersion, Rule: t.rule.Name, Event: server.AlertTest, State: server.AlertFiring, Test: true,
		At: time.Now().UTC().Truncate(time.Millisecond), Host: t.a.o.Host,
		Text: fmt.Sprintf("rule %s of left4med reaches you", t.rule.Name),
	}
	out := t.inTurn(ctx, alert)
	t.note(out.why)
	r := AlertResult{Rule: t.rule.Name, Target: t.name, OK: out.why == "", Status: out.status, Fault: out.code, Detail: out.why}
	if t.name != server.TargetWebhook {
		r.Target, _ = server.HookUnit(t.name, alert)
	}
	return r
}
