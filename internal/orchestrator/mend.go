package orchestrator

import (
	"context"
	"errors"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// mend brings up to date what an older version wrote of a server: its files, and
// what is set of its unit. Where nothing is to be done it reads a few
// files. The caller has claimed the server.
func (o *Orchestrator) mend(ctx context.Context, r *record) error {
	o.mu.RLock()
	name, id, cfg := r.row.Name, r.row.ID, r.row.Config
	o.mu.RUnlock()
	if err := o.Files.Complete(ctx, name, id, cfg); err != nil {
		return err
	}
	return o.fitUnit(ctx, name, cfg)
}

// fitUnit has systemd know a server's ports and limits.
func (o *Orchestrator) fitUnit(ctx context.Context, name server.Name, cfg server.Config) error {
	ports, err := o.setUnit(ctx, name, cfg)
	if ports {
		// Of a loaded unit systemd has put our ports in the place of all others;
		// an administrator's own it reads again with the unit's files.
		o.linker.reload()
	}
	return err
}

// setUnit sets which ports a server's unit may bind, and its limits, and answers
// whether it had to change the ports.
func (o *Orchestrator) setUnit(ctx context.Context, name server.Name, cfg server.Config) (ports bool, err error) {
	ports, err = o.Units.AllowPorts(ctx, name.Unit(), cfg.PortRules())
	_, limits := o.Units.SetLimits(ctx, name.Unit(), cfg.Limits())
	return ports, errors.Join(err, limits)
}

// mending mends all servers, once after the start, since the version may be a new
// one, and whenever systemd connects or has reloaded, and has the ports of those
// that run held again. A game that crashes before it is mended is denied its port
// and tried again by systemd.
func (o *Orchestrator) mending(ctx context.Context) {
	for {
		o.mu.RLock()
		records := append([]*record{}, o.order...)
		o.mu.RUnlock()
		for _, r := range records {
			o.mendOne(ctx, r)
			o.holdPorts(ctx, r)
		}
		select {
		case <-ctx.Done():
			return
		case <-o.mendAgain:
		}
	}
}

func (o *Orchestrator) mendOne(ctx context.Context, r *record) {
	select {
	case r.claimed <- struct{}{}:
		defer func() { <-r.claimed }()
	case <-ctx.Done():
		return
	}
	o.mu.RLock()
	leave := o.records[r.row.Name] != r || r.row.Phase != server.PhaseReady || r.run != nil || r.missing
	o.mu.RUnlock()
	if leave {
		return // a job does it itself
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := o.mend(ctx, r); err != nil && ctx.Err() == nil {
		o.Log.Warn().Err(err).Str("SERVER", string(r.row.Name)).Msg("cannot bring a server up to date; its next start tries again")
	}
}

func (o *Orchestrator) holdPorts(ctx context.Context, r *record) {
	o.mu.RLock()
	live := server.DeriveState(r.unit).Live()
	o.mu.RUnlock()
	if !live {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := o.Units.HoldPorts(ctx, r.row.Name.Unit()); err != nil && ctx.Err() == nil && !unreached(err) {
		o.Log.Warn().Err(err).Str("SERVER", string(r.row.Name)).Msg("cannot have systemd keep the ports of a server")
	}
}

// mendSoon has all servers mended. Many calls are one.
func (o *Orchestrator) mendSoon() {
	select {
	case o.mendAgain <- struct{}{}:
	default:
	}
}

// mended mends the server before it starts. While it waits for systemd requests
// are judged: one for a stop must not wait, too.
func (r *run) mended() error {
	return r.reach(func() error {
		return r.alone(func() error { return r.o.mend(r.ctx, r.rec) })
	})
}
