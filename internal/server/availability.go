package server

import (
	"cmp"
	"slices"
	"time"
)

// Watch is a time through which a daemon saw all servers: from the end of its
// first look at them until it ended or lost systemd.
type Watch struct {
	From  time.Time
	Until time.Time // the last moment that is certain
	Boot  string    // the host's boot
	Ended WatchEnd  // empty while it lasts, and for a daemon that was killed
}

// WatchEnd says why a watch ended.
type WatchEnd string

// The ends of a watch.
const (
	WatchStopped  WatchEnd = "stopped"  // the daemon was told to end
	WatchUnlinked WatchEnd = "unlinked" // systemd was not to be reached
	WatchClock    WatchEnd = "clock"    // the host's clock was set, or stood still with the host
)

// Presence is what a server was at a time.
type Presence string

// The presences.
const (
	PresenceUp      Presence = "up"      // running
	PresenceDown    Presence = "down"    // meant to run, and not running
	PresenceStopped Presence = "stopped" // neither
	PresenceUnknown Presence = "unknown" // nobody looked, or nobody knows any more
)

// Availability is how much of the time that a server was meant to run it ran.
type Availability struct {
	Server  Name           `json:"server"`
	Days    int            `json:"days"`
	From    time.Time      `json:"from" doc:"So many days back, or the server's creation if that is later."`
	To      time.Time      `json:"to"`
	Wanted  float64        `json:"wanted_seconds" doc:"How long it was meant to run: was enabled. What is unknown is left out."`
	Up      float64        `json:"up_seconds" doc:"How long of that it was running."`
	Unknown float64        `json:"unknown_seconds" doc:"How long no daemon saw it, unless it is certain that it ran on; and what the history does not tell any more."`
	Ratio   *float64       `json:"ratio" doc:"up_seconds of wanted_seconds, from 0 to 1; null when it was never meant to run, or nothing is known."`
	Spans   []PresenceSpan `json:"spans" doc:"What it was, oldest first, without a gap; the newest 2000."`
	Cut     bool           `json:"cut,omitempty" doc:"True when spans are left out, the oldest ones. The sums count them."`
}

// PresenceSpan is a time through which a server was the same.
type PresenceSpan struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	State  Presence  `json:"state" enum:"up,down,stopped,unknown"`
	Wanted bool      `json:"wanted" doc:"Whether it was meant to run. False where the state is unknown."`
	Reason string    `json:"reason,omitempty" doc:"Why it was down or is unknown, for a person."`
}

// maxSpans bounds the answer about a server that crashes all the time.
const maxSpans = 2000

// Record is what is on record of one server, which its availability is told from.
type Record struct {
	From, To time.Time
	Since    time.Time      // the history is whole from then on; zero: all of it
	State    State          // last seen; it has always been so when no entry says otherwise
	Desired  Desired        // the same
	Entries  []HistoryEntry // of the kinds state and desired, from From on, oldest first; others are passed over
	Watches  []Watch        // that reach into the time, and the one before them, oldest first
}

// Availability tells from a record what the server was from From to To. Between
// two watches nobody looked. What it was then is known only as far as the next
// look proves it: a server that was running, and of which no entry tells
// otherwise, is the same run of its unit and ran through; one that changed has been
// what it is now since systemd says so (HistoryEntry.Since), and was unknown before.
// A time over which the clock was set may never have been, so nothing is known of it.
// Server and Days are left to the caller. Times are cut to milliseconds.
func (r Record) Availability() Availability {
	r.From, r.To = milli(r.From), milli(r.To)
	if r.To.Before(r.From) {
		r.To = r.From
	}
	l := r.lines()
	a, all := Availability{From: r.From, To: r.To}, joiner{spans: []PresenceSpan{}}
	var wanted, up, unknown time.Duration
	for at := r.From; at.Before(r.To); {
		s := l.at(at)
		s.From, s.To = at, l.next(at, r.To)
		took := s.To.Sub(s.From)
		switch {
		case s.State == PresenceUnknown:
			unknown += took
		case s.Wanted && s.State == PresenceUp:
			up += took
			fallthrough
		case s.Wanted:
			wanted += took
		}
		all.add(s, l.state.at(at).state)
		at = s.To
	}
	a.Wanted, a.Up, a.Unknown = wanted.Seconds(), up.Seconds(), unknown.Seconds()
	if wanted > 0 {
		ratio := float64(up) / float64(wanted)
		a.Ratio = &ratio
	}
	a.Spans = all.spans
	if over := len(a.Spans) - maxSpans; over > 0 {
		a.Spans, a.Cut = slices.Clone(a.Spans[over:]), true
	}
	return a
}

