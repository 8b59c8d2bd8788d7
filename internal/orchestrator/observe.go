package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// handle applies one event of systemd. unitctl calls it from one goroutine, in
// the order in which systemd spoke.
func (o *Orchestrator) handle(ev unitctl.Event) {
	if !o.faults.hears(ev.Kind) {
		return
	}
	switch ev.Kind {
	case unitctl.Connected:
		o.connected(ev)
	case unitctl.Disconnected:
		o.disconnected(ev)
	case unitctl.Reloading:
		o.setReloading(true)
	case unitctl.Reloaded:
		o.setReloading(false)
		o.resync.trigger()
		o.mendSoon()
	case unitctl.UnitFilesChanged:
		o.refreshLinks(server.BySignal)
	case unitctl.Changed:
		o.observe(ev, func(u server.Unit) server.Unit { return ev.Change.Apply(u) })
	case unitctl.Removed:
		o.observe(ev, unloaded)
	case unitctl.Appeared:
		o.appeared(ev)
	}
}

// unloaded is what is true of a unit that systemd has let go of: it is
// inactive. The result of its last run stays known.
func unloaded(u server.Unit) server.Unit {
	u.Active, u.Sub, u.MainPID, u.Job = "inactive", "dead", 0, 0
	if u.Load == "" {
		u.Load = "loaded"
	}
	return u
}

func (o *Orchestrator) connected(ev unitctl.Event) {
	o.mu.Lock()
	if !o.link.since.IsZero() {
		o.link.reconnects++
	}
	o.link.err, o.link.reloading = "", false
	o.setConnected(true, ev.At)
	o.mu.Unlock()
	o.resync.trigger()
	o.mendSoon()
	o.jobs.Go(func() {
		ctx, cancel := context.WithTimeout(o.jobsCtx, 10*time.Second)
		defer cancel()
		if v, err := o.Units.Version(ctx); err == nil {
			o.mu.Lock()
			o.link.version = v
			o.mu.Unlock()
		}
	})
}

func (o *Orchestrator) disconnected(ev unitctl.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watch.ended(ev.At, server.WatchUnlinked)
	if o.link.connected || o.link.since.IsZero() {
		o.setConnected(false, ev.At)
	}
	if ev.Err != nil {
		o.link.err = ev.Err.Error()
	}
}

// setConnected notes that the link to systemd came or went. The caller holds
// o.mu.
func (o *Orchestrator) setConnected(on bool, at time.Time) {
	o.link.connected, o.link.since = on, at
	close(o.relink)
	o.relink = make(chan struct{})
}

func (o *Orchestrator) setReloading(on bool) {
	o.mu.Lock()
	o.link.reloading = on
	o.mu.Unlock()
}

// observe applies what a signal said to the server's record, if there is one.
func (o *Orchestrator) observe(ev unitctl.Event, change func(server.Unit) server.Unit) {
	name, _ := server.Instance(ev.Unit)
	o.mu.Lock()
	defer o.mu.Unlock()
	r, ok := o.records[server.Name(name)]
	if !ok {
		o.stranger(ev)
		return
	}
	if ev.Stamp.Before(r.stamp) {
		return
	}
	o.pendingNU.done(r.row.Name)
	r.stamp = ev.Stamp
	u := change(r.unit)
	news := u.Since != r.unit.Since && !r.observedAt.IsZero()
	if u.Job != r.unit.Job {
		u.JobType = ""
		if u.Job != 0 && r.run == nil {
			o.jobs.Go(func() { o.learnJob(r, u.Job) })
		}
	}
	if o.passing(r, u) {
		asked := r.unsure && r.unit.Active == u.Active
		if (u.Job == 0 || u.Active == "failed") && !asked {
			o.jobs.Go(func() { o.makeSure(r) })
		}
		r.unit, r.unsure = u, true
		return
	}
	o.apply(r, u, ev.At, server.BySignal)
	if age, known := ev.Change.Age(); known && news {
		o.Meter.Shown(age)
	}
}

