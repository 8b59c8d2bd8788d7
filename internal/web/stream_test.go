package web_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/web"
)

// events is an open stream.
type events struct {
	t    testing.TB
	body io.Closer
	in   *bufio.Reader
}

func (b *browser) stream(path string) *events {
	b.t.Helper()
	resp, err := b.http.Do(b.request(http.MethodGet, path, ""))
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(resp.Body)
		b.t.Fatalf("%s = %s %s", path, resp.Status, body)
	}
	b.t.Cleanup(func() { resp.Body.Close() })
	return &events{b.t, resp.Body, bufio.NewReader(resp.Body)}
}

// next is the next event's name and data, or a comment.
func (e *events) next() (string, error) {
	var lines []string
	for {
		line, err := e.in.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "|"), err
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return strings.Join(lines, "|"), nil
		}
		lines = append(lines, line)
	}
}

// until reads on to an event that begins so.
func (e *events) until(begins string) string {
	e.t.Helper()
	for {
		got, err := e.next()
		if strings.HasPrefix(got, begins) {
			return got
		}
		if err != nil {
			e.t.Fatalf("there is no %q: %v", begins, err)
		}
	}
}

func quick(o *web.Options, _ *daemon) { o.Heartbeat = 50 * time.Millisecond }

func TestStreamBeginsAndLives(t *testing.T) {
	t.Parallel()
	b := newSite(t, quick).as(account.RoleViewer)
	e := b.stream("/api/events?after=1")
	if first, err := e.next(); err != nil || !strings.HasPrefix(first, "event: link|data: {") {
		t.Errorf("the first event is %q, %v", first, err)
	}
	e.until(": alive")
	var state struct {
		EventID string `json:"event_id"`
		Servers []any
		Link    struct{ Up bool }
	}
	got := b.do(http.MethodGet, "/api/state", "")
	if err := json.Unmarshal([]byte(got.Body), &state); err != nil || state.EventID == "" {
		t.Errorf("the state is %s, %v", got.Body, err)
	}
}

const over = `event: session|data: {"ended":true}`

// A stream tells that its session is over, and ends: by this process at once, by
// another's doing with the next heartbeat.
func TestStreamsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, s *site, b *browser) error{
		"signed out": func(t *testing.T, s *site, b *browser) error { return s.book.SignOut(t.Context(), b.id) },
		"role changed": func(t *testing.T, s *site, _ *browser) error {
			return s.book.SetRole(t.Context(), "operator-1", account.RoleViewer)
		},
		"removed": func(t *testing.T, s *site, _ *browser) error { return s.book.Remove(t.Context(), "operator-1") },
		"password set": func(t *testing.T, s *site, _ *browser) error {
			return s.book.SetPassword(t.Context(), "operator-1", "battery staple")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t) // its heartbeat is too slow for this test
			s.as(account.RoleAdmin)
			b := s.as(account.RoleOperator)
			e := b.stream("/api/events")
			e.until("event: link")
			if err := end(t, s, b); err != nil {
				t.Fatal(err)
			}
			e.until(over)
			if rest, err := e.next(); err != io.EOF {
				t.Errorf("the stream goes on: %q, %v", rest, err)
			}
		})
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.as(account.RoleViewer).stream("/api/events")
	e.until("event: link")
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := e.next(); err != nil {
			return
		}
	}
}

func TestOneUserHasSoManyStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t, quick)
	b := s.as(account.RoleViewer)
	var last *events
	for range 64 {
		last = b.stream("/api/events")
	}
	if got := b.do(http.MethodGet, "/api/events", ""); got.Status != http.StatusTooManyRequests || got.code() != "too-many" {
		t.Errorf("one more = %d %s", got.Status, got.Body)
	}
	s.as(account.RoleOperator).stream("/api/events")
	last.body.Close()
	for { // the place is given back when the server notices
		resp, err := b.http.Do(b.request(http.MethodGet, "/api/events", ""))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
}

// Followers of one server's log share one at the daemon, and end with their
// session.
func TestFollowedLogs(t *testing.T) {
	t.Parallel()
	const line = `{"at":"2026-01-02T03:04:05Z","priority":6,"message":"hello","cursor":"c1"}`
	s := newSite(t, quick, answering(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("follow") == "" {
			w.Header().Set("Content-Type", "application/x-ndjson")
			io.WriteString(w, line+"\n")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	b := s.as(account.RoleViewer)
	var all []*events
	for range 6 {
		all = append(all, b.stream("/api/v1/servers/versus-1/logs?follow=true&lines=10"))
	}
	for _, e := range all {
		if got := e.until("id: c1"); !strings.Contains(got, "event: entry|data: {") || !strings.Contains(got, `"message":"hello"`) {
			t.Errorf("the line is %q", got)
		}
	}
	follows := 0
	for _, asked := range s.daemon.asked() {
		if strings.Contains(asked, "follow=") {
			follows++
		}
	}
	if follows > 1 {
		t.Errorf("the daemon's log is followed %d times", follows)
	}
	for path, code := range map[string]string{
		"/api/v1/servers/versus-1/logs?follow=1":          "too-many",
		"/api/v1/servers/versus-1/logs?follow=1&lines=x":  "invalid-request",
		"/api/v1/servers/versus-1/logs?follow=1&since=1h": "invalid-request",
		"/api/v1/servers/Versus-1/logs?follow=1":          "not-found",
	} {
		if got := b.do(http.MethodGet, path, ""); got.code() != code {
			t.Errorf("%s = %d %s", path, got.Status, got.Body)
		}
	}
	if got := b.do(http.MethodGet, "/api/v1/servers/versus-1/logs?lines=5", ""); got.Body != line+"\n" {
		t.Errorf("unfollowed, the log is %q", got.Body)
	}
	if err := s.book.SignOut(t.Context(), b.id); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		e.until(over)
	}
}

// BenchmarkStreams tells what an open stream of events costs the frontend.
func BenchmarkStreams(b *testing.B) {
	const streams = 1000
	for b.Loop() {
		s := newSite(b)
		before := memory()
		var wait sync.WaitGroup
		for i := range streams / 50 {
			name := "user-" + string(rune('a'+i))
			if _, err := s.book.Add(b.Context(), name, account.RoleViewer, password); err != nil {
				b.Fatal(err)
			}
			one := s.browser()
			one.enter(name)
			for range 50 {
				wait.Go(func() { one.stream("/api/events").until("event: link") })
			}
		}
		wait.Wait()
		b.ReportMetric(float64(memory()-before)/streams, "B/stream-with-client")
	}
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
