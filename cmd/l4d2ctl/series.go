package main

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/left4med/left4med/client"
)

// availabilityDays are over which times availability is shown.
var availabilityDays = []int{1, 7, 30}

// past is what is shown of a server over time.
type past struct {
	Availability []*client.Availability `json:"availability"`
	Series       *client.Series         `json:"series"`
}

// past asks for it, the series over so many hours.
func (a *app) past(ctx context.Context, c *client.Client, name string, hours int) (*past, error) {
	p := &past{}
	for _, days := range availabilityDays {
		one, err := c.Availability(ctx, name, days)
		if err != nil {
			return nil, err
		}
		p.Availability = append(p.Availability, one)
	}
	var err error
	p.Series, err = c.Series(ctx, name, hours)
	return p, err
}

// showSeries prints a server over time and nothing else.
func (a *app) showSeries(ctx context.Context, c *client.Client, name string, hours int) error {
	p, err := a.past(ctx, c, name, hours)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(p)
	}
	w := bufio.NewWriter(a.stdout)
	v := &sheet{app: a, w: w, paint: a.paint(a.stdout)}
	v.line("name", bold, "%s", name)
	v.past(p, 0)
	return w.Flush()
}

// past shows what a server was, from so much of a past on.
func (v *sheet) past(p *past, least time.Duration) {
	label := "availability"
	for _, a := range p.Availability {
		if a.To.Sub(a.From) < least {
			break
		}
		st, text := availability(a)
		v.line(label, st, "%s", text)
		label = ""
		if young(a) {
			break // over more days it is the same
		}
	}
	s := p.Series
	bytes := make([]*float64, len(s.Memory))
	for i, m := range s.Memory {
		if m != nil {
			f := float64(*m)
			bytes[i] = &f
		}
	}
	over := "over " + hoursOf(s)
	v.curve("memory", over, bytes, func(n float64) string { return shortSize(uint64(n)) })
	v.curve("cpu", over, s.CPU, percent)
	v.curve("players", over, s.Players, func(n float64) string {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0")
	})
}

// hoursOf is how long a series is, for people.
func hoursOf(s *client.Series) string { return short(s.To.Sub(s.From).Round(time.Hour)) }

// young says that a server is not as old as the days that are told of.
func young(a *client.Availability) bool {
	return a.From.After(a.To.AddDate(0, 0, -a.Days).Add(time.Second))
}

// availability is one, for people: "99.87 % of 7 days, 1h unknown".
func availability(a *client.Availability) (style, string) {
	over := fmt.Sprintf("%d days", a.Days)
	switch {
	case young(a):
		over = "the " + short(a.To.Sub(a.From)) + " since it was created"
	case a.Days == 1:
		over = "24 hours"
	}
	st, text := plain, "not meant to run in "+over
	switch {
	case a.Ratio != nil:
		// Down, so that what is not all never looks like it.
		text = fmt.Sprintf("%.2f", math.Floor(*a.Ratio*10_000)/100)
		text = strings.TrimSuffix(strings.TrimSuffix(text, "0"), ".0") + " % of " + over
		if down := seconds(a.Wanted - a.Up); down >= time.Second {
			st, text = yellow, text+", "+short(down)+" down"
		}
	case a.Unknown > 0 && a.Unknown >= a.To.Sub(a.From).Seconds()/2:
		st, text = dim, "unknown over "+over
	}
	if unknown := seconds(a.Unknown); a.Ratio != nil && unknown >= time.Second {
		text += ", " + short(unknown) + " unknown"
	}
	return st, text
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// curve shows values over time: as a small picture where the terminal can draw
// it, and the lowest, mean and highest. What is all unknown is left out.
func (v *sheet) curve(label, over string, values []*float64, show func(float64) string) {
	low, high, sum, n := math.Inf(1), math.Inf(-1), 0.0, 0
	for _, x := range values {
		if x != nil {
			low, high, sum, n = min(low, *x), max(high, *x), sum+*x, n+1
		}
	}
	if n == 0 {
		return
	}
	text := fmt.Sprintf("%s to %s, mean %s, %s", show(low), show(high), show(sum/float64(n)), over)
	if v.app.draws() {
		text = sparkline(values, sparks, high) + " " + text
	}
	v.line(label, plain, "%s", text)
}

// sparks is how many characters wide a curve is.
const sparks = 24

// draws says whether characters beyond ASCII can be expected to look like what
// they are: on a terminal, in a locale of UTF-8 (locale(7)).
func (a *app) draws() bool {
	if !isTerminal(a.stdout) || a.getenv("TERM") == "dumb" {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(a.getenv(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// sparkline draws means of values in so many characters, from 0 up to the
// highest. Where nothing is known it is blank.
func sparkline(values []*float64, width int, high float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	levels := []rune(bars)
	var b strings.Builder
	for i := range width {
		sum, n := 0.0, 0
		for _, x := range values[i*len(values)/width : (i+1)*len(values)/width] {
			if x != nil {
				sum, n = sum+*x, n+1
			}
		}
		switch {
		case n == 0:
			b.WriteByte(' ')
		case high <= 0:
			b.WriteRune(levels[0])
		default:
			level := int(sum / float64(n) / high * float64(len(levels)))
			b.WriteRune(levels[min(max(level, 0), len(levels)-1)])
		}
	}
	return b.String()
}
