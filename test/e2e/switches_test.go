package e2e_test

import (
	"net/http"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestSwitches switches parts of the daemon off, and the daemon off and on.
func TestSwitches(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.running(t, "a", "b")
		t.Run("DaemonRestart", func(t *testing.T) { switchesDaemonRestart(t, l) })
		t.Run("EventsResume", func(t *testing.T) { switchesEventsResume(t, l) })
		t.Run("Resync", func(t *testing.T) { switchesResync(t, l) })
		t.Run("Availability", func(t *testing.T) { switchesAvailability(t, l) })
		t.Run("Jobs", func(t *testing.T) { switchesJobs(t, l) })
	})
}

// switchesDaemonRestart stops the daemon, kills it, and changes a server while
// it is away.
func switchesDaemonRestart(t *testing.T, l *lab) {
	runs := map[string]truth{"a": l.shown(t, "a"), "b": l.shown(t, "b")}
	l.systemctl(t, "restart", "left4med.service")
	l.systemctl(t, "kill", "--signal=KILL", "left4med.service")
	l.systemctl(t, "start", "left4med.service") // and not a second later, by itself
	same(t, "the games' runs", runs, map[string]truth{"a": told(l.agree(t, "a")), "b": told(l.agree(t, "b"))})

	l.systemctl(t, "stop", "left4med.service")
	l.systemctl(t, "disable", "--now", unit("a"))
	l.systemctl(t, "stop", unit("b"))
	l.systemctl(t, "start", "left4med.service")
	// The first look came before the daemon reported ready.
	same(t, "what changed meanwhile", map[string]moment{"a": down, "b": lost}, l.moments(t))
	l.MustCtl(t, "start", "a", "b")
}

// switchesEventsResume goes on with the events over a restart of the daemon.
func switchesEventsResume(t *testing.T, l *lab) {
	w := l.watch(t)
	l.systemctl(t, "stop", unit("b"))
	l.awaitMoment(t, "b", lost)
	before := w.all(t)
	last := before[len(before)-1].ID
	l.systemctl(t, "restart", "left4med.service")
	l.systemctl(t, "start", unit("b"))
	l.awaitMoment(t, "b", up)
	after := w.all(t)[len(before):]
	if len(after) == 0 {
		t.Fatal("nothing came after the restart")
	}
	reset := false
	for _, ev := range after {
		if ev.ID <= last {
			t.Errorf("the event %d comes after %d", ev.ID, last)
		}
		last, reset = ev.ID, reset || ev.Type == client.EventReset
	}
	same(t, "the reader was told to read everything again", true, reset)

	// Ids of another life, or of none, are too old or were never given.
	for _, id := range []uint64{1, last + 1<<40} {
		for ev, err := range l.api(t).Events(within(t, "a reset"), client.EventsOptions{After: id}) {
			if err != nil {
				t.Fatal(err)
			}
			same(t, "the first event", client.EventReset, ev.Type)
			break
		}
	}
}

// health is the daemon's word of itself.
func (l *lab) health(t *testing.T) *client.Health {
	t.Helper()
	h, err := l.api(t).Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func switchesResync(t *testing.T, l *lab) {
	same(t, "switched on", true, l.health(t).Resync.Enabled)
	l.configure(t, "[resync]\nenabled = false\n")
	h := l.health(t)
	same(t, "switched off", false, h.Resync.Enabled)
	same(t, "the first one was made all the same", false, h.Resync.LastAt.IsZero())
	contains(t, l.ctl(t, "doctor").Stdout, "resync", "switched off")
	contains(t, l.ctl(t, "list").Stderr, "the resync is switched off")
	l.systemctl(t, "stop", unit("a"))
	l.awaitMoment(t, "a", lost) // by signals
	same(t, "stale", false, l.server(t, "a").Stale)
	l.MustCtl(t, "start", "a")
	l.agree(t, "a")
}

func switchesJobs(t *testing.T, l *lab) {
	l.configure(t, "[jobs]\nenabled = false\n")
	before := l.traces(t)
	c := l.api(t)
	want := refusal{http.StatusServiceUnavailable, client.CodeJobsDisabled, ""}
	for what, err := range map[string]error{
		"start":  second(c.Start(t.Context(), "a")),
		"stop":   second(c.Stop(t.Context(), "a")),
		"delete": second(c.Delete(t.Context(), "a")),
		"create": second(c.Create(t.Context(), "c", client.ConfigPatch{})),
		"change": second(c.Change(t.Context(), "a", client.ConfigPatch{Map: new("c2m1_highway")})),
		"many":   second(c.Actions(t.Context(), client.ActionStop, []string{"a", "b"})),
	} {
		t.Run(what, func(t *testing.T) {
			refused(t, err, want, "[jobs] enabled = false", "/etc/left4me/left4med.toml")
		})
	}
	same(t, "l4d2ctl's exit code", 1, l.ctl(t, "stop", "a").Code)
	same(t, "what is on the host", before, l.traces(t))
	same(t, "health", false, l.health(t).Jobs.Enabled)
	contains(t, l.ctl(t, "doctor").Stdout, "jobs", "switched off")
	// The truth goes on.
	l.systemctl(t, "stop", unit("a"))
	l.awaitMoment(t, "a", lost)
	l.systemctl(t, "disable", "--no-reload", unit("a"))
	l.awaitMoment(t, "a", down)
}

// second is the error of a call whose value does not matter.
func second[T any](_ T, err error) error { return err }