// passing recognises what a unit may be for a moment alone, on its way to an
// automatic restart. systemd before 254 tells "failed" and then
// "auto-restart", with no word between them for what it is going to do
// (service_enter_dead in its src/core/service.c), the first perhaps with the job
// of a start that it has come to the end of; and the restart itself passes
// through "inactive" with a job whose kind has to be asked. An operator who is
// told of a loss must be able to believe it. The caller holds o.mu.
func (o *Orchestrator) passing(r *record, u server.Unit) bool {
	switch {
	case r.run != nil:
		return false // no drift is judged, and the job looks for itself
	case u.Active == "failed":
		return (r.unsure || server.DeriveState(r.unit) != server.StateFailed) && server.DeriveState(u) == server.StateFailed && o.link.passesFailed()
	case u.Active == "inactive":
		return u.Job != 0 && u.JobType == "" && (r.unsure || server.DeriveState(r.unit) == server.StateRestarting)
	}
	return false
}

// passesFailed says whether this systemd calls a unit failed that it is about
// to restart. One that did not tell its version yet may.
func (l *linkState) passesFailed() bool {
	var major int
	_, err := fmt.Sscanf(l.version, "%d", &major)
	return err != nil || major < 254
}

// makeSure asks what became of a unit that may have been passing through a
// state. The answer comes when systemd is done with what it was doing.
func (o *Orchestrator) makeSure(r *record) {
	ctx, cancel := context.WithTimeout(o.jobsCtx, 10*time.Second)
	defer cancel()
	for {
		_, err := o.reread(ctx, r, server.BySignal)
		if err != nil {
			o.Log.Warn().Err(err).Str("SERVER", string(r.row.Name)).Msg("cannot read the unit of a server that seems to have failed")
		}
		o.mu.Lock()
		if err != nil && r.unsure {
			o.apply(r, r.unit, time.Now(), server.BySignal)
		}
		overtaken := r.unsure // by a signal that tells no more
		o.mu.Unlock()
		if !overtaken {
			return
		}
	}
}

