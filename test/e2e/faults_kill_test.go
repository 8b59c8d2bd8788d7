package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
)

// load is something that is asked of servers, through us or of systemd.
type load struct {
	names  []string
	action client.Action // "" when it is by hand
	hand   []string
	runs   int // how many runs may come of it at most, of each
}

func someLoad(rng *rand.Rand) load {
	names := []string{"a", "b", "idle", "loop"}
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	kinds := []load{
		{action: client.ActionStart, runs: 1}, {action: client.ActionStart, runs: 1},
		{action: client.ActionStop}, {action: client.ActionRestart, runs: 1}, {action: client.ActionRestart, runs: 1},
		{hand: []string{"kill", "--signal=KILL"}, runs: 1}, {hand: []string{"disable", "--now"}}, {hand: []string{"enable", "--now"}, runs: 1},
	}
	l := kinds[rng.IntN(len(kinds))]
	l.names = names[:1+rng.IntN(2)]
	return l
}

// put asks for it. The jobs are those of which the answer came.
func (l load) put(ctx context.Context, f *faultLab, c *client.Client) ([]client.Job, error) {
	if l.action == "" {
		for _, name := range l.names {
			_ = f.Run(ctx, "systemctl", append(slices.Clone(l.hand), unit(name))...) // a unit that is away cannot be killed
		}
		return nil, nil
	}
	result, err := c.Actions(ctx, l.action, l.names)
	if err != nil {
		return nil, err
	}
	return result.Jobs, nil
}

// killedUnderLoad kills the daemon at twenty random moments of a mixed load.
// LEFT4MED_CRASH_SEED repeats a run's choices.
func killedUnderLoad(t *testing.T, f *faultLab) {
	h, c, rng := &crashHost{f.Host}, f.api(t), seeded(t)
	cursor, newest := h.cursor(t), f.newestJob(t).ID
	ctx := waitLimit(t, "the daemon was killed so often")
	var granted []client.Job
	runs := map[string]int{}
	for range 20 {
		if _, err := patient(ctx, func() (*client.Health, error) { return c.Health(ctx) }); err != nil {
			t.Fatal(err)
		}
		l := someLoad(rng)
		for _, name := range l.names {
			runs[name] += l.runs
		}
		_, err := h.killDuring(t, rng, 300*time.Millisecond, func(ctx context.Context) (*client.Job, error) {
			jobs, err := l.put(ctx, f, c)
			granted = append(granted, jobs...)
			return nil, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	h.awaitJobs(t, c)
	jobs := f.jobsSince(t, newest)
	ends := map[string]int{}
	for _, j := range jobs {
		ends[jobEnd(j)]++
	}
	t.Logf("%d jobs ended: %v", len(jobs), ends)
	for _, was := range granted {
		if !slices.ContainsFunc(jobs, func(j client.Job) bool { return j.ID == was.ID }) {
			t.Errorf("job %d, the %s of %s, was granted and is lost", was.ID, was.Kind, was.Server)
		}
	}
	for name, got := range h.runsSince(t, cursor) {
		if len(got) > runs[name] {
			t.Errorf("%s ran %d times, and that was asked for %d times", name, len(got), runs[name])
		}
	}

	// Back to rest, by jobs as well.
	h.act(t, c, client.ActionStop, "idle")
	h.act(t, c, client.ActionStart, "a", "b", "loop")
	f.atRest(t)
	f.consistent(t, f.jobsSince(t, newest))
}

// jobsSince are the jobs after one, oldest first, all of which must be over.
func (f *faultLab) jobsSince(t *testing.T, newest int64) []client.Job {
	t.Helper()
	jobs, err := f.api(t).Jobs(t.Context(), client.JobsFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	jobs = slices.DeleteFunc(jobs, func(j client.Job) bool { return j.ID <= newest })
	slices.Reverse(jobs)
	for _, j := range jobs {
		if !j.State.Finished() {
			t.Errorf("job %d, the %s of %s, is %s still", j.ID, j.Kind, j.Server, j.State)
		}
	}
	return jobs
}

// consistent wants the history to tell of the beginning and the end of each of
// these jobs once, and of each server one thing after the other up to what it is
// now.
func (f *faultLab) consistent(t *testing.T, jobs []client.Job) {
	t.Helper()
	want := map[int64][]string{}
	for _, j := range jobs {
		want[j.ID] = []string{fmt.Sprintf("%s of %s: queued", j.Kind, j.Server), fmt.Sprintf("%s of %s: %s", j.Kind, j.Server, jobEnd(j))}
	}
	now := map[string]string{}
	for name, m := range f.moments(t) {
		now[name+" state"], now[name+" desired"], now[name+" drift"] = string(m.State), string(m.Desired), string(m.Drift)
	}
	ctx := within(t, "the history is written")
	for {
		entries := f.newEntries(t)
		got, last := map[int64][]string{}, map[string]string{}
		for _, e := range entries {
			switch e.Kind {
			case client.HistoryJob:
				line := fmt.Sprintf("%s of %s: %s", e.What, e.Server, e.To)
				if e.Code != "" {
					line += " " + string(e.Code)
				}
				got[e.Job] = append(got[e.Job], line)
			case client.HistoryState, client.HistoryDesired, client.HistoryDrift:
				last[e.Server+" "+string(e.Kind)] = e.To
			}
		}
		settled := true
		for of, to := range last {
			settled = settled && now[of] == to
		}
		if settled || !pause(ctx) {
			same(t, "the jobs in the history", want, got)
			for of, to := range last {
				same(t, "the "+of+" in the history", now[of], to)
			}
			whole(t, entries)
			for _, e := range entries {
				f.read = e.ID
			}
			return
		}
	}
}
