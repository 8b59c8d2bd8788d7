package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHealPause(t *testing.T) {
	t.Parallel()
	p := DefaultHealPolicy
	var pauses []time.Duration
	for attempt := 1; attempt <= 8; attempt++ {
		pauses = append(pauses, p.Pause(attempt, 0.5))
	}
	want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 320 * time.Second, 10 * time.Minute, 10 * time.Minute}
	if diff := cmp.Diff(want, pauses); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	if low, high := p.Pause(1, 0), p.Pause(1, 1); low != 9*time.Second || high != 11*time.Second {
		t.Errorf("from %s to %s", low, high)
	}
	if got := p.Pause(1<<30, 0); got != 9*time.Minute {
		t.Errorf("after very many attempts: %s", got)
	}
}

func TestHealRecent(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	attempts := []time.Time{ago(2 * time.Hour), ago(time.Hour), ago(59 * time.Minute), ago(-time.Hour)}
	if diff := cmp.Diff(attempts[2:], DefaultHealPolicy.Recent(attempts, now)); diff != "" {
		t.Errorf("recent (-want +got):\n%s", diff)
	}
}

func TestWantsHealing(t *testing.T) {
	t.Parallel()
	got := map[string]bool{}
	for _, h := range []Heal{HealOff, HealFailed, HealAlways} {
		for _, d := range []Drift{DriftDown, DriftMasked, DriftMissing, DriftNone} {
			for _, s := range []State{StateFailed, StateStopped, StateUnknown, StateRunning} {
				if h.WantsHealing(d, s) {
					got[string(h)+" "+string(d)+" "+string(s)] = true
				}
			}
		}
	}
	want := map[string]bool{"failed down failed": true, "always down failed": true, "always down stopped": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("healed (-want +got):\n%s", diff)
	}
}

func TestHealingInWords(t *testing.T) {
	t.Parallel()
	var got []string
	for _, d := range []time.Duration{-time.Minute, 400 * time.Millisecond, 39600 * time.Millisecond, 119 * time.Second, 9*time.Minute + 40*time.Second, 5 * time.Hour, 75 * time.Hour} {
		got = append(got, In(d))
	}
	if diff := cmp.Diff([]string{"now", "now", "in 40 s", "in 119 s", "in 10 min", "in 5 h", "in 3 days"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got = []string{(Healing{Attempt: 3, Limit: 5}).Words("in 40 s"), (Healing{Attempt: 5, Limit: 5, GaveUp: true}).Words("")}
	if diff := cmp.Diff([]string{"starting again in 40 s, attempt 3 of 5", "gave up after 5 starts"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
