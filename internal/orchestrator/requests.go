package orchestrator

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// errJobsDisabled is the answer to every write while jobs are switched off.
func errJobsDisabled() *server.Error {
	return server.Errorf(server.CodeJobsDisabled, "jobs are switched off on this host ([jobs] enabled = false in /etc/left4me/left4med.toml), so nothing can be changed; what is shown stays true")
}

func (o *Orchestrator) writable() *server.Error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	switch {
	case o.closing:
		return server.Errorf(server.CodeShuttingDown, "left4med is shutting down; ask again in a moment")
	case !o.Settings.JobsEnabled:
		return errJobsDisabled()
	}
	return nil
}

// Request asks for the same job for each of the named servers: start, stop,
// restart, reset or delete. The jobs are on the disk when it returns, in the order of
// names; a server that is refused does not hold up the others. The same request
// twice is one job.
func (o *Orchestrator) Request(ctx context.Context, kind server.JobKind, names []server.Name, who server.Requester) (jobs []*server.Job, refused []Refusal, err error) {
	return o.request(ctx, kind, "", names, who)
}

// RestartWhenEmpty is Request for restarts of which each begins when nobody plays on
// its server. What else is asked of a server meanwhile is done beside the wait, but a
// restart and what leaves it stopped take the waiting job's place.
func (o *Orchestrator) RestartWhenEmpty(ctx context.Context, names []server.Name, who server.Requester) (jobs []*server.Job, refused []Refusal, err error) {
	return o.request(ctx, server.JobRestart, server.WhenEmpty, names, who)
}

