package store

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// The units of a stored sample. What they cut off is below what is shown.
const (
	memoryUnit  = 1024 // bytes
	cpuUnit     = 0.01 // percent
	playersUnit = 0.01
)

const seriesColumns = `samples, memory, memory_max, cpu, cpu_max, players, players_max`

// mergeSeries takes a row into the one that is there of the same time: half a
// minute before the daemon's restart and the other half after it are one. An
// integer's division cuts; 0.5 more rounds.
const mergeSeries = ` ON CONFLICT (server_id, step, at) DO UPDATE SET
	memory  = coalesce(CAST((memory * samples + excluded.memory * excluded.samples) * 1.0 / (samples + excluded.samples) + 0.5 AS INTEGER), memory, excluded.memory),
	cpu     = coalesce(CAST((cpu * samples + excluded.cpu * excluded.samples) * 1.0 / (samples + excluded.samples) + 0.5 AS INTEGER), cpu, excluded.cpu),
	players = coalesce(CAST((players * samples + excluded.players * excluded.samples) * 1.0 / (samples + excluded.samples) + 0.5 AS INTEGER), players, excluded.players),
	memory_max  = coalesce(max(memory_max, excluded.memory_max), memory_max, excluded.memory_max),
	cpu_max     = coalesce(max(cpu_max, excluded.cpu_max), cpu_max, excluded.cpu_max),
	players_max = coalesce(max(players_max, excluded.players_max), players_max, excluded.players_max),
	samples = samples + excluded.samples`

// AddSamples stores samples by their server's id, all or none, in one transaction.
// Each is a minute's; one of a minute that is there is taken into it. Those of
// deleted servers are passed over.
func (s *Store) AddSamples(ctx context.Context, samples map[int64]server.Sample) error {
	return s.write(ctx, "store the samples", func(ctx context.Context, q querier) error {
		for id, m := range samples {
			_, err := q.ExecContext(ctx, `INSERT INTO series (server_id, step, at, `+seriesColumns+`)
				SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM servers WHERE id = ? AND deleted_at IS NULL`+mergeSeries,
				int64(m.Step/time.Second), m.At.Unix(), m.Samples,
				inUnits(m.Memory, memoryUnit), inUnits(m.MemoryMax, memoryUnit), inUnits(m.CPU, cpuUnit), inUnits(m.CPUMax, cpuUnit),
				inUnits(m.Players, playersUnit), inUnits(m.PlayersMax, 1), id)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Samples returns what is kept of a server from a time on and before another, as
// one sample for each step, by time. What is kept in longer steps than that is told
// where they begin.
func (s *Store) Samples(ctx context.Context, id int64, from, to time.Time, step time.Duration) ([]server.Sample, error) {
	rows, err := s.readers.QueryContext(ctx, samplesQuery, int64(step/time.Second), id, from.Unix(), to.Unix())
	if err != nil {
		return nil, s.fail("read the samples", err)
	}
	defer rows.Close()
	var samples []server.Sample
	for rows.Next() {
		m := server.Sample{Step: step}
		var at int64
		var memory, memoryMax, cpu, cpuMax, players, playersMax sql.NullFloat64
		if err := rows.Scan(&at, &m.Samples, &memory, &memoryMax, &cpu, &cpuMax, &players, &playersMax); err != nil {
			return nil, s.fail("read the samples", err)
		}
		m.At = time.Unix(at, 0).UTC()
		m.Memory, m.MemoryMax = ofUnits(memory, memoryUnit), ofUnits(memoryMax, memoryUnit)
		m.CPU, m.CPUMax = ofUnits(cpu, cpuUnit), ofUnits(cpuMax, cpuUnit)
		m.Players, m.PlayersMax = ofUnits(players, playersUnit), ofUnits(playersMax, 1)
		samples = append(samples, m)
	}
	return samples, s.fail("read the samples", rows.Err())
}

// samplesQuery walks one range for each step that is kept.
const samplesQuery = `SELECT at / ?1 * ?1, sum(samples),
	  sum(memory * samples) * 1.0 / sum(iif(memory IS NULL, 0, samples)), max(memory_max),
	  sum(cpu * samples) * 1.0 / sum(iif(cpu IS NULL, 0, samples)), max(cpu_max),
	  sum(players * samples) * 1.0 / sum(iif(players IS NULL, 0, samples)), max(players_max)
	FROM series WHERE server_id = ?2 AND step IN (60, 600, 3600) AND at >= ?3 AND at < ?4
	GROUP BY at / ?1 ORDER BY at / ?1`

func inUnits(v *float64, unit float64) sql.NullInt64 {
	if v == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: int64(math.Round(*v / unit)), Valid: true}
}

func ofUnits(v sql.NullFloat64, unit float64) *float64 {
	if !v.Valid {
		return nil
	}
	f := v.Float64 * unit
	return &f
}

// ThinSamples makes of a server's rows that are too old for their step fewer of the
// next longer one (server.SeriesTiers), removes what is older than keep, and returns
// how many are gone. What is left is the same however often it is done.
func (s *Store) ThinSamples(ctx context.Context, id int64, now time.Time, keep time.Duration) (removed int64, err error) {
	err = s.write(ctx, "thin the samples", func(ctx context.Context, q querier) error {
		removed = 0
		drop := func(step time.Duration, before time.Time) error {
			res, err := q.ExecContext(ctx, `DELETE FROM series WHERE server_id = ? AND step = ? AND at < ?`, id, int64(step/time.Second), before.Unix())
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			removed += n
			return err
		}
		for i, tier := range server.SeriesTiers {
			if err := drop(tier.Step, now.Add(-keep)); err != nil {
				return err
			}
			if i == len(server.SeriesTiers)-1 {
				break
			}
			longer := server.SeriesTiers[i+1].Step
			before := now.UTC().Add(-tier.Keep).Truncate(longer)
			_, err := q.ExecContext(ctx, thinSeries+mergeSeries, int64(longer/time.Second), id, int64(tier.Step/time.Second), before.Unix())
			if err != nil {
				return err
			}
			if err := drop(tier.Step, before); err != nil {
				return err
			}
		}
		return nil
	})
	return removed, err
}

// thinSeries makes the rows of a longer step of those of a shorter one.
const thinSeries = `INSERT INTO series (server_id, step, at, ` + seriesColumns + `)
	SELECT server_id, ?1, at / ?1 * ?1, sum(samples),
	  CAST(sum(memory * samples) * 1.0 / sum(iif(memory IS NULL, 0, samples)) + 0.5 AS INTEGER), max(memory_max),
	  CAST(sum(cpu * samples) * 1.0 / sum(iif(cpu IS NULL, 0, samples)) + 0.5 AS INTEGER), max(cpu_max),
	  CAST(sum(players * samples) * 1.0 / sum(iif(players IS NULL, 0, samples)) + 0.5 AS INTEGER), max(players_max)
	FROM series WHERE server_id = ?2 AND step = ?3 AND at < ?4 GROUP BY at / ?1`
