package orchestrator

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// maxMinutes bounds the minutes that wait for a disk that hangs.
const maxMinutes = 10

// series gathers samples by the minute, and stores each minute once it is over, in
// one transaction. What the disk refuses is dropped: a picture with a gap harms
// nobody.
type series struct {
	store func(context.Context, map[int64]server.Sample) error
	o     *Orchestrator

	mu      sync.Mutex
	minutes map[time.Time]map[int64]server.Sample // by the server's id
}

func newSeries(o *Orchestrator) *series {
	return &series{
		store: func(ctx context.Context, m map[int64]server.Sample) error { return o.Store.AddSamples(ctx, m) },
		o:     o, minutes: map[time.Time]map[int64]server.Sample{},
	}
}

// sampleOf is one look at a server, as readers see it.
func sampleOf(s *server.Server, at time.Time) server.Sample {
	m := server.Sample{At: at.UTC().Truncate(time.Minute), Step: time.Minute, Samples: 1}
	if s.MemoryBytes != nil {
		bytes := float64(*s.MemoryBytes)
		m.Memory, m.MemoryMax = &bytes, &bytes
	}
	if s.CPUPercent != nil {
		m.CPU, m.CPUMax = s.CPUPercent, s.CPUPercent
	}
	if g := s.Game; g != nil && g.Reachable && g.Players != nil {
		players := float64(*g.Players)
		m.Players, m.PlayersMax = &players, &players
	}
	return m
}

// add takes in samples, by their servers' ids. What tells nothing is left out.
func (s *series) add(samples map[int64]server.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, m := range samples {
		if m.Memory == nil && m.CPU == nil && m.Players == nil {
			continue
		}
		minute := s.minutes[m.At]
		if minute == nil {
			minute = map[int64]server.Sample{}
			s.minutes[m.At] = minute
		}
		sum := minute[id]
		sum.Add(m)
		sum.At, sum.Step = m.At, m.Step
		minute[id] = sum
	}
	for len(s.minutes) > maxMinutes {
		delete(s.minutes, slices.MinFunc(slices.Collect(maps.Keys(s.minutes)), time.Time.Compare))
	}
}

// take removes the minutes that are over at a time, and returns them. Where the
// clock was set back, others are, too.
func (s *series) take(now time.Time) []map[int64]server.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	var over []map[int64]server.Sample
	for _, minute := range slices.SortedFunc(maps.Keys(s.minutes), time.Time.Compare) {
		if age := now.Sub(minute); age >= time.Minute || age < 0 {
			over = append(over, s.minutes[minute])
			delete(s.minutes, minute)
		}
	}
	return over
}

// loop stores minutes until ctx ends, and then what is left; the next daemon goes
// on with that minute.
func (s *series) loop(ctx context.Context) {
	if !s.o.Settings.SeriesEnabled {
		return
	}
	failing := false
	for {
		now := time.Now()
		next := time.NewTimer(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
		select {
		case <-ctx.Done():
			next.Stop()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchTime)
			defer cancel()
			s.write(ctx, time.Now().Add(time.Minute), failing)
			return
		case <-next.C:
		}
		failing = s.write(ctx, time.Now(), failing)
	}
}

// write stores the minutes that are over at a time, and says whether one is lost.
func (s *series) write(ctx context.Context, now time.Time, failing bool) bool {
	for _, minute := range s.take(now) {
		err := s.store(ctx, minute)
		if err != nil && !failing {
			s.o.Log.Warn().Err(err).Msg("cannot store what the servers took of the host; that is lost until it can be stored again")
		}
		failing = err != nil
	}
	return failing
}

// Series returns what a server took of the host over so many hours, up to now.
func (o *Orchestrator) Series(ctx context.Context, name server.Name, hours int) (*server.Series, error) {
	e, _, err := o.Get(name)
	if err != nil {
		return nil, err
	}
	to := time.Now().UTC()
	from := to.Add(-time.Duration(hours) * time.Hour)
	step := server.SeriesStep(to.Sub(from))
	samples, err := o.Store.Samples(ctx, e.ID, from.Truncate(step), to, step)
	if err != nil {
		return nil, err
	}
	s := server.SeriesOf(name, from, to, samples)
	return &s, nil
}
