package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// crowd is who plays.
type crowd interface {
	// counts says whether anything of them can be known.
	counts() bool
	// people is how many people, not bots, play on a server, and when its game said
	// so; known only if it answered lately.
	people(ctx context.Context, r *record, how howAsked) (n int, at time.Time, known bool)
	// say tells them something.
	say(ctx context.Context, r *record, text string) error
}

// howAsked is what a game may be asked for, to know who plays.
type howAsked int

const (
	fromMemory howAsked = iota // nothing: what it told lately counts
	whoIsBot                   // who of its players are bots, where there are both
	afresh                     // all of it, unless it was within the last seconds: then its answer counts
)

// waitMark is what a job that waits until nobody plays keeps beside its step.
type waitMark struct {
	Until time.Time `json:"until"`          // then it gives up
	Told  int       `json:"told,omitempty"` // messages to the players that are behind it
}

// errNeverKnown refuses to wait for what can never be known.
func errNeverKnown(what string) *server.Error {
	return server.Errorf(server.CodeInvalidRequest, "%s cannot wait until nobody plays, because no game is asked who plays: [query] enabled = false in /etc/left4me/left4med.toml. Switch it on and restart left4med.service, or do not wait", what)
}

func (o *Orchestrator) newWait(now time.Time) *waitMark {
	return &waitMark{Until: now.Add(o.Settings.WhenEmpty.Timeout)}
}

// waits says whether a job, as it is stored, has nothing done yet but waited until
// nobody plays.
func waits(row store.JobRow) bool {
	if row.Step != "" && row.Step != stepWait || len(row.Mark) == 0 {
		return false
	}
	var m mark
	return json.Unmarshal(row.Mark, &m) == nil && m.Wait != nil
}

// waiter is the job that waits until nobody plays; nil when there is none, or it is
// about to end. The caller holds o.mu.
func (r *record) waiter() *run {
	if r.waiting == nil || r.waiting.ending || r.waiting.job.State.Finished() {
		return nil
	}
	return r.waiting
}

const (
	emptyLook   = 5 * time.Second // how often it is looked who plays, where nothing tells of a change
	takeLook    = time.Second     // how often a restart looks that may begin but for another job
	offSpan     = 3 * time.Second // so long must a unit be down or disabled: one that is restarted or re-enabled comes back
	sayPatience = 5 * time.Second // bounds what a message to the players takes
)

// emptyWait is a job's wait until nobody plays. It holds no turn and is in nobody's
// way: it is beside what is done to the server meanwhile.
type emptyWait struct {
	*run
	empty time.Time // since when nobody plays; zero: somebody does, or may
	off   time.Time // since when the unit is down or disabled
	text  string    // the progress as last shown
}

// awaitEmpty returns when nobody plays any more and the job has the place of the one
// at work. The error says why it shall not begin.
func (r *run) awaitEmpty() error {
	if !r.row.Kind.OfHost() {
		if err := r.complete(); err != nil {
			return err // rather now than in some hours
		}
	}
	if r.row.Step != stepWait {
		if err := r.noteWait(); err != nil {
			return err
		}
	}
	w := emptyWait{run: r}
	for {
		_, changed := r.watchUnit()
		begun, next, err := w.look(time.Now())
		if begun || err != nil {
			return err
		}
		again := time.NewTimer(next)
		select {
		case <-r.ctx.Done():
		case <-changed:
		case <-again.C:
		}
		again.Stop()
		if err := context.Cause(r.ctx); err != nil {
			return err
		}
	}
}

// noteWait stores that the job waits, and for the end of which run of the unit.
func (r *run) noteWait() (err error) {
	if !r.row.Kind.OfHost() {
		if r.mark.Invocation, err = r.runToEnd(); err != nil {
			return err
		}
	}
	return r.note(stepWait, r.mark.Linked)
}

// look looks who plays, tells them, and begins the job's work if nobody does; else
// it says when to look again at the latest.
func (w *emptyWait) look(now time.Time) (begun bool, next time.Duration, err error) {
	pointless, err := w.pointless(now)
	if err != nil {
		return false, 0, err
	}
	c, ripe := w.nobody(now)
	ripe = ripe || pointless
	left := w.mark.Wait.Until.Sub(now)
	if ripe {
		if begun, err = w.take(); begun || err != nil {
			return begun, 0, err
		}
	}
	if left <= 0 && !pointless && (ripe || !c.empty()) {
		return false, 0, w.givenUp(c)
	}
	w.showWait(c, left)
	if err := w.warn(c, left); err != nil {
		return false, 0, err
	}
	next = emptyLook
	switch {
	case ripe && !c.many:
		next = takeLook
	case !w.off.IsZero():
		next = offSpan - now.Sub(w.off)
	case !w.empty.IsZero() && now.Sub(w.empty) < w.o.Settings.WhenEmpty.Grace:
		next = w.o.Settings.WhenEmpty.Grace - now.Sub(w.empty)
	}
	if left > 0 {
		next = min(next, left)
	}
	return false, max(next, time.Millisecond), nil
}

// nobody looks who plays, and says whether nobody has for long enough: each game has
// said so at least twice.
func (w *emptyWait) nobody(now time.Time) (c audience, surely bool) {
	c = w.count(whoIsBot)
	over := !w.empty.IsZero() && now.Sub(w.empty) >= w.o.Settings.WhenEmpty.Grace
	if over && c.empty() && !c.asOf.After(w.empty) {
		c = w.count(afresh) // where games are seldom asked, an answer may count for minutes
	}
	switch {
	case !c.empty():
		w.empty = time.Time{}
	case c.running == 0:
		return c, true
	case w.empty.IsZero():
		w.empty = time.Now() // no answer of this look is from later
	default:
		return c, over && c.asOf.After(w.empty)
	}
	return c, false
}

