package orchestrator

import (
	"context"
	"time"

	"github.com/left4med/left4med/internal/store"
)

// What is kept of jobs that have ended: the newest of each server's name, and
// all of the last month. At 1,000 servers the first are at most 200,000 rows, a
// few hundred bytes each.
const (
	keptJobs   = 200
	keptFor    = 30 * 24 * time.Hour
	upkeepTime = 24 * time.Hour
)

// refusedPart is which part of the history's entries may be refusals: a flood of
// them shall not push out what happened.
const refusedPart = 5

// upkeep removes old jobs and old history and thins the samples, at the start and once a day.
func (o *Orchestrator) upkeep(ctx context.Context) {
	tick := time.NewTicker(upkeepTime)
	defer tick.Stop()
	for {
		o.prune(ctx, "jobs", func() (int64, error) {
			return o.Store.PruneJobs(ctx, keptJobs, time.Now().Add(-keptFor))
		})
		o.prune(ctx, "entries of the history", func() (int64, error) {
			return o.Store.PruneHistory(ctx, store.HistoryLimits{
				Rows: o.Settings.HistoryEntries, Refusals: o.Settings.HistoryEntries / refusedPart,
				Since: time.Now().AddDate(0, 0, -o.Settings.HistoryDays),
			})
		})
		o.prune(ctx, "watches", func() (int64, error) {
			return o.Store.PruneWatches(ctx, time.Now().AddDate(0, 0, -max(o.Settings.HistoryDays, maxDays)))
		})
		o.thin(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// maxDays is how far back availability is told, in days.
const maxDays = 90

// thin has fewer samples say the same of what is long ago, a server at a time: a
// day of one is a few milliseconds, in which no other write goes on.
func (o *Orchestrator) thin(ctx context.Context) {
	var removed int64
	for _, e := range o.List().Servers {
		if ctx.Err() != nil {
			return
		}
		n, err := o.Store.ThinSamples(ctx, e.ID, time.Now(), time.Duration(o.Settings.SeriesDays)*24*time.Hour)
		if err != nil {
			o.Log.Warn().Err(err).Msg("cannot thin the samples; trying again tomorrow")
			return
		}
		removed += n
	}
	if removed > 0 {
		o.Log.Info().Int64("removed", removed).Msg("thinned the samples")
	}
}

// prune removes what is old, a slice at a time, so that no request waits long
// for it. What a full disk refuses today is done tomorrow.
func (o *Orchestrator) prune(ctx context.Context, what string, slice func() (removed int64, err error)) {
	var total int64
	for ctx.Err() == nil {
		n, err := slice()
		if err != nil {
			o.Log.Warn().Err(err).Msg("cannot remove old " + what + "; trying again tomorrow")
			return
		}
		if total += n; n == 0 {
			break
		}
	}
	if total > 0 {
		o.Log.Info().Int64("removed", total).Msg("removed old " + what)
	}
}
