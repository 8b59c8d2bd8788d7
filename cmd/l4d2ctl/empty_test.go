package main

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

func TestRestartWhenEmpty(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.acts(succeeds)
	f.l4d2ctl("start", "--restart", "--when-empty", "coop-1")
	if asked := f.requests(); !slices.Contains(asked, `POST /v1/actions {"action":"restart","when":"empty","servers":["coop-1"]}`) {
		t.Errorf("asked %q", asked)
	}
}

// A log hears of a wait when another number plays, and not every minute.
func TestWaitingUntilNobodyPlays(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := &lines{w: &out, told: map[int64]string{}}
	for _, text := range []string{
		"2 players, gives up in 6 h", "2 players, gives up in 5 h 59 min", "1 player, gives up in 5 h 58 min", "1 player, gives up in 5 h 57 min",
	} {
		l.update(client.Job{ID: 1, Server: "a", Kind: client.JobRestart, State: client.JobRunning, Progress: &client.Progress{Text: client.WaitingForEmpty + ": " + text}})
	}
	want := "a: waiting until nobody plays: 2 players, gives up in 6 h\na: waiting until nobody plays: 1 player, gives up in 5 h 58 min\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Who leaves a job that waits for hours is told how to end it.
func TestInterruptedWaitUntilNobodyPlays(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("POST /v1/actions", func(w http.ResponseWriter, _ *http.Request) {
		job := client.Job{ID: 1, Server: "a", Kind: client.JobRestart, State: client.JobRunning, Progress: &client.Progress{Text: client.WaitingForEmpty + ": 2 players, gives up in 6 h"}}
		writeJSON(w, 202, client.ActionResult{Jobs: []client.Job{job}})
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for range f.streams {
			cancel()
		}
	}()
	want := result{130, "", "a: waiting until nobody plays: 2 players, gives up in 6 h\nl4d2ctl: interrupted\n" +
		"Job 1 (restart a) goes on. See it with: l4d2ctl jobs; end it with: l4d2ctl jobs --cancel 1\n"}
	if diff := cmp.Diff(want, f.run(ctx, "start", "--restart", "--when-empty", "a")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A job that waits until nobody plays is told of when another number plays, and is
// not shown as one that restarts the server.
func TestWaitsUntilNobodyPlaysAreShown(t *testing.T) {
	t.Parallel()
	servers := two()
	job := client.Job{ID: 3, Server: servers[0].Name, Kind: client.JobRestart, State: client.JobRunning, CreatedAt: noon}
	says := func(text string) client.Job {
		job.Progress = &client.Progress{Text: client.WaitingForEmpty + ": " + text}
		return job
	}
	f := newFake(t, servers...)
	lines, stop := f.watching(string(job.Server))
	for _, text := range []string{"2 players, gives up in 6 h", "2 players, gives up in 5 h 59 min", "1 player, gives up in 5 h 58 min"} {
		f.publish("job", says(text))
	}
	ended := job
	ended.State, ended.Progress = client.JobSucceeded, nil
	f.publish("job", ended)
	name := string(job.Server)
	want := []string{
		name + "  job 3: restart is running waiting until nobody plays: 2 players, gives up in 6 h",
		name + "  job 3: restart is running waiting until nobody plays: 1 player, gives up in 5 h 58 min",
		name + "  job 3: restarted",
	}
	if diff := cmp.Diff(want, take(t, lines, 3)); diff != "" {
		t.Errorf("watch (-want +got):\n%s", diff)
	}
	stop()
	waits := says("1 player, gives up in 5 h 58 min")
	if got := jobCell(&client.Server{Job: &waits}).text; got != "restart when empty" {
		t.Errorf("list says %q", got)
	}
	row := f.app(strings.NewReader(""), io.Discard, io.Discard).jobRow(waits)
	if got := row[len(row)-1].text; got != waits.Progress.Text {
		t.Errorf("jobs says %q", got)
	}
}