// pointless says whether there is nobody to wait for: the run of the unit that was to
// end has ended. The error says why the server must not be started: another hand has
// stopped or disabled it, which came later.
func (w *emptyWait) pointless(now time.Time) (bool, error) {
	r, name, before := w.rec, w.rec.row.Name, w.mark.Invocation
	if w.row.Kind.OfHost() {
		return false, nil
	}
	w.o.mu.RLock()
	state, invocation := r.state(), r.unit.InvocationID
	disabled := w.mark.Linked && !r.enabled
	stopped := state == server.StateStopped || r.toldToStop || r.unit.Result == "timeout" // it was killed when it did not end in time
	enabled := r.enabled
	still := r.held || r.unsure || r.unit.Job != 0 || r.run != nil // it is not what it is going to be
	w.o.mu.RUnlock()
	if enabled && !w.mark.Linked { // since it was asked for: who disables it now disables it for this job, too
		if err := w.note(stepWait, true); err != nil {
			return false, err
		}
	}
	down := state == server.StateStopped || state == server.StateFailed
	switch {
	case still || !down && !disabled:
		w.off = time.Time{}
		// A daemon that has just started does not know the run yet.
		return state == server.StateRunning && invocation != "" && invocation != before, nil
	case down && before == "":
		return true, nil // it did not run when that was asked for
	case w.off.IsZero():
		w.off = now
	}
	switch {
	case now.Sub(w.off) < offSpan:
		return false, nil
	case disabled:
		return false, server.Errorf(server.CodeOvertaken, "%s was disabled while its restart waited until nobody plays; ask again if it is still wanted", name.Unit())
	case stopped:
		return false, server.Errorf(server.CodeOvertaken, "the server %s has stopped while its restart waited until nobody plays; `l4d2ctl start %s` starts it", name, name)
	}
	return true, nil
}

// runToEnd is the run of the unit that a restart is to end; empty when it is down.
func (r *run) runToEnd() (string, error) {
	r.o.mu.RLock()
	state, u := r.rec.state(), r.rec.unit
	r.o.mu.RUnlock()
	if state == server.StateUnknown || state.Live() && u.InvocationID == "" { // the list of units does not tell it
		var err error
		if u, err = r.readAgain(); err != nil {
			return "", err
		}
		state = server.DeriveState(u)
	}
	if !state.Live() {
		return "", nil
	}
	return u.InvocationID, nil
}

// take gives the job the place of the one at work, unless there is one, or nothing
// may be started.
func (w *emptyWait) take() (taken bool, err error) {
	if w.row.Kind.OfHost() {
		return w.takeInstallation()
	}
	o, r := w.o, w.rec
	err = w.alone(func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if w.ctx.Err() != nil || r.run != nil || r.held || !o.link.connected || o.holdsStill(w.row.Kind) {
			return nil
		}
		taken, r.waiting = true, nil
		o.occupy(r, w.run)
		o.publish(r, server.ByJob)
		return nil
	})
	return taken, err
}

// showWait shows what the job waits for, where that is news.
func (w *emptyWait) showWait(c audience, left time.Duration) {
	text := fmt.Sprintf("%s: %s, gives up in %s", server.WaitingForEmpty, c, server.Minutes(left))
	if text != w.text {
		w.text = text
		w.run.say(text)
	}
}

// warn tells those who play what is due, as often as there are times for it. It is
// noted before, so that no crash makes it come twice.
func (w *emptyWait) warn(c audience, left time.Duration) error {
	policy := w.o.Settings.WhenEmpty
	due := policy.Due(left)
	if len(c.playing) == 0 || policy.Say == "" || w.mark.Wait.Told >= due {
		return nil
	}
	noted := *w.mark.Wait
	noted.Told = due
	w.mark.Wait = &noted
	if err := w.note(stepWait, w.mark.Linked); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(w.ctx, sayPatience)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(heldAtOnce)
	for _, r := range c.playing {
		g.Go(func() error {
			if err := w.o.crowd.say(ctx, r, policy.Message(left)); err != nil && w.ctx.Err() == nil {
				w.o.Log.Warn().Err(err).Str("SERVER", string(r.row.Name)).Int64("JOB", w.row.ID).Msg("cannot tell players that their server is to be restarted")
			}
			return nil
		})
	}
	return g.Wait()
}

// givenUp says why the job gives up, and how to have it done all the same.
func (w *emptyWait) givenUp(c audience) error {
	after, why := server.Minutes(w.mark.Wait.Until.Sub(w.row.CreatedAt)), c.String()
	switch {
	case !c.empty():
	case !w.o.connection().connected:
		why += ", but systemd did not answer"
	default:
		why += ", but another job was under way"
	}
	if w.row.Kind.OfHost() {
		return server.Errorf(server.CodeNotEmpty, "the game was not updated within %s, because the servers that run were not all seen to be empty at one moment: %s; `l4d2ctl install --restart` stops them at once, and brings them back", after, why)
	}
	name := w.rec.row.Name
	return server.Errorf(server.CodeNotEmpty, "the server %s was not restarted within %s, because it was not seen to be empty: %s; `l4d2ctl start --restart %s` restarts it at once", name, after, why, name)
}
