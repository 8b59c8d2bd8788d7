package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/left4med/left4med/internal/server"
)

// minute is a sample of so many looks, in which all went on at once.
func minute(at time.Time, looks int, memory, percent, players float64) server.Sample {
	return server.Sample{
		At: at.UTC().Truncate(time.Minute), Step: time.Minute, Samples: looks,
		Memory: &memory, MemoryMax: &memory, CPU: &percent, CPUMax: &percent, Players: &players, PlayersMax: &players,
	}
}

func samples(t testing.TB, s *Store, id int64) []server.Sample {
	t.Helper()
	all, err := s.Samples(t.Context(), id, time.Unix(0, 0), clock.AddDate(10, 0, 0), time.Minute)
	must(t, err)
	return all
}

// alike compares samples: what their units cut off is no difference.
func alike(t *testing.T, want, got []server.Sample) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-6, 0.011), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}

// A minute that a restart of the daemon cut in two is one.
func TestSamplesOfOneMinuteAreOne(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	a, _ := create(t, s, "a", 27015)
	b, _ := create(t, s, "b", 27016)
	half := minute(clock, 2, 4096<<20, 50, 3)
	must(t, s.AddSamples(ctx, map[int64]server.Sample{a.ID: half, b.ID: half, 99: half}))
	rest := minute(clock, 4, 1024<<20, 20, 0)
	must(t, s.AddSamples(ctx, map[int64]server.Sample{a.ID: rest}))
	bare := server.Sample{At: half.At, Step: time.Minute, Samples: 1}
	must(t, s.AddSamples(ctx, map[int64]server.Sample{b.ID: bare}))

	want := half
	want.Add(rest)
	alike(t, []server.Sample{want}, samples(t, s, a.ID))
	want = half
	want.Samples++
	alike(t, []server.Sample{want}, samples(t, s, b.ID))

	must(t, s.DeleteServer(ctx, a.ID, nil))
	must(t, s.AddSamples(ctx, map[int64]server.Sample{a.ID: half})) // it comes too late
	alike(t, nil, samples(t, s, a.ID))
	alike(t, []server.Sample{want}, samples(t, s, b.ID))
}

// What is thinned says the same in fewer rows, however often and whenever it is
// done, and each moment lies in one row.
func TestSamplesAreThinned(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	a, _ := create(t, s, "a", 27015)
	now := time.Date(2026, 5, 20, 12, 34, 56, 0, time.UTC)
	begin := now.Add(-16 * 24 * time.Hour).Truncate(time.Hour)
	var all []server.Sample
	for at, i := begin, 0; at.Before(now); at, i = at.Add(4*time.Minute), i+1 {
		m := minute(at, 1+i%6, float64(i<<20), float64(i%100), float64(i%8))
		if at.Before(begin.Add(36 * time.Hour)) {
			m.Players, m.PlayersMax = nil, nil
		}
		all = append(all, m)
		must(t, s.AddSamples(ctx, map[int64]server.Sample{a.ID: m}))
		if i%2000 == 0 {
			_, err := s.ThinSamples(ctx, a.ID, at, server.SeriesDays*24*time.Hour)
			must(t, err)
		}
	}
	thin := func(keep time.Duration) int64 {
		n, err := s.ThinSamples(ctx, a.ID, now, keep)
		must(t, err)
		return n
	}
	thin(server.SeriesDays * 24 * time.Hour)
	same(t, int64(0), thin(server.SeriesDays*24*time.Hour))

	type row struct{ Step, At int64 }
	rows, wantRows := map[row]int{}, map[row]int{}
	kept, err := s.readers.QueryContext(ctx, `SELECT step, at FROM series`)
	must(t, err)
	defer kept.Close()
	for kept.Next() {
		var r row
		must(t, kept.Scan(&r.Step, &r.At))
		rows[r]++
	}
	var total server.Sample
	for _, m := range samples(t, s, a.ID) {
		total.Add(m)
	}
	for _, m := range all {
		step := time.Minute
		if m.At.Before(now.Add(-14 * 24 * time.Hour).Truncate(time.Hour)) {
			step = time.Hour
		} else if m.At.Before(now.Add(-48 * time.Hour).Truncate(10 * time.Minute)) {
			step = 10 * time.Minute
		}
		wantRows[row{int64(step / time.Second), m.At.Truncate(step).Unix()}] = 1
	}
	same(t, wantRows, rows)
	var want server.Sample
	for _, m := range all {
		want.Add(m)
	}
	want.Players, total.Players = nil, nil // an unknown value weighs as much as a known one of its row
	if diff := cmp.Diff(want, total, cmpopts.EquateApprox(0.01, 0)); diff != "" {
		t.Errorf("all together (-want +got):\n%s", diff)
	}
	// Over the last five days, whatever the rows.
	from := now.Add(-5 * 24 * time.Hour)
	got, err := s.Samples(ctx, a.ID, from.Truncate(10*time.Minute), now, 10*time.Minute)
	must(t, err)
	wantSeries, gotSeries := server.SeriesOf("a", from, now, all), server.SeriesOf("a", from, now, got)
	if diff := cmp.Diff(wantSeries, gotSeries, cmpopts.EquateApprox(0.01, 0.02), cmp.Comparer(func(x, y *int64) bool {
		return x == y || x != nil && y != nil && max(*x-*y, *y-*x) <= 1024
	})); diff != "" {
		t.Errorf("five days (-want +got):\n%s", diff)
	}

	thin(36 * time.Hour)
	for _, m := range samples(t, s, a.ID) {
		if m.At.Before(now.Add(-36 * time.Hour)) {
			t.Fatalf("a row of %s is kept", m.At)
		}
	}
}

