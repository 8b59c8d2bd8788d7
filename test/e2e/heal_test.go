package e2e_test

import (
	"slices"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestHealing lets servers fail that left4med is to start again.
func TestHealing(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newHealLab(t, release)
		t.Run("GivesUp", func(t *testing.T) { healingGivesUp(t, l) })
		t.Run("BeginsAnew", func(t *testing.T) { healingBeginsAnew(t, l) })
		t.Run("OnlyAlwaysAfterACleanStop", func(t *testing.T) { healingAfterACleanStop(t, l) })
		t.Run("SurvivesARestart", func(t *testing.T) { healingSurvivesARestart(t, l) })
	})
}

// healed creates and starts a server that is to be started again.
func (l *lab) healed(t *testing.T, name string, heal client.Heal) {
	t.Helper()
	l.MustCtl(t, "initialize", name, "--heal", string(heal))
	l.dropIn(t, name, "[Service]\nRestart=no\n")
}

// awaitHealing waits until the API tells this of a server's healing, the time of
// the next start left out.
func (l *lab) awaitHealing(t *testing.T, name string, want client.Healing) *client.Healing {
	t.Helper()
	return l.await(t, name, "healed so far", func(s *client.Server) bool {
		return s.Job == nil && s.Healing != nil && timeless(s.Healing) == want
	}).Healing
}

func timeless(h *client.Healing) client.Healing {
	out := *h
	out.NextAt = time.Time{}
	return out
}

// healingGivesUp has a server that crashes at every start.
func healingGivesUp(t *testing.T, l *lab) {
	l.healed(t, "sick", client.HealFailed)
	f := &faultLab{lab: l}
	for _, e := range f.newEntries(t) {
		f.read = e.ID
	}
	before := f.read
	w := l.watch(t)
	l.atStart(t, "sick", "exit 3")
	same(t, "the start", 6, l.ctl(t, "start", "sick").Code)
	l.awaitHealing(t, "sick", client.Healing{Attempt: 3, Limit: 3, GaveUp: true})
	l.awaitMoment(t, "sick", dead)
	l.agree(t, "sick")

	var shown []client.Healing
	for _, ev := range w.all(t) {
		if ev.Server == nil || ev.Server.Healing == nil {
			continue
		}
		h := ev.Server.Healing
		if h.GaveUp != h.NextAt.IsZero() {
			t.Errorf("an event told of %+v", h)
		}
		shown = append(shown, timeless(h))
	}
	same(t, "what the events told", []client.Healing{
		{Attempt: 1, Limit: 3}, {Attempt: 2, Limit: 3}, {Attempt: 3, Limit: 3}, {Attempt: 3, Limit: 3, GaveUp: true},
	}, slices.Compact(shown))

	f.compareHistory(t, fault{
		passing: []string{string(client.StateRunning)},
		rows: slices.Concat(failedStart(1, "root http"), []row{
			desiredRow("sick", client.DesiredRunning, byJob).during(1),
			// While the job is under way, it counts as starting.
			stateRow("sick", client.StateStopped, client.StateFailed, "result exit-code", byJob),
			driftRow("sick", client.DriftNone, client.DriftDown, byJob),
			healingRow("sick", "scheduled", "attempt 1 of 3, in 1 s"),
		}, failedStart(2, "left4med heal"), []row{
			healingRow("sick", "scheduled", "attempt 2 of 3, in 2 s"),
		}, failedStart(3, "left4med heal"), []row{
			healingRow("sick", "scheduled", "attempt 3 of 3, in 4 s"),
		}, failedStart(4, "left4med heal"), []row{
			healingRow("sick", "gave-up", "after 3 starts"),
		}),
	})
	f.read = before
	backedOff(t, f.newEntries(t))
}

// failedStart are the rows of a start of "sick" that fails.
func failedStart(job int, by string) []row {
	rows := jobRows(job, "sick", client.JobStart, client.JobFailed)
	rows[0].By, rows[1].By = by, by
	rows[1].Code, rows[1].Detail = client.CodeJobFailed, ".*exit-code.*"
	return rows
}

func healingRow(server, to, detail string) row {
	return row{Server: server, Kind: client.HistoryHealing, What: "heal", To: to, Detail: detail}
}

