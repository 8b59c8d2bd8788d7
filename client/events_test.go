package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// collect reads n events.
func collect(t *testing.T, c *client.Client, opts client.EventsOptions, n int) []client.Event {
	t.Helper()
	var got []client.Event
	for e, err := range c.Events(within(t), opts) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(got), err)
		}
		if got = append(got, e); len(got) == n {
			break
		}
	}
	return got
}

func TestEventsAreDecoded(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, r *http.Request) {
		stream(w)
		io.WriteString(w, ": a comment\n\nid: 6\nevent: server\ndata: {\"id\":1,\ndata: \"name\":\"a\"}\n\n")
		send := stream(w)
		send("7", "job", `{"id":9,"server":"a","state":"running"}`)
		send("8", "deleted", `{"id":1,"name":"a"}`)
		send("9", "weather", `"fine"`)
		send("10", "reset", `{}`)
		<-r.Context().Done()
	})
	got := collect(t, d.client(), client.EventsOptions{After: 5}, 5)
	want := []client.Event{
		{ID: 6, Type: client.EventServer, Server: &client.Server{ID: 1, Name: "a"}, Data: []byte("{\"id\":1,\n\"name\":\"a\"}")},
		{ID: 7, Type: client.EventJob, Job: &client.Job{ID: 9, Server: "a", State: client.JobRunning}, Data: []byte(`{"id":9,"server":"a","state":"running"}`)},
		{ID: 8, Type: client.EventDeleted, Deleted: &client.Deleted{ID: 1, Name: "a"}, Data: []byte(`{"id":1,"name":"a"}`)},
		{ID: 9, Type: "weather", Data: []byte(`"fine"`)},
		{ID: 10, Type: client.EventReset, Data: []byte(`{}`)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]asked{{Method: "GET", URI: "/v1/events", LastEventID: "5"}}, d.requests()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// Each connection ends after two events; the daemon itself goes away once.
func TestEventsGoOnWhereTheyWere(t *testing.T) {
	t.Parallel()
	var d *daemon
	d = newDaemon(t, func(w http.ResponseWriter, r *http.Request) {
		var last int
		fmt.Sscan(r.Header.Get("Last-Event-ID"), &last)
		send := stream(w)
		send(fmt.Sprint(last+1), "reset", "{}")
		send(fmt.Sprint(last+2), "reset", "{}")
		if last == 104 {
			go func() { d.kill(); d.start() }()
			<-r.Context().Done()
		}
	})
	var lost, back int
	got := collect(t, d.client(), client.EventsOptions{
		After: 100,
		Lost: func(err error) {
			if lost++; !errors.Is(err, client.ErrUnreachable) {
				t.Errorf("lost: %v", err)
			}
		},
		Back: func() { back++ },
	}, 10)
	for i, e := range got {
		if want := uint64(101 + i); e.ID != want {
			t.Errorf("event %d has id %d, want %d", i, e.ID, want)
		}
	}
	if lost < back || back != 4 {
		t.Errorf("lost %d times, back %d times", lost, back)
	}
}

func TestEventsWithoutAPlaceBeginAnewWithAReset(t *testing.T) {
	t.Parallel()
	first := make(chan bool, 1)
	first <- true
	d := newDaemon(t, func(w http.ResponseWriter, r *http.Request) {
		send := stream(w)
		select {
		case <-first: // breaks before it said anything
		default:
			send("7", "deleted", `{"id":1,"name":"a"}`)
			<-r.Context().Done()
		}
	})
	got := collect(t, d.client(), client.EventsOptions{After: client.FromNow}, 2)
	want := []client.Event{
		{Type: client.EventReset, Data: []byte("{}")},
		{ID: 7, Type: client.EventDeleted, Deleted: &client.Deleted{ID: 1, Name: "a"}, Data: []byte(`{"id":1,"name":"a"}`)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, r := range d.requests() {
		if r.LastEventID != "" {
			t.Errorf("asked to resume at %q", r.LastEventID)
		}
	}
}

func TestSilentStreamsAreOpenedAnew(t *testing.T) {
	t.Parallel()
	first := make(chan bool, 1)
	first <- true
	d := newDaemon(t, func(w http.ResponseWriter, r *http.Request) {
		send := stream(w)
		select {
		case <-first: // hangs without a byte
		default:
			send("2", "reset", "{}")
		}
		<-r.Context().Done()
	})
	c := client.New(client.Options{Socket: d.socket, Silence: 20 * time.Millisecond})
	defer c.Close()
	for e, err := range c.Events(within(t), client.EventsOptions{After: 1}) {
		if err != nil || e.ID != 2 {
			t.Fatalf("got %v, %v", e, err)
		}
		break
	}
}

func TestEventsEndWithWhatTheDaemonRefuses(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 403, `{"code":"not-authorized","detail":"no"}`)
	})
	var errs []error
	for _, err := range d.client().Events(within(t), client.EventsOptions{}) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], &client.Error{Code: client.CodeNotAuthorized}) {
		t.Errorf("got %v", errs)
	}
}

func TestEventsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, r *http.Request) {
		stream(w)("1", "reset", "{}")
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	var last error
	for _, err := range d.client().Events(ctx, client.EventsOptions{}) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v", last)
	}
}

func TestEndlessEventsAreRefused(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		stream(w)
		io.WriteString(w, "data: ")
		chunk := strings.Repeat("a", 1<<20)
		for range 16 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	})
	for _, err := range d.client().Events(within(t), client.EventsOptions{}) {
		if err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("got %v", err)
		}
	}
}
