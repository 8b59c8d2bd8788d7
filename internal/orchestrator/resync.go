package orchestrator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// resyncer checks all servers against systemd: at the start, at each tick,
// after a reconnect and after a reload of systemd, and when asked.
type resyncer struct {
	o    *Orchestrator
	wake chan struct{}

	mu      sync.Mutex
	waiters []chan error // want one that begins after they asked
	triedAt time.Time
	lastAt  time.Time
	took    time.Duration
	err     error
	stored  int64 // bytes that the database took at the last one
	turn    int   // where the rolling re-read goes on
}

func newResyncer(o *Orchestrator) *resyncer {
	return &resyncer{o: o, wake: make(chan struct{}, 1), triedAt: time.Now()}
}

// trigger asks for a resync soon. Many triggers are one resync.
func (s *resyncer) trigger() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// whenConnected waits for systemd and does the first resync.
func (s *resyncer) whenConnected(ctx context.Context) error {
	retry := time.NewTicker(time.Second)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		case <-retry.C:
			if !s.o.Units.Connected() {
				continue
			}
		}
		if err := s.once(ctx); err == nil {
			return nil
		}
	}
}

func (s *resyncer) loop(ctx context.Context) error {
	var tick <-chan time.Time
	if s.o.Settings.ResyncEnabled {
		t := time.NewTicker(s.o.Settings.ResyncInterval)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			s.answer(s.takeWaiters(), ctx.Err())
			return nil
		case <-tick:
		case <-s.wake:
		}
		waiters := s.takeWaiters()
		err := s.once(ctx)
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn().Err(err).Msg("the resync failed")
		}
		s.answer(waiters, err)
	}
}

func (s *resyncer) takeWaiters() []chan error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiters
	s.waiters = nil
	return w
}

func (s *resyncer) answer(waiters []chan error, err error) {
	for _, w := range waiters {
		w <- err
	}
}

// Resync checks all servers against systemd now and returns when it is done.
func (o *Orchestrator) Resync(ctx context.Context) error {
	w := make(chan error, 1)
	o.resync.mu.Lock()
	o.resync.waiters = append(o.resync.waiters, w)
	o.resync.mu.Unlock()
	o.resync.trigger()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-o.jobsCtx.Done():
		return server.Errorf(server.CodeShuttingDown, "left4med is shutting down; ask again in a moment")
	case err := <-w:
		return err
	}
}

// once is one resync: the links, the instances' files, one list call, and a
// second look at each server whose line changed and at the next few in turn.
func (s *resyncer) once(ctx context.Context) error {
	start := time.Now()
	err := s.check(ctx)
	took := time.Since(start)
	stored := s.o.Store.Size()
	if err == nil || ctx.Err() == nil { // not when the daemon ends
		s.o.Meter.Resynced(took, err)
	}
	if err == nil {
		s.o.watch.looked(start)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.triedAt, s.err, s.stored = time.Now(), err, stored
	if err == nil {
		s.lastAt, s.took = time.Now(), took
	}
	return err
}

func (s *resyncer) check(ctx context.Context) error {
	o := s.o
	o.mu.Lock()
	clear(o.orphans.lately)
	o.mu.Unlock()
	o.refreshLinks(server.ByResync)
	missing := o.missingFiles()
	dirs := o.instanceDirs()
	o.readBuild()
	snap, err := o.Units.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("cannot list the units of the servers: %w", err)
	}
	o.mu.Lock()
	var again []look
	now := time.Now()
	for _, r := range o.order {
		if gone, looked := missing[r.row.ID]; looked {
			r.missing = gone
		}
		if line, changed := o.compare(r, snap, now); changed {
			again = append(again, look{r, &line})
		}
	}
	for _, r := range s.slice(o.order) {
		again = append(again, look{r, nil})
	}
	orphans := o.findOrphans(snap, dirs, now)
	o.mu.Unlock()
	s.details(ctx, again, snap.Stamp)
	s.readOrphans(ctx, orphans)
	o.storeOrphans(ctx)
	return nil
}

// look is a server whose properties are to be read again, all of them.
type look struct {
	r    *record
	line *server.Unit // what the list made of it; nil when that is known
}

