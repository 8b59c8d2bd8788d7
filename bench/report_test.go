package bench_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/left4med/left4med/test/machine"
)

// report is what one release showed.
type report struct {
	Release machine.Release `json:"release"`
	Systemd int             `json:"systemd"`
	Rows    []row           `json:"rows"`
}

// row is one thing measured. A row with a yardstick was measured in the same
// run, interleaved with it.
type row struct {
	What      string        `json:"what"`
	Servers   int           `json:"servers"`
	Runs      int           `json:"runs"`
	Median    time.Duration `json:"median_ns"`
	P99       time.Duration `json:"p99_ns"`
	Yardstick string        `json:"yardstick,omitempty"`
	Ratio     float64       `json:"ratio,omitempty"` // this median by the yardstick's
	Limit     float64       `json:"limit,omitempty"` // the ratio may not be above
	Note      string        `json:"note,omitempty"`
}

func newRow(what string, servers int, samples []time.Duration) row {
	return row{
		What: what, Servers: servers, Runs: len(samples),
		Median: quantile(samples, 0.5), P99: quantile(samples, 0.99),
	}
}

// against measures r by y; a limit of 0 is none.
func (r row) against(y row, limit float64) row {
	r.Yardstick, r.Limit = y.What, limit
	r.Ratio = float64(r.Median) / float64(y.Median)
	return r
}

// exceeded names the rows that are above their limit.
func (r *report) exceeded() []string {
	var over []string
	for _, w := range r.Rows {
		if w.Limit > 0 && w.Ratio > w.Limit {
			over = append(over, fmt.Sprintf("%s: %s (%v) is %.2f × %s, the limit is %.2f ×",
				r.Release, w.What, w.Median, w.Ratio, w.Yardstick, w.Limit))
		}
	}
	return over
}

func (r *report) print(out io.Writer) error {
	fmt.Fprintf(out, "\n%s, systemd %d\n", r.Release, r.Systemd)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tSERVERS\tRUNS\tMEDIAN\tP99\tRATIO\tLIMIT\tOF / NOTE")
	for _, x := range r.Rows {
		ratio, limit := "-", "-"
		if x.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", x.Ratio)
		}
		if x.Limit > 0 {
			limit = fmt.Sprintf("%.2f", x.Limit)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s%s\n", x.What, x.Servers, x.Runs, short(x.Median), short(x.P99), ratio, limit, x.Yardstick, x.Note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	case d > 0:
		return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
	}
	return "-"
}

// quantile is the smallest sample that so large a part of all do not exceed
// (nearest rank); the median of an even number is the mean of the middle two.
func quantile(samples []time.Duration, q float64) time.Duration {
	n := len(samples)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	if q == 0.5 && n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[min(max(int(math.Ceil(q*float64(n)))-1, 0), n-1)]
}
