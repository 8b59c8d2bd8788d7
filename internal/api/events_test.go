package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

func drain(res *http.Response) { io.Copy(io.Discard, res.Body) }

// reader reads Server-Sent Events as they come.
type reader struct {
	t     *testing.T
	res   *http.Response
	lines *bufio.Reader
}

func (f *fixture) watch(t *testing.T, p authz.Peer, path string, header ...string) *reader {
	t.Helper()
	res, err := f.client(p).Do(f.request(t.Context(), "GET", path, "", header...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %d %s", res.StatusCode, res.Header)
	}
	return &reader{t, res, bufio.NewReader(res.Body)}
}

// next is the next event or comment, without the empty line at its end; "" at
// the end of the stream.
func (r *reader) next() string {
	r.t.Helper()
	var event strings.Builder
	for {
		line, err := r.lines.ReadString('\n')
		switch {
		case err == io.EOF && event.Len() == 0:
			return ""
		case err != nil:
			r.t.Fatalf("%v after %q", err, event.String())
		case line == "\n":
			return strings.TrimSuffix(event.String(), "\n")
		}
		event.WriteString(line)
	}
}

func (r *reader) want(events ...string) {
	r.t.Helper()
	for _, want := range events {
		if diff := cmp.Diff(want, r.next()); diff != "" {
			r.t.Fatal(diff)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	alpha := entry(1, "alpha")
	job := &server.Job{ID: 3, Server: "alpha", Kind: server.JobStart, State: server.JobQueued, CreatedAt: past}
	f.backend.feed.Server(alpha) // 100: before anyone watches

	// The headers come before any event, and from then on nothing is lost.
	full, public := f.watch(t, operator, "/v1/events"), f.watch(t, kim, "/v1/events")
	f.backend.feed.Server(alpha)                                       // 101
	f.backend.feed.Job(job)                                            // 102
	f.backend.feed.Inner(alpha)                                        // 103
	f.backend.feed.Deleted(orchestrator.Deleted{ID: 1, Name: "alpha"}) // 104
	inner := "id: 103\nevent: server\ndata: " + string(alpha.JSON(true))
	gone := "id: 104\nevent: deleted\ndata: " + `{"id":1,"name":"alpha"}`
	jobEvent := "id: 102\nevent: job\ndata: " + `{"id":3,"server":"alpha","superseded_by":null,"kind":"start","state":"queued","requested_by":{"uid":0,"via":""},"created_at":"2024-05-01T12:00:00Z"}`
	full.want("id: 101\nevent: server\ndata: "+string(alpha.JSON(true)), jobEvent, inner, gone)
	public.want("id: 101\nevent: server\ndata: "+string(alpha.JSON(false)), gone)

	f.watch(t, operator, "/v1/events", "Last-Event-ID", "101").want(jobEvent, inner, gone)
	f.watch(t, operator, "/v1/events?last_event_id=102").want(inner, gone)
	f.watch(t, kim, "/v1/events?last_event_id=101").want(gone)
	// Ids from before what is kept, or never given out.
	for _, id := range []string{"5", "1000"} {
		f.watch(t, kim, "/v1/events", "Last-Event-ID", id).want("id: 104\nevent: reset\ndata: {}")
	}
}

// TestRightsThatChange: a stream is judged anew with each heartbeat, and its reader
// told to read everything again.
func TestRightsThatChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	alpha := entry(1, "alpha")
	r := f.watch(t, kim, "/v1/events")
	for id, may := range []bool{false, true, false} {
		if may {
			f.rules.lent.Store(kim.UID)
		} else {
			f.rules.lent.Store(0)
		}
		f.tick <- past
		r.want(": alive")
		if id > 0 {
			r.want("event: reset\ndata: {}")
		}
		f.backend.feed.Server(alpha)
		r.want(fmt.Sprintf("id: %d\nevent: server\ndata: %s", 100+id, alpha.JSON(may)))
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	r := f.watch(t, kim, "/v1/events")
	for range 2 {
		f.tick <- past
		r.want(": alive")
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	events := f.watch(t, kim, "/v1/events")
	logs := f.watch(t, operator, "/v1/servers/alpha/logs?follow=1")
	if err := f.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	events.want("")
	logs.want("")
	<-f.logs.closed
}

// TestReaderThatNeverReads is given up, and holds nobody up until then.
func TestReaderThatNeverReads(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	api.SetTimeouts(f.handler, time.Minute, time.Second)
	c, err := f.dial(operator)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := f.request(t.Context(), "GET", "/v1/events?last_event_id=99", "").Write(c); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("HTTP/1.1 200 OK\r\n"))
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	other := f.watch(t, operator, "/v1/events?last_event_id=99")
	e := entry(1, "alpha")
	e.JSON(true)
	for range 5000 { // some MB: more than the socket buffers hold
		f.backend.feed.Server(e)
	}
	for range 5000 {
		other.next()
	}
	if got := <-f.closed; got != c.LocalAddr().String() {
		t.Errorf("closed the connection of %s", got)
	}
}