// telling are the states in which a server is down, those first that say more of
// why.
var telling = [...]State{StateFailed, StateRestarting, StateStopped, StateStopping, StateStarting}

// joiner puts spans together.
type joiner struct {
	spans []PresenceSpan
	state State // that the last one's reason is of
}

// add appends a span, or lengthens the last one if that says the same.
func (j *joiner) add(s PresenceSpan, state State) {
	n := len(j.spans)
	if n == 0 || j.spans[n-1].State != s.State || j.spans[n-1].Wanted != s.Wanted || s.State == PresenceUnknown && j.spans[n-1].Reason != s.Reason {
		j.spans, j.state = append(j.spans, s), state
		return
	}
	last := &j.spans[n-1]
	last.To = s.To
	if s.State == PresenceDown && slices.Index(telling[:], state) < slices.Index(telling[:], j.state) {
		last.Reason, j.state = s.Reason, state
	}
}

// change is what holds from a time on.
type change[T any] struct {
	at time.Time
	to T
}

// line is what held when: the first change is of before all time.
type line[T any] []change[T]

// at is what holds at a time.
func (l line[T]) at(t time.Time) T {
	i, found := slices.BinarySearchFunc(l, t, func(c change[T], t time.Time) int { return c.at.Compare(t) })
	for found && i+1 < len(l) && l[i+1].at.Equal(t) {
		i++
	}
	if !found {
		i--
	}
	return l[max(i, 0)].to
}

// next is when another begins to hold, or the end.
func (l line[T]) next(t, end time.Time) time.Time {
	i, _ := slices.BinarySearchFunc(l, t, func(c change[T], t time.Time) int {
		return cmp.Or(c.at.Compare(t), -1) // behind those of the very time
	})
	if i < len(l) && l[i].at.Before(end) {
		return l[i].at
	}
	return end
}

// add appends a change. Time does not run backwards, whatever the host's clock did.
func (l *line[T]) add(at time.Time, to T) {
	if n := len(*l); n > 0 && at.Before((*l)[n-1].at) {
		at = (*l)[n-1].at
	}
	*l = append(*l, change[T]{at, to})
}

// stretch is a state and what is known of why.
type stretch struct {
	state  State
	detail string
}

// lines are a record as what held when.
type lines struct {
	state   line[stretch]
	desired line[Desired]
	unseen  line[string] // why it is not known; empty where it is
}

// at is the span that a moment belongs to, without its ends.
func (l *lines) at(t time.Time) PresenceSpan {
	if why := l.unseen.at(t); why != "" {
		return PresenceSpan{State: PresenceUnknown, Reason: why}
	}
	is, wanted := l.state.at(t), l.desired.at(t) == DesiredRunning
	switch {
	case is.state == StateRunning:
		return PresenceSpan{State: PresenceUp, Wanted: wanted}
	case is.state == StateUnknown || is.state == "":
		return PresenceSpan{State: PresenceUnknown, Reason: cmp.Or(is.detail, "systemd could not tell what it was")}
	case !wanted:
		return PresenceSpan{State: PresenceStopped}
	}
	reason := string(is.state)
	if is.detail != "" {
		reason += ", " + is.detail
	}
	return PresenceSpan{State: PresenceDown, Wanted: true, Reason: reason}
}

// next is when anything changes after a moment, or the end.
func (l *lines) next(t, end time.Time) time.Time {
	return l.unseen.next(t, l.desired.next(t, l.state.next(t, end)))
}

