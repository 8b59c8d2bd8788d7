package orchestrator

import (
	"context"
	"time"
)

// What is kept of jobs that have ended: the newest of each server's name, and
// all of the last month. At 1,000 servers the first are at most 200,000 rows, a
// few hundred bytes each.
const (
	keptJobs   = 200
	keptFor    = 30 * 24 * time.Hour
	upkeepTime = 24 * time.Hour
)

// upkeep removes old jobs, at the start and once a day.
func (o *Orchestrator) upkeep(ctx context.Context) {
	tick := time.NewTicker(upkeepTime)
	defer tick.Stop()
	for {
		o.pruneJobs(ctx, time.Now().Add(-keptFor))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// pruneJobs removes the jobs that ended before a time, a slice at a time, so
// that no request waits long for it. What a full disk refuses today is done
// tomorrow.
func (o *Orchestrator) pruneJobs(ctx context.Context, before time.Time) {
	var total int64
	for ctx.Err() == nil {
		n, err := o.Store.PruneJobs(ctx, keptJobs, before)
		if err != nil {
			o.Log.Warn().Err(err).Msg("cannot remove old jobs; trying again tomorrow")
			return
		}
		if total += n; n == 0 {
			break
		}
	}
	if total > 0 {
		o.Log.Info().Int64("jobs", total).Msg("removed old jobs")
	}
}
