package bench_test

import (
	"fmt"
	"time"

	"github.com/left4med/left4med/bench/measure"
)

// reactionRows are who knew how soon of a kill and of a stop.
func reactionRows(all measure.Reactions, s size) []row {
	var rows []row
	for _, of := range []struct {
		act  string
		seen []measure.Reaction
	}{
		{"kill -9, process gone", all.Kill},
		{"systemctl stop, stopping", all.Stop},
		{"systemctl stop, inactive", all.Stopped},
	} {
		pick := func(who string, of []measure.Reaction, how func(measure.Reaction) time.Duration) row {
			samples := make([]time.Duration, len(of))
			for i, x := range of {
				samples[i] = how(x)
			}
			return newRow(who, s.servers, samples)
		}
		bare := pick(of.act+": bare listener", of.seen, func(x measure.Reaction) time.Duration { return x.Bare })
		events := pick(of.act+": /v1/events", of.seen, func(x measure.Reaction) time.Duration { return x.Events })
		get := pick(of.act+": GET /v1/servers/{name}", of.seen, func(x measure.Reaction) time.Duration { return x.Get })
		rows = append(rows, bare, events.against(bare, s.reactLimit), get.against(bare, s.reactLimit))
	}
	return rows
}

// batchRows are the ways to start many servers.
func batchRows(batches []measure.Batch, s size) []row {
	until := func(way, what string, when func(measure.Batch) time.Duration) row {
		var samples []time.Duration
		reloads := -1
		for _, b := range batches {
			if b.Way == way {
				samples = append(samples, when(b))
				reloads = max(reloads, b.Reloads)
			}
		}
		r := newRow(way+what, s.batch, samples)
		r.Note = fmt.Sprintf(" (%d reloads)", reloads)
		return r
	}
	active := func(b measure.Batch) time.Duration { return b.Active }
	returned := func(b measure.Batch) time.Duration { return b.Returned }
	each := until(measure.ByEach, "", active)
	one := until(measure.ByOne, "", active)
	raw := until(measure.ByRaw, "", active)
	ours := until(measure.ByLeft4med, ": all active", active)
	done := until(measure.ByLeft4med, ": returned, settle 2 s", returned)
	return []row{
		each, ours.against(each, s.eachLimit), done.against(each, 0),
		one, ours.against(one, s.oneLimit),
		raw, ours.against(raw, 0),
	}
}

// overlayRows are what many instances of one installation cost.
func overlayRows(o measure.Overlays, s size) []row {
	const kib = 1 << 10
	further := int64(s.batch - 1)
	disk := row{
		What: "disk use of further instances", Servers: s.batch - 1, Runs: 1,
		Note: fmt.Sprintf("%d KiB, %d KiB each; the first takes %d KiB, the installation they share %d KiB",
			o.Further/kib, o.Further/kib/further, o.First/kib, o.Installation/kib),
	}
	stopped := func(way, what string, when func(measure.Stop) time.Duration) row {
		var samples []time.Duration
		for _, stop := range o.Stops {
			if stop.Way == way {
				samples = append(samples, when(stop))
			}
		}
		return newRow(way+what, s.batch, samples)
	}
	unmounted := func(x measure.Stop) time.Duration { return x.Unmounted }
	returned := func(x measure.Stop) time.Duration { return x.Returned }
	plain := newRow("mount -t overlay, one by one", s.batch, o.Plain)
	one := stopped(measure.StopByOne, ": unmounted", unmounted)
	return []row{
		disk,
		plain, newRow("start of left4me-overlay@, one by one", s.batch, o.Unit).against(plain, 0),
		newRow("l4d2ctl start, all names: each mounted", s.batch, o.Mounted),
		one, stopped(measure.StopByLeft4med, ": unmounted", unmounted).against(one, 0),
		stopped(measure.StopByLeft4med, ": returned", returned).against(one, 0),
	}
}

// daemonRows are what the daemon costs.
func daemonRows(d measure.Daemon) []row {
	idle := row{
		What: "left4med at rest", Servers: d.Running, Runs: 1,
		Note: fmt.Sprintf("%.2f %% of a core over %.0f s, %.1f MiB resident (at most %.1f)",
			100*float64(d.CPU)/float64(d.Idle), d.Idle.Seconds(), float64(d.RSS)/(1<<20), float64(d.PeakRSS)/(1<<20)),
	}
	list := newRow("GET /v1/servers", d.Running, d.List)
	var spent time.Duration
	for _, one := range d.List {
		spent += one
	}
	list.Note = fmt.Sprintf("%.0f requests/s on one connection, %d KiB each", float64(len(d.List))/spent.Seconds(), d.ListSize>>10)
	return []row{idle, newRow("POST /v1/resync", d.Running, d.Resync), list}
}
