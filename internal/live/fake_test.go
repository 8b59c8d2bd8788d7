package live_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/live"
)

// happening is one event as the daemon keeps it.
type happening struct {
	id         uint64
	kind, data string
}

// daemon is a stand-in for left4med: a real HTTP server on a real unix socket, with
// the rules for event ids that left4med has. It can go away and come back.
type daemon struct {
	socket string

	mu      sync.Mutex
	servers []string // "NAME STATE MEMORY"; the id is the place, from 1; "" is deleted
	events  []happening
	next    uint64
	woken   chan struct{}
	streams int    // opened so far
	listed  int    // lists answered so far
	onList  func() // called when a list is made, before it is answered
	lines   []string
	follows int // logs followed so far
	server  *http.Server
}

func newDaemon(t testing.TB, servers ...string) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "l4l") // t.TempDir can be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{socket: filepath.Join(dir, "s"), servers: servers, next: 101, woken: make(chan struct{})}
	t.Cleanup(func() {
		d.kill()
		os.RemoveAll(dir)
	})
	d.start(t)
	return d
}

func (d *daemon) start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/servers", d.list)
	mux.HandleFunc("GET /v1/events", d.watch)
	mux.HandleFunc("GET /v1/servers/{name}/logs", d.logs)
	srv := &http.Server{Handler: mux}
	d.mu.Lock()
	d.server = srv
	d.mu.Unlock()
	go srv.Serve(l)
}

// kill breaks all connections and takes the socket away.
func (d *daemon) kill() {
	d.mu.Lock()
	srv := d.server
	d.mu.Unlock()
	srv.Close()
}

// forget drops all events and goes on with later ids, as a new process does.
func (d *daemon) forget() {
	d.change(func() { d.events, d.next = nil, d.next+1000 })
}

func (d *daemon) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	close(d.woken)
	d.woken = make(chan struct{})
}

func (d *daemon) happen(kind, data string) {
	d.events = append(d.events, happening{d.next, kind, data})
	d.next++
}

// set changes or adds a server, with an event.
func (d *daemon) set(id int, server string) {
	d.change(func() {
		d.quietly(id, server)
		d.happen("server", raw(id, server))
	})
}

func (d *daemon) quietly(id int, server string) {
	for len(d.servers) < id {
		d.servers = append(d.servers, "")
	}
	d.servers[id-1] = server
}

func (d *daemon) delete(id int) {
	d.change(func() {
		name, _, _ := strings.Cut(d.servers[id-1], " ")
		d.servers[id-1] = ""
		d.happen("deleted", fmt.Sprintf(`{"id":%d,"name":%q}`, id, name))
	})
}

func (d *daemon) job(data string) { d.change(func() { d.happen("job", data) }) }

func raw(id int, server string) string {
	part := append(strings.Fields(server), "", "")
	s := fmt.Sprintf(`{"id":%d,"name":%q,"state":%q`, id, part[0], part[1])
	if part[2] != "" {
		s += `,"memory_bytes":` + part[2] + `,"cpu_percent":12.34`
	}
	return s + "}"
}

func (d *daemon) list(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	var all []string
	for i, s := range d.servers {
		if s != "" {
			all = append(all, raw(i+1, s))
		}
	}
	id, onList := d.next-1, d.onList
	d.listed++
	d.mu.Unlock()
	if onList != nil {
		onList()
	}
	w.Header().Set("Event-Id", strconv.FormatUint(id, 10))
	fmt.Fprintf(w, `{"servers":[%s]}`, strings.Join(all, ","))
}

func (d *daemon) watch(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64)
	rc := http.NewResponseController(w)
	d.mu.Lock()
	d.streams++
	d.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	rc.Flush()
	for {
		d.mu.Lock()
		woken := d.woken
		var due []happening
		switch first := d.next - uint64(len(d.events)); {
		case after+1 < first || after >= d.next:
			due = []happening{{d.next - 1, "reset", "{}"}}
		default:
			due = d.events[after+1-first:]
		}
		after = d.next - 1
		d.mu.Unlock()
		for _, e := range due {
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.id, e.kind, e.data)
		}
		rc.Flush()
		select {
		case <-r.Context().Done():
			return
		case <-woken:
		}
	}
}