func (o *Orchestrator) request(ctx context.Context, kind server.JobKind, when server.When, names []server.Name, who server.Requester) (jobs []*server.Job, refused []Refusal, err error) {
	defer o.noteRefusedOf(who, string(kind), names, &refused, &err)
	if err := o.writable(); err != nil {
		return nil, nil, err
	}
	claimed, refused, err := o.claim(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	defer unclaim(claimed)

	plan := o.plan(kind, when, claimed, who)
	if err := o.insertJobs(ctx, plan); err != nil {
		return nil, nil, err
	}
	o.engage(plan)
	jobs, more := plan.answer(names)
	return jobs, append(refused, more...), nil
}

// claim takes the servers for this request alone, so that two requests for one
// server are judged one after the other. The order by name keeps two requests
// for many from waiting for each other.
func (o *Orchestrator) claim(ctx context.Context, names []server.Name) ([]*record, []Refusal, error) {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	var claimed []*record
	var refused []Refusal
	for _, name := range slices.Compact(sorted) {
		o.mu.RLock()
		r := o.records[name]
		o.mu.RUnlock()
		if r == nil {
			refused = append(refused, Refusal{Server: string(name), Err: errNoServer(name)})
			continue
		}
		select {
		case r.claimed <- struct{}{}:
			claimed = append(claimed, r)
		case <-ctx.Done():
			unclaim(claimed)
			return nil, nil, ctx.Err()
		}
	}
	return claimed, refused, nil
}

// claimOne is claim for one server, which release gives back.
func (o *Orchestrator) claimOne(ctx context.Context, name server.Name) (r *record, release func(), err error) {
	claimed, refused, err := o.claim(ctx, []server.Name{name})
	switch {
	case err != nil:
		return nil, nil, err
	case len(refused) > 0:
		return nil, nil, refused[0].Err
	}
	return claimed[0], func() { unclaim(claimed) }, nil
}

func unclaim(records []*record) {
	for _, r := range records {
		<-r.claimed
	}
}

// Create makes a new server. Its settings are the defaults changed by patch;
// without a port it gets the lowest free one of the range.
func (o *Orchestrator) Create(ctx context.Context, name server.Name, patch server.ConfigPatch, who server.Requester) (_ *server.Job, err error) {
	defer o.noteRefused(who, string(server.JobInitialize), name, &err)
	if err := o.writable(); err != nil {
		return nil, err
	}
	o.overlays.RLock()
	defer o.overlays.RUnlock()
	o.creating.Lock()
	defer o.creating.Unlock()
	cfg, err := o.newConfig(name, patch)
	if err != nil {
		return nil, err
	}
	if !o.Files.Gone(name) {
		return nil, server.Errorf(server.CodeNameTaken, "there is a directory of an instance %s that no server owns; move it away from /var/lib/left4me/instances and runtime, or choose another name", name)
	}
	now := time.Now().UTC()
	row, job, err := o.Store.CreateServer(ctx,
		store.ServerRow{Name: name, Phase: server.PhaseCreating, Config: cfg, Desired: server.DesiredStopped, CreatedAt: now},
		store.JobRow{
			Job: server.Job{
				Server: name, Kind: server.JobInitialize, State: server.JobQueued,
				RequestedBy: who, CreatedAt: now,
			},
			BootID: o.BootID,
		})
	if err != nil {
		return nil, err
	}
	o.logJob(&job.Job, nil)
	o.faults.pass("server inserted")
	o.mu.Lock()
	defer o.mu.Unlock()
	rec := newRecord(row)
	o.insert(rec)
	r := o.newRun(rec, job)
	o.launch(r)
	return r.job, nil
}

func (o *Orchestrator) newConfig(name server.Name, patch server.ConfigPatch) (server.Config, error) {
	cfg := patch.Apply(server.DefaultConfig(name))
	o.mu.RLock()
	_, taken := o.records[name]
	owners := map[uint16]server.Name{}
	for _, r := range o.order {
		owners[r.row.Config.Port] = r.row.Name
	}
	o.mu.RUnlock()
	if taken {
		return cfg, server.Errorf(server.CodeNameTaken, "there is a server %s already; choose another name, or change its settings with `l4d2ctl initialize %s --port …`", name, name)
	}
	if patch.Port == nil {
		port, ok := o.Settings.Ports.Lowest(func(p uint16) bool { return owners[p] != "" })
		if !ok {
			return cfg, server.Errorf(server.CodeNoFreePort, "every port from %d to %d belongs to a server; delete one, or widen the range in /etc/left4me/left4med.toml", o.Settings.Ports.Low, o.Settings.Ports.High)
		}
		cfg.Port = port
	} else if owner := owners[cfg.Port]; owner != "" {
		return cfg, errPortTaken(cfg.Port, owner)
	}
	return cfg, o.checkConfig(server.Config{}, cfg)
}

// checkConfig says whether a server may have the settings cfg in the place of old.
func (o *Orchestrator) checkConfig(old, cfg server.Config) error {
	if err := cfg.Validate(o.Settings.Ports); err != nil {
		return err
	}
	if o.Capacity != nil && !cfg.SameLimits(old) {
		if err := o.Capacity().Check(cfg.Limits()); err != nil {
			return err
		}
	}
	if err := o.Files.CheckOverlays(cfg, old.Overlays); err != nil {
		return err
	}
	if cfg.Map == old.Map && cfg.GameMode == old.GameMode && slices.Equal(cfg.Overlays, old.Overlays) {
		return nil // what it has may be gone from the game since
	}
	return o.lists.Check(cfg)
}

func errPortTaken(port uint16, owner server.Name) *server.Error {
	e := server.Errorf(server.CodePortTaken, "the port %d belongs to the server %s; choose another, or leave it out to get a free one", port, owner)
	e.Field = "config.port"
	return e
}

// Change changes settings of a server. They apply at its next start.
func (o *Orchestrator) Change(ctx context.Context, name server.Name, patch server.ConfigPatch, who server.Requester) (_ *Entry, err error) {
	defer o.noteRefused(who, "change", name, &err)
	return o.change(ctx, name, patch, who, nil)
}

// change changes settings of a server, or with secret one of its secrets: that
// writes its files, and changes what the next start brings also when the settings
// stay.
func (o *Orchestrator) change(ctx context.Context, name server.Name, patch server.ConfigPatch, who server.Requester, secret writeSecret) (*Entry, error) {
	if err := o.writable(); err != nil {
		return nil, err
	}
	r, release, err := o.claimOne(ctx, name)
	if err != nil {
		return nil, err
	}
	defer release()
	o.overlays.RLock()
	defer o.overlays.RUnlock()
	cfg, invocation, err := o.changed(r, patch)
	if err != nil {
		return nil, err
	}
	write := o.Files.Write
	if secret != nil {
		write = secret
	}
	old, oldInvocation := r.row.Config, r.row.ChangedInvocation
	if err := o.checkConfig(old, cfg); err != nil {
		return nil, err
	}
	if err := o.roomFor(ctx, r, old.Limits(), cfg.Limits()); err != nil {
		return nil, err
	}
	if secret == nil && cfg.OnlyLimitsDiffer(old) {
		invocation = oldInvocation // no start is needed for them
	}
	if secret == nil && cfg.Equal(old) {
		// The files are written all the same: that mends what is missing.
	} else if err := o.Store.SetConfig(ctx, r.row.ID, cfg, invocation); err != nil {
		return nil, err
	}
	if err := write(context.WithoutCancel(ctx), name, r.row.ID, cfg); err != nil {
		return nil, errors.Join(err, o.Store.SetConfig(context.WithoutCancel(ctx), r.row.ID, old, oldInvocation))
	}
	if changes := old.Changes(cfg); changes != "" {
		o.noteChange(ctx, server.HistoryEntry{Server: string(name), ServerID: r.row.ID, What: "change", By: &who, Detail: changes})
	}
	if err := o.fitUnit(ctx, name, cfg); err != nil {
		o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot set the ports and limits of a server; its next start tries again")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	r.row.Config, r.row.ChangedInvocation, r.config = cfg, invocation, &cfg
	o.publish(r, server.ByJob)
	return r.entry, nil
}

// changed works out the new settings, which are still to be checked, and the run
// of the unit that does not have them yet.
func (o *Orchestrator) changed(r *record, patch server.ConfigPatch) (cfg server.Config, invocation string, err error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	name := r.row.Name
	if o.records[name] != r {
		return cfg, "", errNoServer(name)
	}
	if r.row.Phase != server.PhaseReady {
		e := server.Errorf(server.CodeBusy, "the server %s is being made or deleted (%s), so its settings cannot be changed", name, r.row.Phase)
		if r.run != nil {
			e.Job = r.run.job.ID
		}
		return cfg, "", e
	}
	cfg = patch.Apply(r.row.Config)
	for _, other := range o.order {
		if other != r && other.row.Config.Port == cfg.Port {
			return cfg, "", errPortTaken(cfg.Port, other.row.Name)
		}
	}
	if r.state().Live() {
		invocation = r.unit.InvocationID
	}
	return cfg, invocation, nil
}