// compare looks at a server's line of the list. Of a unit that is not listed it
// applies what that means. One whose line changed is returned as the list has it:
// its process and its run the list does not tell, so it is applied when these are
// read, and nobody is shown the one half with the other. The caller holds o.mu.
func (o *Orchestrator) compare(r *record, snap unitctl.Snapshot, now time.Time) (line server.Unit, changed bool) {
	listed, found := snap.Units[r.row.Name.Unit()]
	if !found {
		listed.Load = o.unlistedLoad(r)
	}
	if snap.Stamp.Before(r.stamp) {
		o.learnLoad(r, listed.Load, snap.Stamp, server.ByResync)
		return line, false // a signal has told something newer
	}
	u := r.unit
	if found {
		u.Load, u.Active, u.Sub, u.Job, u.JobType = listed.Load, listed.Active, listed.Sub, listed.Job, listed.JobType
	} else {
		u = unloaded(u)
		u.Load = listed.Load
	}
	first := r.observedAt.IsZero()
	if u != r.unit && r.run != nil && !first {
		r.overlooked = true
		return line, false // the job reads for itself what it needs
	}
	changed = u != r.unit || first
	if found && changed {
		return u, true
	}
	r.loadStamp = snap.Stamp
	if changed {
		// Signals that are still queued and older than the list are passed over
		// from now on; what else they told is read again. When nothing changed
		// they may come: they end where the list is.
		r.stamp = snap.Stamp
	}
	o.apply(r, u, now, server.ByResync)
	return line, false
}

// unlistedLoad is the load state of a unit that systemd does not hold.
func (o *Orchestrator) unlistedLoad(r *record) string {
	switch {
	case r.masked:
		return "masked"
	case o.host.template == "":
		return "not-found"
	}
	return "loaded"
}

// slice picks the servers whose turn it is to be read again whole, so that all
// are within twenty resyncs (or the servers' number divided by ten, for few
// servers). Units that systemd does not hold are left alone: reading one would
// load it.
func (s *resyncer) slice(order []*record) []*record {
	n := min(max(10, len(order)/20), len(order))
	var picked []*record
	for range n {
		s.turn = (s.turn + 1) % len(order)
		if r := order[s.turn]; r.run == nil && r.unit.Active != "inactive" {
			picked = append(picked, r)
		}
	}
	return picked
}

// details reads all properties of the given servers. One that fails is logged
// and does not stop the others; then the list's word is better than nothing.
func (s *resyncer) details(ctx context.Context, looks []look, listed unitctl.Stamp) {
	var g errgroup.Group
	g.SetLimit(16)
	for _, l := range looks {
		g.Go(func() error {
			_, err := s.o.reread(ctx, l.r, server.ByResync)
			if err == nil || ctx.Err() != nil {
				return nil
			}
			s.o.Log.Warn().Err(err).Str("SERVER", string(l.r.row.Name)).Msg("cannot read the unit of a server")
			s.o.mu.Lock()
			defer s.o.mu.Unlock()
			if l.line != nil && !listed.Before(l.r.stamp) {
				l.r.stamp, l.r.loadStamp = listed, listed
				s.o.apply(l.r, *l.line, time.Now(), server.ByResync)
			}
			return nil
		})
	}
	_ = g.Wait()
}

// missingFiles looks for the files of each server that should have them, and says
// of those whether they are gone. What a job is at work on it leaves to the job.
func (o *Orchestrator) missingFiles() map[int64]bool {
	o.mu.RLock()
	rows := make(map[int64]server.Name, len(o.order))
	for _, r := range o.order {
		if r.row.Phase == server.PhaseReady && r.run == nil {
			rows[r.row.ID] = r.row.Name
		}
	}
	o.mu.RUnlock()
	missing := map[int64]bool{}
	for id, name := range rows {
		missing[id] = o.Files.Check(name) != nil
	}
	return missing
}

// lastTry is when a resync last ended, well or not.
func (s *resyncer) lastTry() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.triedAt
}

// health describes the last resync.
func (s *resyncer) health() ResyncHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := ResyncHealth{
		Enabled:         s.o.Settings.ResyncEnabled,
		IntervalSeconds: s.o.Settings.ResyncInterval.Seconds(),
		LastAt:          s.lastAt.UTC(),
		LastMillis:      float64(s.took.Microseconds()) / 1000,
	}
	if s.err != nil {
		h.Error = s.err.Error()
	}
	return h
}
