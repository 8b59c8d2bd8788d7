package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func value(v float64) *float64 { return &v }

func TestSampleTakesIn(t *testing.T) {
	t.Parallel()
	s := Sample{}
	s.Add(Sample{Samples: 2, Memory: value(10), MemoryMax: value(12), Players: value(3), PlayersMax: value(4)})
	s.Add(Sample{Samples: 6, Memory: value(20), MemoryMax: value(11), CPU: value(50), CPUMax: value(60)})
	s.Add(Sample{Samples: 1})
	want := Sample{Samples: 9, Memory: value(17.5), MemoryMax: value(12), CPU: value(50), CPUMax: value(60), Players: value(3), PlayersMax: value(4)}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// No span has more than 1,500 values, nor a step that is shorter than what is kept
// of its oldest part, which would tear gaps.
func TestSeriesStep(t *testing.T) {
	t.Parallel()
	var spans []int
	for hours := 1; hours < SeriesDays*24; hours += 1 + hours/20 { // all of the first day, then fewer and fewer
		spans = append(spans, hours)
	}
	for _, hours := range append(spans, 48, 49, 14*24, 14*24+1, SeriesDays*24) {
		span := time.Duration(hours) * time.Hour
		step := SeriesStep(span)
		s := SeriesOf("a", at(7), at(7).Add(span), nil)
		if n := len(s.At); n > 1500 || n < 60 || time.Duration(s.StepSeconds)*time.Second != step || 24*time.Hour%step != 0 {
			t.Fatalf("%d hours are %d values of %s", hours, n, step)
		}
		for i, tier := range SeriesTiers[:2] {
			if span > tier.Keep && step%SeriesTiers[i+1].Step != 0 {
				t.Fatalf("%d hours are told in steps of %s, and kept in such of %s", hours, step, SeriesTiers[i+1].Step)
			}
		}
	}
}

func TestSeriesOf(t *testing.T) {
	t.Parallel()
	sample := func(minute int, memory float64) Sample {
		return Sample{At: at(minute), Step: time.Minute, Samples: 1, Memory: value(memory), MemoryMax: value(memory)}
	}
	// Of two hours the first minutes, and what lies outside.
	got := SeriesOf("a", at(0).Add(30*time.Second), at(120).Add(30*time.Second), []Sample{
		sample(120, 7), sample(1, 2.6), sample(1, 4), sample(-1, 9), sample(121, 9),
		{At: at(2), Step: time.Minute, Samples: 3, CPU: value(1.2345), CPUMax: value(2), Players: value(1.0 / 3), PlayersMax: value(1)},
	})
	if len(got.At) != 121 || !got.From.Equal(at(0)) || got.At[120] != at(120).Unix() {
		t.Fatalf("%d values from %s", len(got.At), got.From)
	}
	type row struct {
		Memory, MemoryMax *int64
		CPU, CPUMax       *float64
		Players           *float64
		PlayersMax        *int64
	}
	number := func(n int64) *int64 { return &n }
	rows := map[int]row{}
	for i := range got.At {
		if r := (row{got.Memory[i], got.MemoryMax[i], got.CPU[i], got.CPUMax[i], got.Players[i], got.PlayersMax[i]}); r != (row{}) {
			rows[i] = r
		}
	}
	want := map[int]row{
		1:   {Memory: number(3), MemoryMax: number(4)},
		2:   {CPU: value(1.23), CPUMax: value(2), Players: value(0.33), PlayersMax: number(1)},
		120: {Memory: number(7), MemoryMax: number(7)},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