func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// lines sorts the record into what held when.
func (r Record) lines() *lines {
	l := &lines{
		state:   line[stretch]{{to: stretch{state: r.State}}},
		desired: line[Desired]{{to: r.Desired}},
	}
	gaps := r.gaps()
	var firstState, firstDesired = true, true
	for _, e := range r.Entries {
		switch e.Kind {
		case HistoryDesired:
			if firstDesired {
				l.desired[0].to, firstDesired = Desired(e.From), false
			}
			l.desired.add(milli(e.At), Desired(e.To))
		case HistoryState:
			if firstState {
				l.state[0].to.state, firstState = State(e.From), false
			}
			r.addState(l, gaps, e)
		}
	}
	for _, g := range gaps {
		// Another state than running may have been left and come back to.
		if g.clock || g.known.IsZero() && (g.never || l.state.at(g.from).state != StateRunning) {
			g.known = g.to
		}
		if g.known.After(g.from) {
			l.unseen.add(g.from, g.why)
			l.unseen.add(g.known, "")
		}
	}
	if l.unseen == nil || l.unseen[0].at.After(r.From) {
		l.unseen = slices.Insert(l.unseen, 0, change[string]{})
	}
	return l
}

// addState adds what a state's entry tells.
func (r Record) addState(l *lines, gaps []*gap, e HistoryEntry) {
	at, last := milli(e.At), &l.state[len(l.state)-1]
	if last.to.state != State(e.From) {
		last.to = stretch{StateUnknown, "the history lacks what happened"} // the disk refused it for too long
	}
	begun := last.at
	i, _ := slices.BinarySearchFunc(gaps, at, func(g *gap, at time.Time) int { return g.to.Compare(at) })
	if i < len(gaps) && at.After(gaps[i].from) {
		if begun.Before(gaps[i].from) {
			begun = gaps[i].from
		}
		if since := milli(e.Since); !e.Since.IsZero() && since.After(begun) && since.Before(at) {
			at = since
		}
		if gaps[i].known.IsZero() {
			gaps[i].known = at
		}
	} else if since := milli(e.Since); !e.Since.IsZero() && since.After(begun) && since.Before(at) {
		at = since // seen late, by a resync
	}
	l.state.add(at, stretch{State(e.To), e.Detail})
}

// gap is a time in which nobody looked.
type gap struct {
	from, to time.Time
	known    time.Time // from then on it is known all the same; zero: no entry says so
	never    bool      // nothing of it was ever known, or is any more
	clock    bool      // the same, and times in it are of who knows which clock
	why      string
}

// gaps are the times from From to To that no watch covers, and what lies before
// the history.
func (r Record) gaps() []*gap {
	var gaps []*gap
	at, before := r.From, Watch{}
	add := func(to time.Time, g gap) {
		if to.After(r.To) {
			to = r.To
		}
		if to.After(at) {
			g.from, g.to = at, to
			gaps = append(gaps, &g)
			at = to
		}
	}
	if !r.Since.IsZero() {
		add(milli(r.Since), gap{never: true, why: "the history does not go back so far"})
	}
	for _, w := range r.Watches {
		g := gap{why: "left4med was not running", never: before.From.IsZero()}
		switch {
		case g.never:
			g.why = "nobody watched yet"
		case before.Ended == WatchClock:
			g.clock, g.why = true, "the host's clock was set"
		case before.Ended == WatchUnlinked:
			g.why = "there was no link to systemd"
		case before.Boot != w.Boot:
			g.why = "the host was rebooted"
		}
		add(milli(w.From), g)
		if until := milli(w.Until); until.After(at) {
			at = until
		}
		if !w.Until.Before(before.Until) { // else the clock was set back meanwhile
			before = w
		}
	}
	why := "left4med was not watching"
	if before.Ended == WatchUnlinked {
		why = "there is no link to systemd"
	}
	add(r.To, gap{never: true, why: why})
	return gaps
}
