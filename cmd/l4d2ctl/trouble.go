package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/left4med/left4med/client"
)

// trouble is what a person should know of a server beyond its state: since when
// intent and truth disagree, how old the news is, and what left4med does about it.
type trouble struct{ drift, stale, healing string }

func (a *app) trouble(s *client.Server, at moments) (t trouble) {
	if s.Drift != client.DriftNone && !s.DriftSince.IsZero() {
		t.drift = string(s.Drift) + " " + at.since(s.DriftSince)
	}
	if s.Stale {
		t.stale = "last seen " + at.past(s.ObservedAt)
		if s.ObservedAt.IsZero() {
			t.stale = "never seen"
		}
	}
	if s.Healing != nil {
		t.healing = s.Healing.Words(at.future(s.Healing.NextAt))
	}
	return t
}

func (t trouble) String() string {
	var parts []string
	for _, part := range []string{t.drift, t.stale, t.healing} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

// moments says how times are named.
type moments struct{ since, past, future func(time.Time) string }

// forPeople names times by how far away they are.
func (a *app) forPeople() moments {
	return moments{
		since: func(t time.Time) string {
			if d := a.now().Sub(t); d >= time.Second {
				return "for " + short(d)
			}
			return "just now"
		},
		past:   a.ago,
		future: func(t time.Time) string { return client.In(t.Sub(a.now())) },
	}
}

// forPrograms names times in full.
func forPrograms() moments {
	return moments{
		since:  func(t time.Time) string { return "since " + stamp(t) },
		past:   stamp,
		future: func(t time.Time) string { return "at " + stamp(t) },
	}
}

// explain says what a drift means, the command that cures it, and what else may
// be wanted.
func explain(s *client.Server) (means, cure, or string) {
	cure = s.Drift.Cure(s.Name)
	switch s.Drift {
	case client.DriftMasked:
		means = "its unit is masked, so systemd will never start it"
	case client.DriftMissing:
		means = "its files or the unit template are gone"
		or = "l4d2ctl doctor, if it is the template that is gone"
	case client.DriftDown:
		means = fmt.Sprintf("it should run, but it is %s; l4d2ctl logs %s may say why", s.State, s.Name)
		or = fmt.Sprintf("l4d2ctl stop %s, if it should stay down", s.Name)
	case client.DriftFlapping:
		means = "it crashes again and again, and systemd starts it each time; its log may say why"
		or = fmt.Sprintf("l4d2ctl start --restart %s, once that is mended", s.Name)
	case client.DriftNotEnabled:
		means = "it runs, but will be gone after a reboot"
		or = fmt.Sprintf("l4d2ctl stop %s, if it should not run", s.Name)
	}
	return means, cure, or
}
