package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// orphans is what is of our template and belongs to no server. Every resync looks
// for them, and a signal about a unit that is no server's brings one about.
// o.mu guards it.
type orphans struct {
	known  map[string]*orphan       // by instance
	lately map[server.Name]struct{} // the servers that went since the resync under way began

	// What the store does not have yet.
	found   map[string]time.Time
	gone    map[string]struct{}
	entries []server.HistoryEntry
	notices []store.Notice

	told bool // rules for alerts know of those that were there when the daemon started
}

// orphan is one of them.
type orphan struct {
	instance string // as systemd spells it; it may break the rule for names
	unit     server.Unit
	loaded   bool // systemd holds the unit
	enabled  bool
	masked   bool
	files    bool
	since    time.Time
	rec      *record // of the job that disables it; nil before the first
}

func newOrphans() orphans {
	return orphans{
		known: map[string]*orphan{}, lately: map[server.Name]struct{}{},
		found: map[string]time.Time{}, gone: map[string]struct{}{},
	}
}

// unitOf is the unit of an instance that may break the rule for names.
func unitOf(instance string) string { return server.Name(instance).Unit() }

// loadOrphans takes over those that an earlier run of the daemon told of. The
// caller holds o.mu.
func (o *Orchestrator) loadOrphans(units map[string]time.Time) {
	for unit, since := range units {
		if instance, ok := server.Instance(unit); ok {
			o.orphans.known[instance] = &orphan{instance: instance, since: since}
		}
	}
}

// stranger has all looked at soon when a signal told of a unit that no server
// has. That systemd let go of one matters only when it was an orphan. The caller
// holds o.mu.
func (o *Orchestrator) stranger(ev unitctl.Event) {
	name, _ := server.Instance(ev.Unit)
	if o.link.reloading || ev.Kind == unitctl.Removed && o.orphans.known[name] == nil {
		return
	}
	o.lookSoon(server.Name(name))
}

// orphansReread is how many orphans' units every resync reads, whether or not they
// changed.
const orphansReread = 50

// findOrphans compares what systemd and the disk hold with what is known, and
// returns the orphans whose units are to be read. The caller holds o.mu.
func (o *Orchestrator) findOrphans(snap unitctl.Snapshot, dirs []string, now time.Time) (again []*orphan) {
	p := &o.orphans
	known := make(map[string]*orphan, len(p.known))
	take := func(instance string) *orphan {
		if known[instance] == nil && !o.hasOwner(instance) {
			n := orphan{instance: instance, since: now.UTC().Truncate(time.Microsecond)} // as the store keeps it
			if old := p.known[instance]; old != nil {
				n = *old
				n.enabled, n.files, n.loaded = false, false, false
			}
			known[instance] = &n
		}
		return known[instance]
	}
	for unit, line := range snap.Units {
		instance, _ := server.Instance(unit)
		if line.Active == "inactive" && line.Job == 0 {
			continue
		}
		if n := take(instance); n != nil {
			n.loaded = true
		}
	}
	for _, instance := range o.host.strangers {
		if n := take(instance); n != nil {
			n.enabled = true
		}
	}
	for _, dir := range dirs {
		if n := take(server.InstanceOf(dir)); n != nil {
			n.files = true
		}
	}
	for instance, old := range p.known {
		if old.rec != nil && old.rec.run != nil && known[instance] == nil && !o.hasOwner(instance) {
			n := *old // its job is to be seen through
			n.enabled, n.files, n.loaded = false, false, false
			known[instance] = &n
		}
	}
	again = o.compareOrphans(known, snap)
	o.swapOrphans(known, now)
	return again
}

// compareOrphans applies the orphans' lines of the list, and returns those whose
// units are to be read. The caller holds o.mu.
func (o *Orchestrator) compareOrphans(known map[string]*orphan, snap unitctl.Snapshot) (again []*orphan) {
	for instance, n := range known {
		line := snap.Units[unitOf(instance)]
		if !n.loaded {
			line = unloaded(server.Unit{Load: line.Load})
		}
		was := n.unit
		n.masked = o.host.links.IsMasked(instance)
		n.unit.Load, n.unit.Active, n.unit.Sub, n.unit.Job, n.unit.JobType = line.Load, line.Active, line.Sub, line.Job, line.JobType
		if !n.loaded {
			n.unit = line
		} else if n.unit != was || len(again) < orphansReread {
			again = append(again, n) // in no order, so all have their turn
		}
	}
	return again
}

