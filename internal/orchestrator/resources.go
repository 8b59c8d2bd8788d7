package orchestrator

import (
	"context"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// usage is what one run of a unit took of the host when it was last sampled.
type usage struct {
	server.Usage
	at         time.Time
	invocation string   // of the run; empty before the first sample
	percent    *float64 // of one processor, since the sample before
}

// next is the usage after a new sample of a run.
func (u usage) next(now server.Usage, at time.Time, invocation string) usage {
	n := usage{Usage: now, at: at, invocation: invocation}
	took := at.Sub(u.at)
	if u.invocation == invocation && u.CPU != nil && now.CPU != nil && *now.CPU >= *u.CPU && took > 0 {
		percent := float64(*now.CPU-*u.CPU) / float64(took) * 100
		n.percent = &percent
	}
	return n
}

// show puts the sample among what readers see of a server, if it is of the run
// that they see.
func (u usage) show(s *server.Server) {
	s.MemoryBytes, s.CPUUsageNS, s.CPUPercent, s.Tasks = nil, nil, nil, nil
	if s.State.Live() && u.invocation != "" && u.invocation == s.InvocationID {
		s.MemoryBytes, s.CPUUsageNS, s.CPUPercent, s.Tasks = u.Memory, u.CPU, u.percent, u.Tasks
	}
}

// sampleShare is how many times as long as a round took the pause after it is at
// least: systemd answers some hundredths of a second for each hundred servers, in
// which it does nothing else.
const sampleShare = 20

// sampling reads again and again what the servers take of the host, which systemd
// never tells by itself.
func (o *Orchestrator) sampling(ctx context.Context) {
	if o.Settings.ResourcesEvery <= 0 {
		return
	}
	next := time.NewTimer(o.Settings.ResourcesEvery)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		began := time.Now()
		if err := o.sample(ctx); err != nil && ctx.Err() == nil && !unreached(err) {
			o.Log.Warn().Err(err).Msg("cannot read what the servers use of the host; trying again")
		}
		took := time.Since(began)
		next.Reset(max(o.Settings.ResourcesEvery-took, sampleShare*took))
	}
}

// sampleTime bounds one round, in which systemd may be busy with a reload.
const sampleTime = 10 * time.Second

// sample is one round over all servers that are live. It is left out while there
// is no connection to systemd, and while systemd reloads: it would wait.
func (o *Orchestrator) sample(ctx context.Context) error {
	var live []*record
	var units, invocations []string
	o.mu.RLock()
	if o.link.connected && !o.link.reloading {
		for _, r := range o.order {
			if r.unit.Active == "active" {
				live = append(live, r)
				units, invocations = append(units, r.row.Name.Unit()), append(invocations, r.unit.InvocationID)
			}
		}
	}
	o.mu.RUnlock()
	if len(live) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	samples, err := o.Units.Usage(ctx, units)
	if err != nil {
		return err
	}
	now := time.Now()
	if kept := o.takeIn(live, samples, invocations, now); o.Settings.SeriesEnabled {
		o.series.add(kept)
	}
	return nil
}

// takeIn shows what was sampled of servers that still are the same runs, and
// returns by their ids what there is to keep.
func (o *Orchestrator) takeIn(live []*record, samples []server.Usage, invocations []string, now time.Time) map[int64]server.Sample {
	kept := make(map[int64]server.Sample, len(live))
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, r := range live {
		if o.records[r.row.Name] == r && r.unit.InvocationID == invocations[i] {
			r.usage = r.usage.next(samples[i], now, invocations[i])
			r.showUsage()
			if r.entry != nil {
				kept[r.row.ID] = sampleOf(&r.entry.Server, now)
			}
		}
	}
	return kept
}

// showUsage replaces what readers see of the server by the same with its newest
// sample, which is no event. The caller holds o.mu.
func (r *record) showUsage() {
	if r.entry == nil {
		return
	}
	e := &Entry{Server: r.entry.Server}
	r.usage.show(&e.Server)
	r.entry = e
}

// roomFor refuses to lower the memory limit of a server that runs below what it
// takes now: the kernel would end the game. What the host does not account for it
// cannot limit either.
func (o *Orchestrator) roomFor(ctx context.Context, r *record, old, limits server.Limits) error {
	o.mu.RLock()
	live := r.state().Live()
	o.mu.RUnlock()
	if !live || limits.Memory() >= old.Memory() {
		return nil
	}
	now, err := o.Units.Usage(ctx, []string{r.row.Name.Unit()})
	if err != nil {
		return err
	}
	if used := now[0].Memory; used != nil && *used >= limits.Memory() {
		e := server.Errorf(server.CodeInvalidRequest, "%s takes %d bytes of memory now, and a limit of %d would end it; stop it first, or set a higher one",
			r.row.Name, *used, limits.Memory())
		e.Field = "config.memory_max"
		return e
	}
	return nil
}