// learnJob asks what kind of job somebody else queued for a unit: an inactive
// unit with a start job is starting, one with a stop job has stopped.
func (o *Orchestrator) learnJob(r *record, id uint32) {
	ctx, cancel := context.WithTimeout(o.jobsCtx, 10*time.Second)
	defer cancel()
	kind, err := o.Units.JobType(ctx, id)
	if err != nil {
		return // it is over already, and systemd is about to tell what came of it
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.unit.Job == id {
		r.unit.JobType, r.unsure = kind, false
		o.publish(r, server.BySignal)
	}
}

// apply sets what was observed of a unit. The caller holds o.mu.
func (o *Orchestrator) apply(r *record, u server.Unit, at time.Time, by server.Observer) {
	if u != r.unit && u.Active != r.unit.Active {
		o.Log.Debug().Str("SERVER", string(r.row.Name)).Str("from", r.unit.Active).Str("to", u.Active).
			Str("sub", u.Sub).Str("seen_by", string(by)).Msg("the unit changed")
	}
	o.countRestarts(r, u, at)
	r.unit, r.observedAt, r.observedBy, r.stale, r.unsure = u, at, by, false, false
	r.noteStop(u)
	o.publish(r, by)
}

// noteStop tells a unit that was told to stop from one whose game ended badly, which
// passes through "deactivating" with that result, and which afterwards are both
// "failed" if what was told to stop had to be killed, or crashed over it
// (service_enter_stop in systemd's src/core/service.c keeps the first result).
func (r *record) noteStop(u server.Unit) {
	switch state := server.DeriveState(u); {
	case state == server.StateStopping && u.Result == "success":
		r.toldToStop = true
	case state.Live() && state != server.StateStopping:
		r.toldToStop = false
	}
}

// reread asks systemd for all of a unit's properties and applies the answer.
func (o *Orchestrator) reread(ctx context.Context, r *record, by server.Observer) (server.Unit, error) {
	u, stamp, err := o.unitWithJob(ctx, r.row.Name.Unit())
	if err != nil {
		return server.Unit{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.answered(r, u, stamp, by), nil
}

// answered takes in what systemd answered of a unit, and returns what is true of
// it. The caller holds o.mu.
func (o *Orchestrator) answered(r *record, u server.Unit, stamp unitctl.Stamp, by server.Observer) server.Unit {
	if stamp.Before(r.stamp) { // a signal has told something newer
		o.learnLoad(r, u.Load, stamp, by)
		return r.unit
	}
	r.stamp, r.loadStamp = stamp, stamp
	if u.JobType == "" && u.Job == r.unit.Job {
		u.JobType = r.unit.JobType
	} else if u.JobType == "" && u.Job != 0 && r.run == nil {
		o.jobs.Go(func() { o.learnJob(r, u.Job) })
	}
	o.apply(r, u, time.Now(), by)
	return u
}

// learnLoad takes in a unit's load state from an answer that a signal has
// overtaken: signals tell all of a unit but that, so it is still news, unless a
// newer answer told it. The caller holds o.mu.
func (o *Orchestrator) learnLoad(r *record, load string, stamp unitctl.Stamp, by server.Observer) {
	if stamp.Before(r.loadStamp) {
		return
	}
	r.loadStamp = stamp
	switch {
	case load == r.unit.Load:
	case r.run != nil:
		r.overlooked = true // the job reads for itself what it needs
	default:
		r.unit.Load = load
		o.publish(r, by)
	}
}

// unitWithJob reads a unit and, where it depends on the job queued for it what
// the unit is, also that job's kind, which the unit does not tell: on its way to
// an automatic restart a unit is inactive with a start job, and not stopped.
func (o *Orchestrator) unitWithJob(ctx context.Context, unit string) (u server.Unit, stamp unitctl.Stamp, err error) {
	for range 3 {
		u, stamp, err = o.Units.Unit(ctx, unit)
		if err != nil || u.Job == 0 || u.Active != "inactive" && u.Active != "failed" {
			return u, stamp, err
		}
		if kind, err := o.Units.JobType(ctx, u.Job); err == nil {
			u.JobType = kind
			return u, stamp, nil
		}
		// The job is over already, and the unit another.
	}
	return u, stamp, nil
}

// refreshLinks reads the enablement links and unit files anew and applies
// them to all servers, as seen by by.
func (o *Orchestrator) refreshLinks(by server.Observer) {
	o.linksMu.Lock()
	defer o.linksMu.Unlock()
	links, err := o.Units.Links()
	if err != nil {
		o.Log.Error().Err(err).Msg("cannot read the enablement links")
		return
	}
	template, shadowed := o.Units.TemplatePaths()
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.host.strangers
	o.host = hostFacts{template: template, shadowed: shadowed, links: links}
	for instance, enabled := range links.Enabled {
		if _, known := o.records[server.Name(instance)]; enabled && !known {
			o.host.strangers = append(o.host.strangers, instance)
		}
	}
	slices.Sort(o.host.strangers)
	if by != server.ByResync && !slices.Equal(o.host.strangers, before) {
		o.resync.trigger() // orphans came or went
	}
	for _, r := range o.order {
		o.applyLink(r, links.Enabled[string(r.row.Name)], links.IsMasked(string(r.row.Name)), by)
	}
}

// applyLink sets a server's enablement. The caller holds o.mu.
func (o *Orchestrator) applyLink(r *record, enabled, masked bool, by server.Observer) {
	r.enabled, r.masked = enabled, masked
	o.publish(r, by)
}

// appeared remembers a unit that systemd loaded without a word about its
// state: it can have come to life with nothing but UnitNew. If no signal speaks
// of it soon, the list is read; asking the unit itself could load it anew and
// make the next UnitNew.
func (o *Orchestrator) appeared(ev unitctl.Event) {
	name, _ := server.Instance(ev.Unit)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.link.reloading {
		o.lookSoon(server.Name(name))
	}
}

// lookSoon has the list read if nothing more is heard of a unit.
func (o *Orchestrator) lookSoon(name server.Name) {
	if o.pendingNU.add(name) {
		o.jobs.Go(func() {
			select {
			case <-o.jobsCtx.Done():
			case <-time.After(appearedGrace):
				if o.pendingNU.drain() > 0 {
					o.resync.trigger()
				}
			}
		})
	}
}

// appearedGrace is how long a new unit may stay silent before the list is
// read. PropertiesChanged normally follows UnitNew within the same wake-up of
// systemd.
const appearedGrace = 50 * time.Millisecond
