package orchestrator

import (
	"context"
	"errors"
	"time"

	"github.com/left4med/left4med/internal/instance"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// adoptable reads what an orphan would be as a server, and checks it as if it
// were newly given. With an error, what could be read is there all the same.
func (o *Orchestrator) adoptable(name server.Name) (*instance.Found, error) {
	if _, err := server.ParseName(string(name)); err != nil {
		return nil, err
	}
	found, err := o.Files.Adoptable(name)
	if err != nil {
		return nil, err
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, r := range o.order {
		if r.row.Config.Port == found.Config.Port {
			e := server.Errorf(server.CodePortTaken, "its port %d belongs to the server %s; change that one's with `l4d2ctl initialize %s --port …`, or delete it",
				found.Config.Port, r.row.Name, r.row.Name)
			e.Field = "config.port"
			return &found, e
		}
	}
	return &found, errors.Join(found.Config.Validate(o.Settings.Ports), o.Files.CheckOverlays(found.Config, found.Config.Overlays))
}

// Adopt makes a server of an orphan, whatever its unit does: a game that runs
// goes on. A refusal changes nothing and says why.
func (o *Orchestrator) Adopt(ctx context.Context, unit string, who server.Requester) (_ *server.Job, err error) {
	defer o.noteRefusedOrphan(who, server.JobAdopt, unit, &err)
	if err := o.writable(); err != nil {
		return nil, err
	}
	instance, err := o.orphanOf(ctx, unit)
	if err != nil {
		return nil, err
	}
	name := server.Name(instance)
	o.overlays.RLock()
	defer o.overlays.RUnlock()
	o.creating.Lock()
	defer o.creating.Unlock()
	found, err := o.adoptable(name)
	if err != nil {
		return nil, notAdoptable(unit, err)
	}
	row, err := o.adopted(name, found)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	row.CreatedAt = now
	row, job, err := o.Store.CreateServer(ctx, row, store.JobRow{
		Job: server.Job{
			Server: name, Kind: server.JobAdopt, State: server.JobQueued,
			RequestedBy: who, CreatedAt: now,
		},
		BootID: o.BootID,
	})
	if err != nil {
		return nil, err
	}
	o.logJob(&job.Job, nil)
	o.faults.pass("orphan inserted")
	o.mu.Lock()
	defer o.mu.Unlock()
	rec := newRecord(row)
	o.insert(rec)
	r := o.newRun(rec, job)
	r.found = found
	o.launch(r)
	return r.job, nil
}

// notAdoptable says why an orphan stays one. What is wrong with its settings is
// not the request's fault.
func notAdoptable(unit string, err error) error {
	e := refusalIn(err)
	if e == nil || e.Code == server.CodePortTaken || e.Code == server.CodeBusy {
		return err
	}
	refused := server.Errorf(server.CodeNotAdoptable, "%s cannot be made a server: %s", unit, e.Detail)
	refused.Err = err
	return refused
}

// adopted is the row of an orphan that becomes a server.
func (o *Orchestrator) adopted(name server.Name, found *instance.Found) (store.ServerRow, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	row := store.ServerRow{Name: name, Config: found.Config, Desired: server.DesiredStopped}
	n := o.orphans.known[string(name)]
	switch {
	case o.records[name] != nil:
		return row, server.Errorf(server.CodeNameTaken, "there is a server %s already", name)
	case n == nil:
		return row, server.Errorf(server.CodeOrphanNotFound, "there is no orphan %s any more", name.Unit())
	case n.job() != nil:
		return row, errOrphanBusy(name.Unit(), n.job())
	}
	if n.enabled {
		row.Desired = server.DesiredRunning
	}
	if found.Foreign {
		row.ChangedInvocation = n.unit.InvocationID // this run goes by the other system's rules
	}
	return row, nil
}

// job is what is under way to disable the orphan, or nil. The caller holds o.mu.
func (n *orphan) job() *server.Job {
	if n.rec == nil || n.rec.run == nil {
		return nil
	}
	return n.rec.run.job
}

func errOrphanBusy(unit string, job *server.Job) *server.Error {
	e := server.Errorf(server.CodeBusy, "%s has a %s job under way (job %d); wait for it", unit, job.Kind, job.ID)
	e.Job = job.ID
	return e
}

// adopt makes an orphan's files the server's. Until they are, a failure leaves
// everything as it was; a crash leaves a row in phase "creating" whose job begins
// again.
func (r *run) adopt() error {
	o, name := r.o, r.rec.row.Name
	defer o.resync.trigger() // it is an orphan no more, or again
	if err := r.begin(false); err != nil {
		return err
	}
	r.say("taking its files over")
	if err := r.takeOver(); err != nil {
		if errors.Is(context.Cause(r.ctx), errShutdown) {
			return err
		}
		return errors.Join(err, r.forget())
	}
	o.faults.pass("files adopted")
	if err := r.ready(); err != nil {
		return err
	}
	if err := o.mend(o.jobsCtx, r.rec); err != nil {
		o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot set the ports of an adopted server; its next start tries again")
	}
	if _, err := o.reread(o.jobsCtx, r.rec, server.ByJob); err != nil {
		o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot read the unit of an adopted server")
	}
	return nil
}

// takeOver writes the orphan's files anew, unless an attempt before this one
// has.
func (r *run) takeOver() error {
	o, name := r.o, r.rec.row.Name
	if on, err := o.Files.Read(name); err == nil && on.ID == r.rec.row.ID {
		return nil
	}
	if r.found == nil {
		found, err := o.Files.Adoptable(name)
		if err != nil {
			return err
		}
		if !found.Config.Equal(r.rec.row.Config) {
			return server.Errorf(server.CodeOvertaken, "the files of %s were changed before it was made a server; ask again", name)
		}
		r.found = &found
	}
	foreign, err := o.Files.RuntimeForeign(name)
	if err != nil {
		return err
	}
	if foreign {
		if err := r.takeRuntime(); err != nil {
			return err
		}
	}
	return o.Files.Adopt(r.ctx, name, r.rec.row.ID, *r.found)
}

// takeRuntime has the directories of the instance's runtime made root's by a unit
// that may: left4med itself has no capability.
func (r *run) takeRuntime() error {
	unit := r.rec.row.Name.AdoptUnit()
	result, err := r.runHelper(unit)
	if err == nil && result != unitctl.JobDone {
		err = server.Errorf(server.CodeNotAdoptable, "the directories of %s could not be taken over: %s ended as %q; `journalctl -u %s` says why",
			r.rec.row.Name, unit, result, unit)
	}
	return err
}

// DisableOrphan removes an orphan's link and stops its unit. Its files stay.
func (o *Orchestrator) DisableOrphan(ctx context.Context, unit string, who server.Requester) (_ *server.Job, err error) {
	defer o.noteRefusedOrphan(who, server.JobDisableOrphan, unit, &err)
	if err := o.writable(); err != nil {
		return nil, err
	}
	instance, err := o.orphanOf(ctx, unit)
	if err != nil {
		return nil, err
	}
	o.creating.Lock()
	defer o.creating.Unlock()
	links, err := o.Units.LinksChanged()
	if err != nil {
		return nil, err
	}
	rec, current, err := o.disabling(instance)
	if err != nil || current != nil {
		return current, err
	}
	rows, err := o.Store.InsertJobs(ctx, []store.NewJob{{Row: store.JobRow{
		Job: server.Job{
			Server: server.Name(instance), Kind: server.JobDisableOrphan, State: server.JobQueued,
			RequestedBy: who, CreatedAt: time.Now().UTC(),
		},
		Mark: mark{Linked: rec.enabled, Links: links}.encode(), BootID: o.BootID,
	}}})
	if err != nil {
		return nil, err
	}
	o.logJob(&rows[0].Job, nil)
	o.faults.pass("jobs inserted")
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.newRun(rec, rows[0])
	o.launch(r)
	return r.job, nil
}

// disabling judges a request to disable an orphan: it gives what its job works
// on, or the job that does it already.
func (o *Orchestrator) disabling(instance string) (*record, *server.Job, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.orphans.known[instance]
	switch {
	case n == nil || o.records[server.Name(instance)] != nil:
		return nil, nil, server.Errorf(server.CodeOrphanNotFound, "there is no orphan %s any more", unitOf(instance))
	case n.job() != nil && !n.rec.run.ending:
		return nil, n.job(), nil
	case !n.enabled && !n.loaded:
		return nil, nil, server.Errorf(server.CodeInvalidRequest, "%s is neither enabled nor running: there is only its directory, which `l4d2ctl initialize --adopt %s` makes a server; or move it away from %s",
			unitOf(instance), server.Quote(instance, 40), o.Files.Root()+"/instances")
	}
	n.rec = orphanRecord(instance)
	n.rec.enabled = n.enabled
	return n.rec, nil, nil
}

// orphanRecord is what a job works on that is about no server. Readers never see
// it.
func orphanRecord(instance string) *record {
	r := newRecord(store.ServerRow{Name: server.Name(instance), Phase: server.PhaseReady, Config: server.Config{Heal: server.HealOff}})
	r.orphan = true
	return r
}

// disableOrphan removes the link and stops the unit.
func (r *run) disableOrphan() error {
	defer r.o.resync.trigger() // it may be none any more
	return r.stop()
}

// noteRefusedOrphan is noteRefused for what is named by its unit.
func (o *Orchestrator) noteRefusedOrphan(who server.Requester, kind server.JobKind, unit string, err *error) {
	instance, ok := server.Instance(unit)
	if !ok {
		instance = unit
	}
	o.noteRefused(who, string(kind), server.Name(instance), err)
}
