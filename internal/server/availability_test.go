package server

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dawn is when the days of these tests begin; at is so many minutes later.
var dawn = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return dawn.Add(time.Duration(minutes) * time.Minute) }

func became(minute int, from, to State, detail string) HistoryEntry {
	return HistoryEntry{At: at(minute), Kind: HistoryState, From: string(from), To: string(to), Detail: detail}
}

// foundSince is a state that was seen at a minute, and had begun before.
func foundSince(minute, since int, from, to State) HistoryEntry {
	e := became(minute, from, to, "")
	e.Since = at(since)
	return e
}

func meant(minute int, to Desired) HistoryEntry {
	from := DesiredRunning
	if to == from {
		from = DesiredStopped
	}
	return HistoryEntry{At: at(minute), Kind: HistoryDesired, From: string(from), To: string(to)}
}

// told writes an availability as a test can read it: a span's minutes, what it was,
// * for wanted, and why.
func told(a Availability) []string {
	minute := func(t time.Time) float64 { return t.Sub(dawn).Minutes() }
	lines := []string{}
	for _, s := range a.Spans {
		line := fmt.Sprintf("%v-%v %s", minute(s.From), minute(s.To), s.State)
		if s.Wanted {
			line += "*"
		}
		if s.Reason != "" {
			line += ": " + s.Reason
		}
		lines = append(lines, line)
	}
	ratio := "none"
	if a.Ratio != nil {
		ratio = fmt.Sprintf("%.3f", *a.Ratio)
	}
	return append(lines, fmt.Sprintf("wanted %v up %v unknown %v ratio %s", a.Wanted/60, a.Up/60, a.Unknown/60, ratio))
}

