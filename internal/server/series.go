package server

import "time"

// Sample is what a server took of the host and how many played, over a time or at
// one moment. What is nil is unknown; there is a maximum where there is a mean.
type Sample struct {
	At      time.Time     // where the time begins
	Step    time.Duration // how long it is
	Samples int           // how many looks it comes from, the weight of its means

	Memory, MemoryMax   *float64 // bytes
	CPU, CPUMax         *float64 // percent of one processor
	Players, PlayersMax *float64
}

// Add takes another sample in: the means are weighed, the maxima are those of both.
func (s *Sample) Add(other Sample) {
	weigh := func(mean **float64, other *float64, n, m int) {
		switch {
		case other == nil:
		case *mean == nil:
			value := *other
			*mean = &value
		default:
			value := (**mean*float64(n) + *other*float64(m)) / float64(n+m)
			*mean = &value
		}
	}
	highest := func(most **float64, other *float64) {
		if other != nil && (*most == nil || **most < *other) {
			value := *other
			*most = &value
		}
	}
	weigh(&s.Memory, other.Memory, s.Samples, other.Samples)
	weigh(&s.CPU, other.CPU, s.Samples, other.Samples)
	weigh(&s.Players, other.Players, s.Samples, other.Samples)
	highest(&s.MemoryMax, other.MemoryMax)
	highest(&s.CPUMax, other.CPUMax)
	highest(&s.PlayersMax, other.PlayersMax)
	s.Samples += other.Samples
}

// Series is what a server took of the host and how many played, over time. All
// lists are of one length: the first value of each belongs to the first time. A
// null is unknown: nobody looked, the server was down, or the host does not account
// for it.
type Series struct {
	Server      Name       `json:"server"`
	From        time.Time  `json:"from"`
	To          time.Time  `json:"to"`
	StepSeconds int64      `json:"step_seconds" doc:"How long the time of each value is; the longer the whole, the longer: at most 1500 values are told."`
	At          []int64    `json:"at" doc:"Where each time begins, in seconds since 1970-01-01 UTC."`
	Memory      []*int64   `json:"memory_bytes" doc:"Mean."`
	MemoryMax   []*int64   `json:"memory_bytes_max"`
	CPU         []*float64 `json:"cpu_percent" doc:"Mean, of one processor: two busy ones are 200."`
	CPUMax      []*float64 `json:"cpu_percent_max"`
	Players     []*float64 `json:"players" doc:"Mean."`
	PlayersMax  []*int64   `json:"players_max"`
}

// SeriesTiers are the steps in which samples are kept, and up to which age in each.
// The last is for as long as the setting [series] days says.
var SeriesTiers = [...]struct{ Step, Keep time.Duration }{
	{time.Minute, 48 * time.Hour},
	{10 * time.Minute, 14 * 24 * time.Hour},
	{time.Hour, 0},
}

// SeriesDays is how long samples are kept at most, in days.
const SeriesDays = 400

// SeriesStep is in which steps so long a time is told: in no more than 1,500, and
// in none shorter than what is kept of its oldest part.
func SeriesStep(span time.Duration) time.Duration {
	finest := SeriesTiers[0].Step
	for i, tier := range SeriesTiers[:len(SeriesTiers)-1] {
		if span > tier.Keep {
			finest = SeriesTiers[i+1].Step
		}
	}
	for _, step := range []time.Duration{1, 5, 10, 30, 60, 120, 240, 480} {
		if step *= time.Minute; step >= finest && span <= 1499*step {
			return step
		}
	}
	return 8 * time.Hour
}

// SeriesOf tells samples, in any order, as a series from from to to. The beginning
// is moved back to where a step begins.
func SeriesOf(name Name, from, to time.Time, samples []Sample) Series {
	step := SeriesStep(to.Sub(from))
	from = from.UTC().Truncate(step) // which counts from a Monday at midnight UTC: all steps divide a day
	n := int((to.Sub(from) + step - 1) / step)
	at := make([]Sample, n)
	for _, s := range samples {
		if i := int(s.At.Sub(from) / step); !s.At.Before(from) && i < n {
			at[i].Add(s)
		}
	}
	s := Series{
		Server: name, From: from, To: to.UTC(), StepSeconds: int64(step / time.Second), At: make([]int64, n),
		Memory: make([]*int64, n), MemoryMax: make([]*int64, n), CPU: make([]*float64, n), CPUMax: make([]*float64, n),
		Players: make([]*float64, n), PlayersMax: make([]*int64, n),
	}
	for i := range at {
		s.At[i] = from.Add(time.Duration(i) * step).Unix()
		s.Memory[i], s.MemoryMax[i] = whole(at[i].Memory), whole(at[i].MemoryMax)
		s.CPU[i], s.CPUMax[i] = hundredths(at[i].CPU), hundredths(at[i].CPUMax)
		s.Players[i], s.PlayersMax[i] = hundredths(at[i].Players), whole(at[i].PlayersMax)
	}
	return s
}

// whole is a value without its fraction.
func whole(v *float64) *int64 {
	if v == nil {
		return nil
	}
	n := int64(*v + 0.5)
	return &n
}

// hundredths is a value with two digits of its fraction.
func hundredths(v *float64) *float64 {
	if v == nil {
		return nil
	}
	n := float64(int64(*v*100+0.5)) / 100
	return &n
}