// instanceDirs lists the directories of instances. Where they cannot be read,
// those of the orphans are thought to be there still.
func (o *Orchestrator) instanceDirs() []string {
	dirs, err := o.Files.List()
	if err == nil {
		return dirs
	}
	o.Log.Warn().Err(err).Msg("cannot look for instances that no server owns")
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, n := range o.orphans.known {
		if n.files {
			dirs = append(dirs, n.instance)
		}
	}
	return dirs
}

// hasOwner says whether an instance is a server's, or was until a moment ago. The
// caller holds o.mu.
func (o *Orchestrator) hasOwner(instance string) bool {
	name := server.Name(instance)
	_, lately := o.orphans.lately[name]
	return o.records[name] != nil || lately
}

// swapOrphans puts on record which orphans came and went. The caller holds o.mu.
func (o *Orchestrator) swapOrphans(known map[string]*orphan, now time.Time) {
	p := &o.orphans
	tell := func(n *orphan, to, detail string) {
		p.entries = append(p.entries, server.HistoryEntry{
			At: now.UTC(), Server: server.Visible(n.instance), Kind: server.HistoryOrphan, What: "orphan",
			To: to, SeenBy: string(server.ByResync), Detail: detail,
		})
	}
	for _, instance := range slices.Sorted(maps.Keys(known)) {
		n := known[instance]
		if p.known[instance] == nil || !p.told {
			p.notices = append(p.notices, o.orphanNotices(n, true, now)...)
		}
		if p.known[instance] == nil {
			tell(n, server.OrphanFound, n.words())
			p.found[unitOf(instance)] = n.since
			delete(p.gone, unitOf(instance))
		}
	}
	for _, instance := range slices.Sorted(maps.Keys(p.known)) {
		if n := p.known[instance]; known[instance] == nil {
			detail := ""
			if o.records[server.Name(instance)] != nil {
				detail = "it is a server now"
			}
			tell(n, server.OrphanGone, detail)
			p.notices = append(p.notices, o.orphanNotices(n, false, now)...)
			p.gone[unitOf(instance)] = struct{}{}
			delete(p.found, unitOf(instance))
		}
	}
	p.known, p.told = known, true
}

// words say what there is of an orphan.
func (n *orphan) words() string {
	var parts []string
	if n.enabled {
		parts = append(parts, "enabled")
	}
	if n.loaded {
		parts = append(parts, n.unit.Active+" ("+n.unit.Sub+")")
	}
	if n.files {
		parts = append(parts, "an instance's directory")
	}
	return strings.Join(parts, ", ")
}

// storeOrphans writes what changed. What the disk refuses is tried again by the
// next resync.
func (o *Orchestrator) storeOrphans(ctx context.Context) {
	o.mu.Lock()
	p := &o.orphans
	found, gone, entries, notices := p.found, p.gone, p.entries, p.notices
	p.found, p.gone, p.entries, p.notices = map[string]time.Time{}, map[string]struct{}{}, nil, nil
	o.mu.Unlock()
	if len(found)+len(gone)+len(entries)+len(notices) == 0 {
		return
	}
	err := o.alerts.with(notices, func(a *store.Alerts) error {
		return o.Store.SetOrphans(ctx, found, slices.Sorted(maps.Keys(gone)), entries, a)
	})
	if err == nil {
		for _, e := range entries {
			o.logEntry(e, nil)
		}
		return
	}
	o.Log.Error().Err(err).Msg("cannot write which orphans there are; the next resync tries again")
	o.mu.Lock()
	defer o.mu.Unlock()
	for unit, at := range found {
		if _, is := p.gone[unit]; !is {
			p.found[unit] = at
		}
	}
	for unit := range gone {
		if _, is := p.found[unit]; !is {
			p.gone[unit] = struct{}{}
		}
	}
	p.entries = append(entries, p.entries...)
	p.notices = append(notices, p.notices...)
}

// readOrphans reads all properties of the given orphans' units.
func (s *resyncer) readOrphans(ctx context.Context, orphans []*orphan) {
	var g errgroup.Group
	g.SetLimit(16)
	for _, n := range orphans {
		g.Go(func() error {
			u, _, err := s.o.Units.Unit(ctx, unitOf(n.instance))
			if err != nil {
				if ctx.Err() == nil {
					s.o.Log.Warn().Err(err).Str("UNIT", unitOf(n.instance)).Msg("cannot read the unit of an orphan")
				}
				return nil
			}
			s.o.mu.Lock()
			defer s.o.mu.Unlock()
			if s.o.orphans.known[n.instance] == n {
				u.JobType = n.unit.JobType
				n.unit = u
			}
			return nil
		})
	}
	_ = g.Wait()
}