// Each of the queries that are asked often walks what it answers, and no more.
func TestSeriesQueriesUseTheirIndexes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for query, c := range map[string]struct {
		args []any
		want []string
	}{
		samplesQuery:                             {[]any{60, 1, 0, 100}, []string{"SEARCH series USING PRIMARY KEY (server_id=? AND step=? AND at>? AND at<?)", "USE TEMP B-TREE FOR GROUP BY"}},
		presenceQuery:                            {[]any{"a", 1, 0}, []string{"SEARCH history USING INDEX history_by_server (server=?)"}},
		`DELETE FROM series WHERE server_id = ?`: {[]any{1}, []string{"SEARCH series USING PRIMARY KEY (server_id=?)"}},
		`DELETE FROM series WHERE server_id = ? AND step = ? AND at < ?`: {[]any{1, 60, 0}, []string{"SEARCH series USING PRIMARY KEY (server_id=? AND step=? AND at<?)"}},
		`SELECT at FROM history ORDER BY id DESC LIMIT 1`:                {nil, []string{"SCAN history"}}, // its first step is the answer
	} {
		rows, err := s.readers.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query, c.args...)
		must(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var line string
			must(t, rows.Scan(&id, &parent, &unused, &line))
			plan = append(plan, line)
		}
		must(t, rows.Err())
		rows.Close()
		same(t, c.want, plan)
	}
}

func TestWatches(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	must(t, s.EndWatch(ctx)) // there is none
	watches := func() []server.Watch {
		w, err := s.Watches(ctx, clock)
		must(t, err)
		return w
	}
	same(t, []server.Watch{}, watches())
	at := func(sec int) time.Time { return clock.Add(time.Duration(sec) * time.Second) }
	older := server.Watch{From: at(-200), Until: at(-150), Boot: "0"}
	old := server.Watch{From: at(-100), Until: at(-50), Boot: "0", Ended: server.WatchStopped}
	first := server.Watch{From: at(-10), Until: at(0), Boot: "1", Ended: server.WatchUnlinked}
	second := server.Watch{From: at(20), Until: at(20), Boot: "1"}
	must(t, s.SetWatches(ctx, older, old, first, second))
	second.Until = at(60)
	must(t, s.SetWatches(ctx, second))
	same(t, []server.Watch{old, first, second}, watches())

	// A daemon that was killed saw what it put on record last.
	must(t, s.AddHistory(ctx, server.HistoryEntry{At: at(80), Kind: server.HistoryRefusal}))
	must(t, s.EndWatch(ctx))
	second.Until = at(80)
	same(t, []server.Watch{old, first, second}, watches())
	must(t, s.AddHistory(ctx, server.HistoryEntry{At: at(70), Kind: server.HistoryRefusal}))
	must(t, s.EndWatch(ctx))
	same(t, []server.Watch{old, first, second}, watches())
	second.Ended = server.WatchStopped // it ended as it was told to, and knew when
	must(t, s.SetWatches(ctx, second))
	must(t, s.AddHistory(ctx, server.HistoryEntry{At: at(90), Kind: server.HistoryRefusal}))
	must(t, s.EndWatch(ctx))
	same(t, []server.Watch{old, first, second}, watches())

	// The one before tells why nobody looked when the time began, and stays.
	n, err := s.PruneWatches(ctx, clock)
	must(t, err)
	same(t, int64(1), n)
	same(t, []server.Watch{old, first, second}, watches())
}

// Presence is of one server alone, and says from when on nothing is missing.
func TestPresence(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	a, _ := create(t, s, "a", 27015)
	must(t, s.DeleteServer(ctx, a.ID, nil))
	b, _ := create(t, s, "a", 27015) // another of the same name
	at := func(sec int) time.Time { return clock.Add(time.Duration(sec) * time.Second) }
	entry := func(sec int, id int64, kind server.HistoryKind) server.HistoryEntry {
		return server.HistoryEntry{At: at(sec), Server: "a", ServerID: id, Kind: kind, From: "x", To: "y"}
	}
	found := entry(4, b.ID, server.HistoryState)
	found.Since = at(3)
	must(t, s.AddHistory(ctx, entry(1, a.ID, server.HistoryState), entry(1, b.ID, server.HistoryState), entry(2, b.ID, server.HistoryDesired),
		entry(3, b.ID, server.HistoryDrift), entry(3, b.ID, server.HistoryRefusal), found))
	presence := func() ([]server.HistoryEntry, time.Time) {
		entries, whole, err := s.Presence(ctx, "a", b.ID, at(2))
		must(t, err)
		for i := range entries {
			entries[i].ID = 0
		}
		return entries, whole
	}
	entries, whole := presence()
	same(t, []server.HistoryEntry{entry(2, b.ID, server.HistoryDesired), found}, entries)
	same(t, time.Time{}, whole)

	_, err := s.PruneHistory(ctx, HistoryLimits{Rows: 2, Refusals: 1})
	must(t, err)
	entries, whole = presence()
	same(t, []server.HistoryEntry{found}, entries)
	same(t, at(2).Add(time.Microsecond), whole)
	_, err = s.PruneHistory(ctx, HistoryLimits{Rows: 1, Refusals: 1})
	must(t, err)
	_, whole = presence()
	same(t, at(2).Add(time.Microsecond), whole) // a refusal is not missed
}