func TestAvailability(t *testing.T) {
	t.Parallel()
	watched := []Watch{{From: at(-60), Until: at(100), Boot: "1"}}
	// Nobody looked from 40 to 60.
	away := []Watch{{From: at(-60), Until: at(40), Boot: "1", Ended: WatchStopped}, {From: at(60), Until: at(100), Boot: "1"}}
	running := Record{State: StateRunning, Desired: DesiredRunning, Watches: watched}
	with := func(r Record, entries ...HistoryEntry) Record {
		r.Entries = entries
		return r
	}
	for name, c := range map[string]struct {
		record Record
		want   []string
	}{
		"it ran all the time": {running, []string{
			"0-100 up*",
			"wanted 100 up 100 unknown 0 ratio 1.000",
		}},
		"it is not meant to run": {Record{State: StateStopped, Desired: DesiredStopped, Watches: watched}, []string{
			"0-100 stopped",
			"wanted 0 up 0 unknown 0 ratio none",
		}},
		"it crashed and came back": {with(running,
			became(10, StateRunning, StateRestarting, "result signal"),
			became(11, StateRestarting, StateStarting, ""),
			became(12, StateStarting, StateRunning, "pid 7"),
			HistoryEntry{At: at(13), Kind: HistoryDrift, From: "none", To: "down"},
		), []string{
			"0-10 up*", "10-12 down*: restarting, result signal", "12-100 up*",
			"wanted 100 up 98 unknown 0 ratio 0.980",
		}},
		"it was down for hours, and the first of it was the stop": {with(running,
			became(10, StateRunning, StateStopping, ""),
			became(11, StateStopping, StateStopped, ""),
			became(90, StateStopped, StateStarting, ""),
			became(91, StateStarting, StateRunning, "pid 7"),
		), []string{
			"0-10 up*", "10-91 down*: stopped", "91-100 up*",
			"wanted 100 up 19 unknown 0 ratio 0.190",
		}},
		"it was given up": {with(Record{State: StateFailed, Desired: DesiredRunning, Watches: watched},
			became(10, StateRunning, StateRestarting, "result signal"),
			became(20, StateRestarting, StateFailed, "result start-limit-hit"),
		), []string{
			"0-10 up*", "10-100 down*: failed, result start-limit-hit",
			"wanted 100 up 10 unknown 0 ratio 0.100",
		}},
		"it was stopped on purpose, and started": {with(running,
			meant(50, DesiredStopped),
			became(50, StateRunning, StateStopping, ""),
			became(51, StateStopping, StateStopped, ""),
			meant(80, DesiredRunning),
			became(80, StateStopped, StateStarting, ""),
			became(81, StateStarting, StateRunning, "pid 7"),
		), []string{
			"0-50 up*", "50-80 stopped", "80-81 down*: starting", "81-100 up*",
			"wanted 70 up 69 unknown 0 ratio 0.986",
		}},
		"it runs, and is not enabled": {with(running, meant(75, DesiredStopped)), []string{
			"0-75 up*", "75-100 up",
			"wanted 75 up 75 unknown 0 ratio 1.000",
		}},
		"the same run before and after nobody looked": {Record{State: StateRunning, Desired: DesiredRunning, Watches: away}, []string{
			"0-100 up*",
			"wanted 100 up 100 unknown 0 ratio 1.000",
		}},
		"down before and after nobody looked": {Record{State: StateFailed, Desired: DesiredRunning, Watches: away}, []string{
			"0-40 down*: failed", "40-60 unknown: left4med was not running", "60-100 down*: failed",
			"wanted 80 up 0 unknown 20 ratio 0.000",
		}},
		"it failed while nobody looked": {with(Record{State: StateFailed, Desired: DesiredRunning, Watches: away},
			foundSince(60, 45, StateRunning, StateFailed),
		), []string{
			"0-40 up*", "40-45 unknown: left4med was not running", "45-100 down*: failed",
			"wanted 95 up 40 unknown 5 ratio 0.421",
		}},
		"it stopped while nobody looked, and systemd has forgotten": {with(Record{State: StateStopped, Desired: DesiredRunning, Watches: away},
			became(60, StateRunning, StateStopped, ""),
		), []string{
			"0-40 up*", "40-60 unknown: left4med was not running", "60-100 down*: stopped",
			"wanted 80 up 40 unknown 20 ratio 0.500",
		}},
		"what systemd says of a time before nobody looked is of another run": {with(Record{State: StateFailed, Desired: DesiredRunning, Watches: away},
			foundSince(60, 20, StateRunning, StateFailed),
		), []string{
			"0-40 up*", "40-60 unknown: left4med was not running", "60-100 down*: failed",
			"wanted 80 up 40 unknown 20 ratio 0.500",
		}},
		"the host was rebooted": {with(Record{State: StateRunning, Desired: DesiredRunning, Watches: []Watch{
			{From: at(-60), Until: at(40), Boot: "1"}, {From: at(60), Until: at(100), Boot: "2"},
		}},
			foundSince(59, 50, StateRunning, StateRunning),
			became(70, StateRunning, StateFailed, ""),
			became(71, StateFailed, StateRunning, ""),
		), []string{
			"0-40 up*", "40-50 unknown: the host was rebooted", "50-70 up*", "70-71 down*: failed", "71-100 up*",
			"wanted 90 up 89 unknown 10 ratio 0.989",
		}},
		"nobody looked when the time began": {Record{State: StateRunning, Desired: DesiredRunning, Watches: []Watch{
			{From: at(-60), Until: at(-20), Boot: "1", Ended: WatchStopped}, {From: at(60), Until: at(100), Boot: "1"},
		}}, []string{
			"0-100 up*",
			"wanted 100 up 100 unknown 0 ratio 1.000",
		}},
		"nobody looked when the time began, and it was another run then": {with(Record{State: StateRunning, Desired: DesiredRunning, Watches: []Watch{
			{From: at(-60), Until: at(-20), Boot: "1"}, {From: at(60), Until: at(100), Boot: "2"},
		}},
			foundSince(60, 50, StateRunning, StateRunning),
		), []string{
			"0-50 unknown: the host was rebooted", "50-100 up*",
			"wanted 50 up 50 unknown 50 ratio 1.000",
		}},
		"the clock was set forward": {with(Record{State: StateRunning, Desired: DesiredRunning, Watches: []Watch{
			{From: at(-60), Until: at(40), Boot: "1", Ended: WatchClock}, {From: at(60), Until: at(100), Boot: "1"},
		}},
			foundSince(59, 41, StateRunning, StateFailed), // by a clock of which nobody knows which it was
			became(70, StateFailed, StateRunning, ""),
		), []string{
			"0-40 up*", "40-60 unknown: the host's clock was set", "60-70 down*: failed", "70-100 up*",
			"wanted 80 up 70 unknown 20 ratio 0.875",
		}},
		"the clock was set back, to before all": {Record{State: StateRunning, Desired: DesiredRunning, Watches: []Watch{
			{From: at(-60), Until: at(40), Boot: "1", Ended: WatchStopped}, {From: at(10), Until: at(20), Boot: "1", Ended: WatchClock}, {From: at(60), Until: at(100), Boot: "1"},
		}}, []string{
			"0-100 up*",
			"wanted 100 up 100 unknown 0 ratio 1.000",
		}},
		"the link to systemd was lost, and is": {Record{State: StateFailed, Desired: DesiredRunning, Watches: []Watch{
			{From: at(-60), Until: at(40), Boot: "1", Ended: WatchUnlinked}, {From: at(60), Until: at(90), Boot: "1", Ended: WatchUnlinked},
		}}, []string{
			"0-40 down*: failed", "40-60 unknown: there was no link to systemd", "60-90 down*: failed", "90-100 unknown: there is no link to systemd",
			"wanted 70 up 0 unknown 30 ratio 0.000",
		}},
		"nobody knows what is now": {Record{State: StateRunning, Desired: DesiredRunning, Watches: []Watch{
			{From: at(-60), Until: at(90), Boot: "1", Ended: WatchUnlinked},
		}}, []string{
			"0-90 up*", "90-100 unknown: there is no link to systemd",
			"wanted 90 up 90 unknown 10 ratio 1.000",
		}},
		"it was enabled while nobody looked": {with(Record{State: StateRunning, Desired: DesiredRunning, Watches: away},
			meant(59, DesiredRunning),
			foundSince(60, 50, StateStopped, StateRunning),
		), []string{
			"0-40 stopped", "40-50 unknown: left4med was not running", "50-59 up", "59-100 up*",
			"wanted 41 up 41 unknown 10 ratio 1.000",
		}},
		"the history does not go back so far": {Record{State: StateRunning, Desired: DesiredRunning, Watches: watched, Since: at(70)}, []string{
			"0-70 unknown: the history does not go back so far", "70-100 up*",
			"wanted 30 up 30 unknown 70 ratio 1.000",
		}},
		"nobody watched before": {Record{State: StateRunning, Desired: DesiredRunning, Watches: []Watch{{From: at(70), Until: at(100)}}}, []string{
			"0-70 unknown: nobody watched yet", "70-100 up*",
			"wanted 30 up 30 unknown 70 ratio 1.000",
		}},
		"nobody watches at all": {Record{State: StateRunning, Desired: DesiredRunning}, []string{
			"0-100 unknown: left4med was not watching",
			"wanted 0 up 0 unknown 100 ratio none",
		}},
		"it was never observed": {Record{State: StateUnknown, Desired: DesiredRunning, Watches: watched}, []string{
			"0-100 unknown: systemd could not tell what it was",
			"wanted 0 up 0 unknown 100 ratio none",
		}},
		"seen late, by a resync": {with(Record{State: StateFailed, Desired: DesiredRunning, Watches: watched},
			foundSince(60, 59, StateRunning, StateFailed),
		), []string{
			"0-59 up*", "59-100 down*: failed",
			"wanted 100 up 59 unknown 0 ratio 0.590",
		}},
		"entries are missing": {with(running,
			became(20, StateStopped, StateRunning, ""),
			became(50, StateFailed, StateRunning, ""),
		), []string{
			"0-20 down*: stopped", "20-50 unknown: the history lacks what happened", "50-100 up*",
			"wanted 70 up 50 unknown 30 ratio 0.714",
		}},
		"the clock was set back": {with(running,
			became(50, StateRunning, StateFailed, ""),
			became(30, StateFailed, StateRunning, ""),
			became(60, StateRunning, StateFailed, ""),
			became(61, StateFailed, StateRunning, ""),
		), []string{
			"0-60 up*", "60-61 down*: failed", "61-100 up*",
			"wanted 100 up 99 unknown 0 ratio 0.990",
		}},
	} {
		c.record.From, c.record.To = at(0), at(100)
		if diff := cmp.Diff(c.want, told(c.record.Availability())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Whatever is on record, the spans are the whole time without a gap, and the sums
// are theirs.
func TestSpansAreTheWholeTime(t *testing.T) {
	t.Parallel()
	states := []State{StateRunning, StateFailed, StateStopped, StateStarting, StateUnknown}
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		sometime := func() time.Time { return dawn.Add(time.Duration(rnd.Int64N(int64(200*time.Minute))) - 50*time.Minute) }
		r := Record{From: sometime(), To: sometime(), State: states[rnd.IntN(5)], Desired: []Desired{DesiredRunning, DesiredStopped}[rnd.IntN(2)]}
		if rnd.IntN(3) == 0 {
			r.Since = sometime()
		}
		when := at(-60)
		for range rnd.IntN(5) {
			w := Watch{From: when.Add(time.Duration(rnd.Int64N(int64(30 * time.Minute))))}
			w.Until = w.From.Add(time.Duration(rnd.Int64N(int64(40 * time.Minute))))
			r.Watches, when = append(r.Watches, w), w.Until
		}
		when = at(-60)
		for range rnd.IntN(12) {
			when = when.Add(time.Duration(rnd.Int64N(int64(20*time.Minute))) - 2*time.Minute)
			e := HistoryEntry{At: when, Kind: HistoryState, From: string(states[rnd.IntN(5)]), To: string(states[rnd.IntN(5)])}
			switch rnd.IntN(4) {
			case 0:
				e = HistoryEntry{At: when, Kind: HistoryDesired, From: "stopped", To: "running"}
			case 1:
				e.Since = sometime()
			}
			r.Entries = append(r.Entries, e)
		}
		a := r.Availability()
		var wanted, up, unknown float64
		next := a.From
		for i, s := range a.Spans {
			took := s.To.Sub(s.From).Seconds()
			if !s.From.Equal(next) || took <= 0 {
				t.Fatalf("seed %d: span %d goes on from %s at %s and lasts %v s", seed, i, next, s.From, took)
			}
			next = s.To
			switch {
			case s.State == PresenceUnknown:
				unknown += took
			case s.Wanted && s.State == PresenceUp:
				wanted, up = wanted+took, up+took
			case s.Wanted:
				wanted += took
			}
			if (s.State == PresenceDown) != (s.Wanted && s.State != PresenceUp) {
				t.Fatalf("seed %d: %+v", seed, s)
			}
		}
		if !next.Equal(a.To) {
			t.Fatalf("seed %d: the spans end at %s, the time at %s", seed, next, a.To)
		}
		near := func(x, y float64) bool { return max(x-y, y-x) < 1e-6 }
		if !near(wanted, a.Wanted) || !near(up, a.Up) || !near(unknown, a.Unknown) || (a.Ratio == nil) != (a.Wanted == 0) {
			t.Fatalf("seed %d: spans say %v, %v, %v, the sums %v, %v, %v", seed, wanted, up, unknown, a.Wanted, a.Up, a.Unknown)
		}
	}
}

// A server that crashes all the time has a bounded answer.
func TestSpansAreBounded(t *testing.T) {
	t.Parallel()
	r := Record{From: at(0), To: at(10_000), State: StateRunning, Desired: DesiredRunning, Watches: []Watch{{From: at(0), Until: at(10_000)}}}
	for m := 0; m < 10_000; m += 2 {
		r.Entries = append(r.Entries, became(m, StateRunning, StateFailed, ""), became(m+1, StateFailed, StateRunning, ""))
	}
	a := r.Availability()
	if len(a.Spans) != maxSpans || !a.Cut || !a.Spans[maxSpans-1].To.Equal(a.To) || *a.Ratio != 0.5 {
		t.Errorf("%d spans, cut %v, ratio %v", len(a.Spans), a.Cut, *a.Ratio)
	}
}