// Orphans returns what belongs to no server, by unit, with what their files say.
func (o *Orchestrator) Orphans(ctx context.Context) ([]server.Orphan, error) {
	o.mu.RLock()
	list := make([]server.Orphan, 0, len(o.orphans.known))
	for _, n := range o.orphans.known {
		if !o.hasOwner(n.instance) {
			list = append(list, n.view())
		}
	}
	o.mu.RUnlock()
	slices.SortFunc(list, func(a, b server.Orphan) int { return strings.Compare(a.Unit, b.Unit) })
	for i := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := &list[i]
		found, err := o.adoptable(server.Name(n.Name))
		if n.Adoptable = err == nil; err != nil {
			n.Obstacle = server.Visible(refusalText(err))
		}
		if found != nil {
			n.Config = &found.Config
		}
	}
	return list, nil
}

// refusalText is an error as a client may read it.
func refusalText(err error) string {
	if e := refusalIn(err); e != nil {
		return e.Detail
	}
	return "its files cannot be read; `journalctl -u left4med` tells more"
}

// view is the orphan without what its files say.
func (n *orphan) view() server.Orphan {
	v := server.Orphan{
		Unit: unitOf(n.instance), Name: n.instance, Desired: server.DesiredStopped,
		State: server.DeriveState(n.unit), Files: n.files, Since: n.since.UTC(),
		ActiveState: n.unit.Active, SubState: n.unit.Sub, LoadState: n.unit.Load, UnitFileState: "disabled",
	}
	switch {
	case n.masked:
		v.UnitFileState = "masked"
	case n.enabled:
		v.UnitFileState = "enabled"
	}
	if n.enabled {
		v.Desired = server.DesiredRunning
	}
	if n.loaded {
		restarts := n.unit.Restarts
		v.Result, v.MainPID, v.Restarts, v.StateSince = n.unit.Result, n.unit.MainPID, &restarts, n.unit.Since.UTC()
	}
	if n.rec != nil && n.rec.run != nil {
		v.Job = n.rec.run.job
	}
	return v
}

// orphanUnits are copies of those to tell of. The caller holds
// o.mu.
func (o *Orchestrator) orphanUnits() []orphan {
	var list []orphan
	for _, n := range o.orphans.known {
		if !o.hasOwner(n.instance) {
			list = append(list, *n)
		}
	}
	slices.SortFunc(list, func(a, b orphan) int { return strings.Compare(a.instance, b.instance) })
	return list
}

// canAdopt says whether an orphan's files can be adopted as they are.
func (o *Orchestrator) canAdopt(n orphan) bool {
	_, err := o.adoptable(server.Name(n.instance))
	return n.files && err == nil
}

// checkOrphans names what is of the servers' template and is no server. What can
// be adopted comes first; then what runs, or will.
func checkOrphans(orphans []orphan, adoptable func(orphan) bool) Check {
	c := Check{Name: "orphans", OK: true, LookedAt: "units of " + server.Template + ", and the directories of instances", Found: "every unit and every instance belongs to a server"}
	if len(orphans) == 0 {
		return c
	}
	list := make([]string, len(orphans))
	for i, n := range orphans {
		list[i] = server.Visible(n.instance) + " (" + n.words() + ")"
	}
	c.OK, c.Found = false, fmt.Sprintf("%d of no server: %s", len(orphans), someOf(list))
	stoppable := func(n orphan) bool { return n.enabled || n.loaded }
	if slices.ContainsFunc(orphans, adoptable) {
		c.Cure = "l4d2ctl initialize --adopt --all"
	} else if i := slices.IndexFunc(orphans, stoppable); i >= 0 {
		c.Cure = "l4d2ctl delete --orphan '" + server.Visible(unitOf(orphans[i].instance)) + "'"
	} else {
		c.Cure = "l4d2ctl orphans" // it says what stands in the way of each
	}
	return c
}

// orphanOf finds an orphan by its unit. One that is not known yet may have come
// since the last resync.
func (o *Orchestrator) orphanOf(ctx context.Context, unit string) (string, error) {
	instance, err := server.ParseUnit(unit)
	if err != nil {
		return "", err
	}
	for again := range 2 {
		o.mu.RLock()
		known, owned := o.orphans.known[instance] != nil, o.records[server.Name(instance)] != nil
		o.mu.RUnlock()
		switch {
		case known && !owned:
			return instance, nil
		case owned:
			return "", server.Errorf(server.CodeNameTaken, "%s is the unit of the server %s, so it is no orphan", unit, instance)
		case again == 0:
			if err := o.Resync(ctx); err != nil {
				return "", fmt.Errorf("cannot look for orphans: %w", err)
			}
		}
	}
	return "", server.Errorf(server.CodeOrphanNotFound, "there is no orphan %s; `l4d2ctl orphans` lists them", server.Quote(unit, 80))
}
