package orchestrator

import (
	"context"
	"errors"
	"sync"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// linker changes enablement links. Reloading systemd is the expensive part
// (about a second at 1,000 running units), so whatever was asked for while one
// batch is under way is the next batch, and each batch is at most one enable
// call, one disable call and one reload.
type linker struct {
	o     *Orchestrator
	wake  chan struct{}
	ended chan struct{} // closed when no further batch will be taken

	mu    sync.Mutex
	queue []*linkChange
	stale bool // a reload is due whether or not links change
}

// linkChange is one job's wish for its server's link.
type linkChange struct {
	run    *run
	enable bool
	done   chan error // gets exactly one value, unless withdrawn
}

func newLinker(o *Orchestrator) *linker {
	return &linker{o: o, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// submit queues changes that are to share a batch.
func (l *linker) submit(changes ...*linkChange) {
	if len(changes) == 0 {
		return
	}
	l.mu.Lock()
	l.queue = append(l.queue, changes...)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// reload has systemd read the links again before the next batch.
func (l *linker) reload() {
	l.mu.Lock()
	l.stale = true
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// withdraw takes a change back that no batch has taken yet.
func (l *linker) withdraw(c *linkChange) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, q := range l.queue {
		if q == c {
			l.queue = append(l.queue[:i:i], l.queue[i+1:]...)
			return true
		}
	}
	return false
}

func (l *linker) loop(ctx context.Context) error {
	defer close(l.ended)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		}
		l.mu.Lock()
		batch, stale := l.queue, l.stale
		l.queue, l.stale = nil, false
		l.mu.Unlock()
		// A batch that has begun is carried through: its jobs have noted it.
		l.execute(context.WithoutCancel(ctx), batch, stale)
	}
}

// execute changes the links, releases the jobs, and reloads when a link changed
// or stale says that it is due. The jobs need not wait for the reload: a unit's
// own files did not change, and a link counts at the next boot with or without
// it.
func (l *linker) execute(ctx context.Context, batch []*linkChange, stale bool) {
	changed := l.change(ctx, batch, false) || stale
	changed = l.change(ctx, batch, true) || changed
	if !changed {
		return
	}
	if err := l.o.Units.Reload(ctx); err != nil {
		l.o.Log.Warn().Err(err).Msg("systemd did not reload after its links were changed; the links stand, `systemctl daemon-reload` makes it show them")
	}
	l.o.faults.pass("reloaded")
}

// note stores the step of every job in one transaction, right before its call:
// the mark tells after a crash whether any link has changed since. A job whose
// step cannot be stored ends here.
func (l *linker) note(ctx context.Context, batch []*linkChange) []*linkChange {
	rows := make([]store.JobRow, 0, len(batch))
	steps := make([]store.StepUpdate, 0, len(batch))
	var kept []*linkChange
	for _, c := range batch {
		row, err := c.run.noted(stepLink, !c.enable)
		if err != nil {
			c.done <- err
			continue
		}
		rows, steps = append(rows, row), append(steps, stepOf(row))
		kept = append(kept, c)
	}
	err := l.o.insist(l.o.jobsCtx, "the steps of jobs", func(ctx context.Context) error {
		return l.o.Store.SetStep(ctx, steps)
	})
	if err != nil {
		for _, c := range kept {
			c.done <- err
		}
		return nil
	}
	l.o.faults.pass("links noted")
	for i, c := range kept {
		c.run.advance(rows[i])
	}
	return kept
}

// change makes one call for all changes of one direction. When systemd refuses
// the batch (one masked name fails a whole EnableUnitFiles), each is tried for
// itself, so that one bad server does not fail the others.
func (l *linker) change(ctx context.Context, batch []*linkChange, enable bool) bool {
	var mine []*linkChange
	for _, c := range batch {
		if c.enable == enable {
			mine = append(mine, c)
		}
	}
	if len(mine) > 0 {
		mine = l.note(ctx, mine)
	}
	if len(mine) == 0 {
		return false
	}
	err := l.call(ctx, mine, enable)
	if err == nil || len(mine) == 1 || errors.Is(err, &server.Error{Code: server.CodeSystemdUnavailable}) {
		l.release(mine, enable, err)
		return err == nil
	}
	changed := false
	for _, c := range mine {
		one := l.note(ctx, []*linkChange{c})
		if len(one) == 0 {
			continue
		}
		err := l.call(ctx, one, enable)
		l.release(one, enable, err)
		changed = changed || err == nil
	}
	return changed
}

func (l *linker) call(ctx context.Context, changes []*linkChange, enable bool) error {
	units := make([]string, len(changes))
	for i, c := range changes {
		units[i] = c.run.rec.row.Name.Unit()
	}
	if enable {
		return l.o.Units.EnableUnitFiles(ctx, units)
	}
	return l.o.Units.DisableUnitFiles(ctx, units)
}

// release shows the new links and lets the jobs go on.
func (l *linker) release(changes []*linkChange, enable bool, err error) {
	outcomes := make([]error, len(changes))
	for i, c := range changes {
		if outcomes[i] = err; err == nil && !enable {
			outcomes[i] = l.gone(c)
		}
	}
	if err == nil {
		if err := l.o.Units.SyncLinks(); err != nil {
			l.o.Log.Warn().Err(err).Msg("cannot have the enablement links written to the disk; a power cut may take the change back")
		}
		l.o.faults.pass("links changed")
		l.o.linksMu.Lock() // a look at the links that began earlier must not be applied later
		defer l.o.linksMu.Unlock()
		l.o.mu.Lock()
		for i, c := range changes {
			if outcomes[i] == nil {
				l.o.applyLink(c.run.rec, enable, c.run.rec.masked, server.ByJob)
			}
		}
		l.o.mu.Unlock()
	}
	for i, c := range changes {
		c.done <- outcomes[i]
	}
}

// gone wants a server's link to be gone. systemd leaves that of a masked unit
// where it is and calls it done (unit_file_disable in src/shared/install.c).
func (l *linker) gone(c *linkChange) error {
	name := c.run.rec.row.Name
	linked, err := l.o.Units.Linked(string(name))
	if err != nil || !linked {
		return err
	}
	return server.Errorf(server.CodeMasked, "%s is masked, and systemd does not disable a masked unit: it would be started at a boot after it is unmasked. Run `systemctl unmask %s`, then ask again",
		name.Unit(), name.Unit())
}

// cohort are runs that were asked for together. Their link changes go to the
// linker as one batch, when the last of them knows whether it needs one.
type cohort struct {
	linker *linker

	mu      sync.Mutex
	missing int
	changes []*linkChange
}

// arrive hands in a member's change; nil when it needs none or is out.
func (c *cohort) arrive(change *linkChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing--
	if change != nil {
		c.changes = append(c.changes, change)
	}
	if c.missing == 0 {
		c.linker.submit(c.changes...)
		c.changes = nil
	}
}

// leaveCohort makes the others stop waiting for r.
func (r *run) leaveCohort() {
	if r.cohort != nil {
		r.cohort.arrive(nil)
		r.cohort = nil
	}
}

// link makes the server's link stand, or not stand.
func (r *run) link(enable bool) error {
	return r.reach(func() error { return r.linkOnce(enable) })
}

func (r *run) linkOnce(enable bool) error {
	l := r.o.linker
	linked, err := r.o.Units.Linked(string(r.rec.row.Name))
	if err != nil {
		return err
	}
	if linked == enable {
		r.leaveCohort()
		return r.begin(linked)
	}
	c := &linkChange{run: r, enable: enable, done: make(chan error, 1)}
	if cohort := r.cohort; cohort != nil {
		r.cohort = nil
		cohort.arrive(c)
	} else {
		l.submit(c)
	}
	select {
	case err := <-c.done:
		return err
	case <-r.ctx.Done():
	}
	if l.withdraw(c) {
		return context.Cause(r.ctx)
	}
	// It is being carried out, or waits in its cohort, whose other members are
	// about to arrive. Leaving now would let it happen after a later job's.
	select {
	case err := <-c.done:
		return errors.Join(context.Cause(r.ctx), err)
	case <-l.ended:
		return context.Cause(r.ctx)
	}
}
