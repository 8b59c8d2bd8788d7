package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// watching runs watch and returns its lines as they come, without the time in
// front, and a function that ends it and returns its exit code.
func (f *fake) watching(args ...string) (lines <-chan string, stop func() int) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- f.app(strings.NewReader(""), w, io.Discard).run(ctx, append([]string{"watch"}, args...))
		w.Close()
	}()
	out := make(chan string)
	go func() {
		defer close(out)
		for s := bufio.NewScanner(r); s.Scan(); {
			out <- strings.TrimPrefix(s.Text(), "12:00:00.000 ")
		}
	}()
	select {
	case <-f.streams:
	case <-ctx.Done():
		f.t.Error("watch does not watch")
	}
	return out, func() int {
		cancel()
		go func() {
			for range out {
			}
		}()
		return <-code
	}
}

func take(t *testing.T, lines <-chan string, n int) []string {
	t.Helper()
	var got []string
	for len(got) < n {
		line, ok := <-lines
		if !ok {
			t.Fatalf("watch ended after %q", got)
		}
		got = append(got, line)
	}
	return got
}

func TestWatch(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	lines, stop := f.watching()
	s := two()[0]
	publish := func(change func()) {
		change()
		f.publish("server", s)
	}
	publish(func() { s.State, s.Result, s.Drift = client.StateFailed, "signal", client.DriftDown })
	publish(func() { memory := uint64(1); s.MemoryBytes = &memory }) // nothing that a person cares for
	publish(func() { s.State, s.Drift, s.Desired = client.StateStopped, client.DriftNone, client.DesiredStopped })
	publish(func() { s.State, s.Result, s.MainPID = client.StateRunning, "success", 5000 })
	publish(func() { s.MainPID = 5001 })
	publish(func() { s.Stale, s.ObservedAt = true, noon.Add(-4*time.Second) })
	publish(func() { s.Stale = false })
	publish(func() {
		s.State, s.Healing = client.StateFailed, &client.Healing{Attempt: 1, Limit: 5, NextAt: noon.Add(10 * time.Second)}
	})
	publish(func() { s.Healing = &client.Healing{Attempt: 2, Limit: 5, NextAt: noon.Add(3 * time.Minute)} })
	publish(func() { s.Healing = nil }) // the job tells of it
	publish(func() { s.Healing = &client.Healing{Attempt: 5, Limit: 5, GaveUp: true} })
	publish(func() { s.State, s.Healing = client.StateRunning, nil })
	f.publish("job", client.Job{ID: 3, Server: "versus-1", Kind: client.JobStart, State: client.JobRunning, Progress: &client.Progress{Done: 1, Total: 2, Text: "mounting"}})
	f.publish("job", client.Job{ID: 3, Server: "versus-1", Kind: client.JobStart, State: client.JobFailed, Error: &client.JobError{Detail: "no \x1b map"}})
	for _, done := range []int64{1, 2} { // a download has no line for each of its steps
		f.publish("job", client.Job{ID: 4, Kind: client.JobInstall, State: client.JobRunning, Progress: &client.Progress{Done: done, Total: 2}})
	}
	f.publish("job", client.Job{ID: 4, Kind: client.JobInstall, State: client.JobSucceeded})
	f.publish("server", client.Server{ID: 9, Name: "new", State: client.StateStopped})
	f.publish("deleted", client.Deleted{ID: 9, Name: "new"})
	f.publish("weather", "fine")
	s.State = client.StateFailed
	f.mu.Lock()
	f.servers = []client.Server{s}
	f.mu.Unlock()
	f.publish("reset", struct{}{})
	want := []string{
		"versus-1  failed  down for 5h; last seen 5m ago",
		"coop-1  running → failed (signal)  drift: down",
		"coop-1  failed → stopped  desired: stopped  drift: none",
		"coop-1  stopped → running",
		"coop-1  new process 5001",
		"coop-1  stale: last seen 4s ago",
		"coop-1  confirmed again",
		"coop-1  running → failed  starting again in 10 s, attempt 1 of 5",
		"coop-1  starting again in 3 min, attempt 2 of 5",
		"coop-1  gave up after 5 starts",
		"coop-1  failed → running",
		"versus-1  job 3: start is running 1/2 mounting",
		`versus-1  job 3: start failed: no \x1b map`,
		"game  job 4: install is running",
		"game  job 4: installed",
		"new  new: stopped",
		"new  deleted",
		"coop-1  running → failed",
		"versus-1  deleted",
	}
	if diff := cmp.Diff(want, take(t, lines, len(want))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if code := stop(); code != exitInterrupted {
		t.Errorf("code %d", code)
	}
}

func TestWatchOfSomeServersOverARestart(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	lines, stop := f.watching("coop-1", "--json")
	event := func(name client.Name, state client.State) {
		f.publish("server", client.Server{ID: 1, Name: name, State: state})
	}
	event("versus-1", client.StateStopping)
	event("coop-1", client.StateStopping)
	got := take(t, lines, 1)
	f.kill()
	event("coop-1", client.StateStopped)
	f.start()
	got = append(got, take(t, lines, 1)...)
	var seen []string
	for _, line := range got {
		var e struct {
			ID   uint64
			Type string
			Data client.Server
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, e.Type+" "+string(e.Data.Name)+" "+string(e.Data.State))
	}
	if diff := cmp.Diff([]string{"server coop-1 stopping", "server coop-1 stopped"}, seen); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	stop()
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	if got := f.l4d2ctl("watch", "none"); got.Code != exitNoServer {
		t.Errorf("of no server: %+v", got)
	}
	if got := f.l4d2ctl("watch", "--timeout", "50ms"); got.Code != exitTimedOut {
		t.Errorf("after its time: %+v", got)
	}
}
