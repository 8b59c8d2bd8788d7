package e2e_test

import (
	"slices"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
)

// switchesAvailability has a server stopped, killed and left alone while the daemon
// is there and while it is not, and wants told what was seen and what was not.
func switchesAvailability(t *testing.T, l *lab) {
	l.configure(t, "[resources]\ninterval = \"1s\"\n")
	away := func(deed func()) {
		l.systemctl(t, "stop", "left4med.service")
		deed()
		l.systemctl(t, "start", "left4med.service")
	}
	before := len(l.spans(t, "b")) - 1 // the last of them goes on

	l.systemctl(t, "stop", unit("b"))
	l.awaitMoment(t, "b", lost)
	l.MustCtl(t, "start", "b")
	l.systemctl(t, "kill", "--signal=KILL", "--kill-whom=main", unit("b"))
	l.await(t, "b", "killed", func(s *client.Server) bool { return s.State == client.StateRestarting })
	l.systemctl(t, "start", unit("b")) // and not five seconds later, by itself
	l.awaitMoment(t, "b", up)
	away(func() { l.systemctl(t, "restart", unit("b")) }) // its new run began at a time that systemd knows
	away(func() { l.systemctl(t, "stop", unit("b")) })    // and this one ended at one that it does not
	l.awaitMoment(t, "b", lost)
	l.MustCtl(t, "start", "b")

	const unseen = "unknown: left4med was not running"
	want := []string{
		"up*", "down*: stopped", "up*", "down*: restarting, result signal", "up*", unseen, "up*", unseen, "down*: stopped", "up*",
	}
	same(t, "what it was", want, l.spans(t, "b")[before:])
	a, err := l.api(t).Availability(t.Context(), "b", 1)
	if err != nil {
		t.Fatal(err)
	}
	if a.Ratio == nil || *a.Ratio <= 0 || *a.Ratio >= 1 || a.Unknown <= 0 || a.Wanted < a.Up {
		t.Errorf("the sums: %+v", a)
	}

	// A daemon that ends stores the minute that it is at. A sample is no event.
	ctx := within(t, "a second sample")
	for l.server(t, "b").CPUPercent == nil {
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	away(func() {})
	same(t, "what it was, after its run went on unseen", want, l.spans(t, "b")[before:])
	series, err := l.api(t).Series(t.Context(), "b", 1)
	if err != nil {
		t.Fatal(err)
	}
	known := func(v *float64) bool { return v != nil }
	if !slices.ContainsFunc(series.CPU, known) || len(series.At) != len(series.CPU) || series.StepSeconds != 60 {
		t.Errorf("the series: %+v", series)
	}
	contains(t, l.ctl(t, "show", "b", "--series").Stdout, "availability", " since it was created", "cpu  ", "over 24h")
}

// spans are what a server was, one after the other; * is wanted.
func (l *lab) spans(t *testing.T, name string) []string {
	t.Helper()
	a, err := l.api(t).Availability(t.Context(), name, 1)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range a.Spans {
		line := string(s.State)
		if s.Wanted {
			line += "*"
		}
		if s.Reason != "" {
			line += ": " + s.Reason
		}
		all = append(all, line)
	}
	return all
}