// backedOff wants each start to come so much later than it was set, or more on a
// busy machine.
func backedOff(t *testing.T, entries []client.HistoryEntry) {
	t.Helper()
	var scheduled time.Time
	pause := time.Second
	for _, e := range entries {
		switch {
		case e.Kind == client.HistoryHealing:
			scheduled = e.At
		case e.Kind == client.HistoryJob && e.To == string(client.JobQueued) && !scheduled.IsZero():
			if waited := e.At.Sub(scheduled); waited < pause*85/100 {
				t.Errorf("job %d came after %s, want %s less a tenth", e.Job, waited, pause)
			}
			pause *= 2
		}
	}
	same(t, "the pause after the last", 8*time.Second, pause)
}

// healingBeginsAnew has an operator who starts what was given up, after a restart
// of the daemon, which has not forgotten it.
func healingBeginsAnew(t *testing.T, l *lab) {
	l.systemctl(t, "restart", "left4med.service")
	same(t, "after a restart", &client.Healing{Attempt: 3, Limit: 3, GaveUp: true}, l.server(t, "sick").Healing)
	same(t, "the operator's start", 6, l.ctl(t, "start", "sick").Code)
	l.awaitHealing(t, "sick", client.Healing{Attempt: 1, Limit: 3})
	l.MustCtl(t, "stop", "sick")
	s := l.awaitMoment(t, "sick", down)
	same(t, "a stopped one", (*client.Healing)(nil), s.Healing)
}

// healingAfterACleanStop stops servers in a shell without disabling them.
func healingAfterACleanStop(t *testing.T, l *lab) {
	l.healed(t, "always", client.HealAlways)
	l.healed(t, "failed", client.HealFailed)
	l.MustCtl(t, "start", "always", "failed")
	before := l.agree(t, "always").InvocationID
	l.systemctl(t, "stop", unit("failed"))
	s := l.awaitMoment(t, "failed", lost)
	same(t, "of one that heals failures", (*client.Healing)(nil), s.Healing)
	l.systemctl(t, "stop", unit("always"))
	l.await(t, "always", "running again", func(s *client.Server) bool {
		return s.Job == nil && momentOf(s) == up && s.InvocationID != before
	})
	l.agree(t, "always")
	s = l.awaitMoment(t, "failed", lost)
	same(t, "of one that heals failures, afterwards", (*client.Healing)(nil), s.Healing)
	jobs, err := l.api(t).Jobs(t.Context(), client.JobsFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var healed []string
	for _, job := range jobs {
		if job.RequestedBy.Via == "heal" && job.Server != "sick" {
			healed = append(healed, string(job.Server)+" "+jobEnd(job))
		}
	}
	same(t, "the starts", []string{"always succeeded"}, healed)

	// One that fails is healed by both.
	l.MustCtl(t, "start", "failed")
	before = l.agree(t, "failed").InvocationID
	l.systemctl(t, "kill", "--signal=SEGV", unit("failed"))
	l.await(t, "failed", "running again", func(s *client.Server) bool {
		return s.Job == nil && momentOf(s) == up && s.InvocationID != before
	})
	l.agree(t, "failed")
}

// healingSurvivesARestart ends the daemon while a start is due: the next one goes
// on where it was.
func healingSurvivesARestart(t *testing.T, l *lab) {
	l.configure(t, "[heal]\nfirst = \"10m\"\nmax = \"1h\"\nlimit = 3\n")
	l.systemctl(t, "stop", unit("always"))
	due := l.awaitHealing(t, "always", client.Healing{Attempt: 2, Limit: 3})
	l.systemctl(t, "restart", "left4med.service")
	l.awaitMoment(t, "always", lost)
	same(t, "after a restart", due, l.server(t, "always").Healing)
	l.systemctl(t, "kill", "--signal=KILL", "left4med.service")
	l.systemctl(t, "start", "left4med.service")
	same(t, "after it was killed", due, l.server(t, "always").Healing)
	l.MustCtl(t, "stop", "always")
	same(t, "after a stop", (*client.Healing)(nil), l.awaitMoment(t, "always", down).Healing)
}