// A database of before, with rows, gets the new tables and keeps what it has.
func TestVersion3IsBroughtUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	frozen, err := os.ReadFile("testdata/v3.sql")
	must(t, err)
	bare(t, path, string(frozen))
	s := openAt(t, path)
	same(t, len(migrations()), s.Schema())
	same(t, []server.HistoryEntry{{
		ID: 7, At: time.Unix(1700000005, 0).UTC(), Server: "versus-1", ServerID: 4, Kind: server.HistoryState, What: "state",
		From: "running", To: "failed", SeenBy: "signal", Detail: "result signal",
	}}, history(t, s, server.HistoryFilter{}))
	row := servers(t, s)[0]
	same(t, server.StateFailed, row.Seen.State)
	must(t, s.AddSamples(t.Context(), map[int64]server.Sample{row.ID: minute(clock, 6, 1, 1, 1)}))
	same(t, 1, len(samples(t, s, row.ID)))
}

// size is how large the database is, with nothing in its log.
func size(b *testing.B, s *Store) int64 {
	b.Helper()
	_, err := s.conn.ExecContext(b.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
	must(b, err)
	info, err := os.Stat(s.Path())
	must(b, err)
	return info.Size()
}

// BenchmarkSeries is what the series cost: the write of a minute of 1,000 servers,
// that have had an hour of them; the answer about a day and about all of the time of
// one that has a year of rows; a day's thinning of it; and the room that it takes.
func BenchmarkSeries(b *testing.B) {
	now := clock.Truncate(time.Hour)
	fill := func(b *testing.B, s *Store, ids []int64, step, from, to time.Duration) {
		for at := now.Add(-from); at.Before(now.Add(-to)); at = at.Add(step) {
			batch := map[int64]server.Sample{}
			for _, id := range ids {
				m := minute(at, int(step/(10*time.Second)), float64(1<<30+id<<20+at.Unix()%4096<<10), float64(at.Unix()%300), float64(at.Unix()%9))
				m.Step = step
				batch[id] = m
			}
			must(b, s.AddSamples(b.Context(), batch))
		}
	}
	with := func(b *testing.B, many int) (s *Store, ids []int64) {
		s = newStore(b)
		for i := range many {
			row, _ := create(b, s, server.Name(fmt.Sprintf("s%d", i)), uint16(20000+i))
			ids = append(ids, row.ID)
		}
		return s, ids
	}
	b.Run("minute", func(b *testing.B) {
		s, ids := with(b, 1000)
		fill(b, s, ids, time.Minute, time.Hour, 0)
		for b.Loop() {
			fill(b, s, ids, time.Minute, 0, -time.Minute)
			now = now.Add(time.Minute)
		}
		size(b, s)
		fill(b, s, ids, time.Minute, 0, -time.Minute)
		info, err := os.Stat(s.Path() + "-wal")
		must(b, err)
		b.ReportMetric(float64(info.Size())/1024, "KiB-of-log/op")
	})
	s, ids := with(b, 20)
	empty := size(b, s)
	fill(b, s, ids, time.Hour, 365*24*time.Hour, 14*24*time.Hour)
	fill(b, s, ids, 10*time.Minute, 14*24*time.Hour, 48*time.Hour)
	long := size(b, s)
	fill(b, s, ids, time.Minute, 48*time.Hour, 0)
	many := float64(len(ids)) * 1024
	full := size(b, s)
	for name, span := range map[string]time.Duration{"day": 24 * time.Hour, "all": server.SeriesDays * 24 * time.Hour} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				all, err := s.Samples(b.Context(), ids[i%len(ids)], now.Add(-span), now, server.SeriesStep(span))
				must(b, err)
				server.SeriesOf("a", now.Add(-span), now, all)
			}
			b.ReportMetric(float64(full-empty)/many, "KiB/server")
			b.ReportMetric(float64(full-long)/many, "KiB-of-minutes/server")
		})
	}
	b.Run("thin", func(b *testing.B) {
		later, last := now, ids[0]
		for b.Loop() {
			later = later.Add(24 * time.Hour)
			b.StopTimer()
			now = later
			fill(b, s, []int64{last}, time.Minute, 24*time.Hour, 0)
			b.StartTimer()
			_, err := s.ThinSamples(b.Context(), last, later, server.SeriesDays*24*time.Hour)
			must(b, err)
		}
	})
}
