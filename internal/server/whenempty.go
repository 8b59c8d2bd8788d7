package server

import (
	"fmt"
	"strings"
	"time"
)

// CodeNotEmpty says that people played for as long as a job would wait for an
// empty server.
const CodeNotEmpty Code = "not-empty"

// ResultNotEmpty is the Result of a job that gave up waiting for an empty server.
const ResultNotEmpty = string(CodeNotEmpty)

// Result says in a word how a job ended: its state, or why it was not done where
// that is nobody's failure.
func (j *Job) Result() string {
	if j.State == JobFailed && j.Error != nil && j.Error.Code == CodeNotEmpty {
		return ResultNotEmpty
	}
	return string(j.State)
}

// When is what a job waits for before it begins; "" is nothing.
type When string

// WhenEmpty has a job wait until nobody plays.
const WhenEmpty When = "empty"

// WaitingForEmpty begins the progress of a job that waits until nobody plays.
const WaitingForEmpty = "waiting until nobody plays"

// EmptyPolicy is how a job waits until nobody plays.
type EmptyPolicy struct {
	Timeout time.Duration   // from the request until the job gives up
	Grace   time.Duration   // so long must nobody have played
	Warn    []time.Duration // the players are told so long before the job gives up, in any order
	Say     string          // what they are told, %t being the time that is left; empty: nothing
}

// DefaultEmptyPolicy is the policy without a configuration file.
func DefaultEmptyPolicy() EmptyPolicy {
	return EmptyPolicy{
		Timeout: 6 * time.Hour, Grace: 10 * time.Second,
		Warn: []time.Duration{10 * time.Minute, 5 * time.Minute, time.Minute},
		Say:  "This server restarts as soon as nobody plays. It waits %t for that.",
	}
}

// maxMessage is how long a message to players may be, in bytes: a line of the game's
// chat holds not much more.
const maxMessage = 120

// Check says what is wrong with the policy: the setting and why.
func (p EmptyPolicy) Check() error {
	switch {
	case p.Timeout < time.Minute || p.Timeout > 7*24*time.Hour:
		return fmt.Errorf("timeout is %s; it must lie between 1m and 168h", p.Timeout)
	case p.Grace < 0 || p.Grace > 10*time.Minute:
		return fmt.Errorf("grace is %s; it must lie between 0s and 10m", p.Grace)
	case len(p.Warn) > 10:
		return fmt.Errorf("warn has %d times; 10 are the most", len(p.Warn))
	case len(p.Say) > maxMessage:
		return fmt.Errorf("say is %d bytes long; a line of chat holds %d", len(p.Say), maxMessage)
	case Visible(p.Say) != p.Say || strings.ContainsAny(p.Say, `";\`):
		return fmt.Errorf("say is %s; it must be one line without quotation marks, semicolons and backslashes, which mean something to the game's console", Quote(p.Say, maxMessage))
	}
	for _, w := range p.Warn {
		if w < time.Second || w > 7*24*time.Hour {
			return fmt.Errorf("warn has %s; each time must lie between 1s and 168h", w)
		}
	}
	return nil
}

// Due is how many messages the players were to be told when so much time is left:
// the first when the wait begins, and one for each time of Warn.
func (p EmptyPolicy) Due(left time.Duration) int {
	due := 1
	for _, w := range p.Warn {
		if left <= w {
			due++
		}
	}
	return due
}

// Message is what the players are told when so much time is left.
func (p EmptyPolicy) Message(left time.Duration) string {
	return strings.ReplaceAll(p.Say, "%t", Minutes(left))
}

// Minutes is a length of time for people, rounded up to whole minutes: "5 h 58 min".
func Minutes(d time.Duration) string {
	m := max(1, int((d+time.Minute-1)/time.Minute))
	switch h := m / 60; {
	case h == 0:
		return fmt.Sprintf("%d min", m)
	case m%60 == 0:
		return fmt.Sprintf("%d h", h)
	default:
		return fmt.Sprintf("%d h %d min", h, m%60)
	}
}