// say writes a line into every server's log.
func (d *daemon) say(line string) { d.change(func() { d.lines = append(d.lines, line) }) }

func (d *daemon) logs(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	there := false
	for _, s := range d.servers {
		there = there || strings.HasPrefix(s, r.PathValue("name")+" ")
	}
	if r.FormValue("follow") != "" {
		d.follows++
	}
	d.mu.Unlock()
	if !there {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"code":"server-not-found","detail":"there is no such server"}`)
		return
	}
	rc := http.NewResponseController(w)
	begin, end := "", "\n"
	if r.FormValue("follow") != "" {
		begin, end = "event: log\ndata: ", "\n\n"
		w.Header().Set("Content-Type", "text/event-stream")
		rc.Flush()
	}
	for told := 0; ; {
		d.mu.Lock()
		woken, lines := d.woken, d.lines
		d.mu.Unlock()
		for ; told < len(lines); told++ {
			fmt.Fprintf(w, `%s{"at":"2026-05-01T12:00:00Z","priority":6,"message":%q,"cursor":"c%d"}%s`, begin, lines[told], told, end)
		}
		rc.Flush()
		if begin == "" {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-woken:
		}
	}
}

func (d *daemon) client(t testing.TB) *client.Client {
	c := client.New(client.Options{Socket: d.socket})
	t.Cleanup(c.Close)
	return c
}

// hub runs a hub on the daemon, and waits until it is up.
func (d *daemon) hub(t testing.TB, change func(*live.Options)) *live.Hub {
	t.Helper()
	o := live.Options{Client: d.client(t), Pause: time.Millisecond, ResourcesEvery: time.Hour, IdleEvery: time.Hour}
	if change != nil {
		change(&o)
	}
	h := live.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	s := newViewer(t, h, "")
	defer s.Close()
	s.until("link up")
	return h
}

// source is what hands out Server-Sent Events.
type source interface {
	Next(context.Context) ([]byte, error)
	Close()
}

// viewer reads frames one by one, as "KIND DATA" with " #ID" behind where there is
// one. Of links it keeps up and down.
type viewer struct {
	source
	t   testing.TB
	due []string
}

func newViewer(t testing.TB, h *live.Hub, after string) *viewer {
	return &viewer{source: h.Subscribe(after), t: t}
}

// next is the next frame; a nudge is "nudge", an error its text.
func (v *viewer) next() string {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if len(v.due) == 0 {
		b, err := v.Next(ctx)
		switch {
		case err != nil:
			return err.Error()
		case b == nil:
			return "nudge"
		}
		for _, text := range strings.SplitAfter(string(b), "\n\n") {
			if text != "" {
				v.due = append(v.due, parse(v.t, text))
			}
		}
	}
	first := v.due[0]
	v.due = v.due[1:]
	return first
}

func (v *viewer) take(n int) []string {
	v.t.Helper()
	var got []string
	for range n {
		got = append(got, v.next())
	}
	return got
}

// until reads up to the frame that is wanted, and returns those before it.
func (v *viewer) until(want string) []string {
	v.t.Helper()
	var before []string
	for {
		got := v.next()
		if got == want {
			return before
		}
		if strings.HasPrefix(got, "context ") || len(before) > 10_000 {
			v.t.Fatalf("waiting for %q: %s after %q", want, got, before)
		}
		before = append(before, got)
	}
}

func parse(t testing.TB, text string) string {
	t.Helper()
	var id, kind, data string
	for line := range strings.Lines(strings.TrimSuffix(text, "\n")) {
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			id = " #" + value
		case "event":
			kind = value
		case "data":
			data = value
		default:
			t.Errorf("an event has the line %q", line)
		}
	}
	if kind == "link" {
		up := strings.HasPrefix(data, `{"up":true,`)
		return map[bool]string{true: "link up", false: "link down"}[up]
	}
	return kind + " " + data + id
}
