package orchestrator

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// The daemon that comes next goes on waiting, until the same time, and tells players
// nothing twice.
func TestWaitOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		boot string
		want jobStands
		said []string
	}{
		"restarted": {"boot", waitingFor("2 players, gives up in 9 min"), []string{"a: This server restarts as soon as nobody plays. It waits 5 min for that.", "a: This server restarts as soon as nobody plays. It waits 1 min for that."}},
		"rebooted": {"another", jobStands{State: server.JobCanceled, Code: server.CodeOvertaken,
			Text: "the host was rebooted before the restart of a was done; ask again if it is still wanted"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, _, p := peopled(t)
				id := o.ask(t)
				time.Sleep(6*time.Hour - 9*time.Minute)
				p.heard()
				o.stopJobs(errShutdown)
				o.jobs.Wait()
				opts := o.Options
				opts.BootID, opts.Settings.WhenEmpty.Timeout = c.boot, time.Hour
				next := New(opts)
				next.crowd = p
				if err := next.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				next.host.template = "there"
				writing, stop := context.WithCancel(t.Context())
				var others sync.WaitGroup
				others.Go(func() { next.chronicle.loop(writing) })
				defer func() {
					next.stopJobs(errShutdown)
					next.jobs.Wait()
					stop()
					others.Wait()
				}()
				next.inhabit(t)
				next.recover(t.Context())
				next.expect(t, "the wait", id, c.want)
				time.Sleep(8 * time.Minute)
				synctest.Wait()
				if diff := cmp.Diff(c.said, p.heard()); diff != "" {
					t.Errorf("what players were told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestNewestOfUnfinishedJobs(t *testing.T) {
	t.Parallel()
	row := func(id int64, kind server.JobKind, step string, m mark) store.JobRow {
		return store.JobRow{Job: server.Job{ID: id, ServerID: 7, Kind: kind}, Step: step, Mark: m.encode()}
	}
	wait := mark{Wait: &waitMark{}}
	for name, c := range map[string]struct {
		rows []store.JobRow
		want []int64 // those that count
	}{
		"a backup beside a wait": {[]store.JobRow{row(1, server.JobRestart, stepWait, wait), row(2, server.JobBackup, stepBegun, mark{})}, []int64{1, 2}},
		"a stop after a wait":    {[]store.JobRow{row(1, server.JobRestart, stepWait, wait), row(2, server.JobStop, "", mark{})}, []int64{2}},
		"two waits":              {[]store.JobRow{row(1, server.JobRestart, stepWait, wait), row(2, server.JobRestart, "", wait)}, []int64{2}},
		"a wait that is over":    {[]store.JobRow{row(1, server.JobRestart, stepLink, wait), row(2, server.JobStop, "", mark{})}, []int64{2}},
		"a wait after a start":   {[]store.JobRow{row(1, server.JobStart, stepLink, mark{}), row(2, server.JobRestart, "", wait)}, []int64{1, 2}},
	} {
		newest := newestOf(c.rows)
		var got []int64
		for _, r := range c.rows {
			if newest[placeOf(r)] == r.ID {
				got = append(got, r.ID)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
