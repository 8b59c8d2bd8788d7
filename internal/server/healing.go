package server

import (
	"fmt"
	"time"
)

// Healing is what left4med does about a server that should run and does not,
// where the operator asked for it.
type Healing struct {
	Attempt int       `json:"attempt" doc:"The start that comes next, or the last one after giving up; counted within the window."`
	Limit   int       `json:"limit" doc:"How many starts there are within the window, before left4med gives up."`
	NextAt  time.Time `json:"next_at,omitzero" doc:"When the next start is due."`
	GaveUp  bool      `json:"gave_up" doc:"True when the limit is reached: the next start is the operator's."`
}

// Words says what is going to be done, when being a time of the kind "in 40 s".
func (h Healing) Words(when string) string {
	if h.GaveUp {
		return "gave up after " + Starts(h.Attempt)
	}
	return fmt.Sprintf("starting again %s, attempt %d of %d", when, h.Attempt, h.Limit)
}

// Starts counts starts in words.
func Starts(n int) string {
	if n == 1 {
		return "1 start"
	}
	return fmt.Sprintf("%d starts", n)
}

// In is how long it is until a time, in the words that Words wants.
func In(d time.Duration) string {
	if d < time.Second {
		return "now"
	}
	return "in " + Span(d)
}

// Span is a length of time for people: "40 s".
func Span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// HealPolicy is how healing goes about it.
type HealPolicy struct {
	First, Max time.Duration // the pause before the first start, doubled for each further one up to Max
	Limit      int           // starts within Window
	Window     time.Duration
}

// DefaultHealPolicy waits from 10 s to 10 min and gives up after five starts
// within an hour.
var DefaultHealPolicy = HealPolicy{First: 10 * time.Second, Max: 10 * time.Minute, Limit: 5, Window: time.Hour}

// Pause is how long to wait before an attempt, the first being 1. lot is drawn
// from [0, 1): it spreads servers that failed together by up to a fifth.
func (p HealPolicy) Pause(attempt int, lot float64) time.Duration {
	pause := p.First
	for ; attempt > 1 && pause < p.Max; attempt-- {
		pause *= 2
	}
	pause = min(pause, p.Max)
	return pause - pause/10 + time.Duration(lot*float64(pause)/5)
}

// Recent leaves out the attempts that are out of the window. One that lies in
// the future, as after the clock was set back, counts.
func (p HealPolicy) Recent(attempts []time.Time, now time.Time) []time.Time {
	for len(attempts) > 0 && now.Sub(attempts[0]) >= p.Window {
		attempts = attempts[1:]
	}
	return attempts
}

// WantsHealing says whether a server in this state is to be started by left4med.
func (h Heal) WantsHealing(drift Drift, state State) bool {
	if drift != DriftDown {
		return false
	}
	return state == StateFailed && h == HealFailed || (state == StateFailed || state == StateStopped) && h == HealAlways
}
