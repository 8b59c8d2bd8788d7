package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
)

// fake is a stand-in for left4med: servers, jobs and events, on a real unix
// socket. What a request does to servers and jobs is the test's to say.
type fake struct {
	t      *testing.T
	socket string
	mux    *http.ServeMux

	mu      sync.Mutex
	http    *http.Server
	servers []client.Server
	jobs    map[int64]client.Job
	events  []string // the frames of all events; their ids count from 1
	news    chan struct{}
	streams chan struct{} // one for each stream of events that was opened
	asked   []string      // method, path and body of each request
}

func newFake(t *testing.T, servers ...client.Server) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "l4x") // t.TempDir can be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		t: t, socket: filepath.Join(dir, "s"), mux: http.NewServeMux(), servers: servers,
		jobs: map[int64]client.Job{}, news: make(chan struct{}), streams: make(chan struct{}, 100),
	}
	f.mux.HandleFunc("GET /v1/servers", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		w.Header().Set("Event-Id", strconv.Itoa(len(f.events)))
		writeJSON(w, 200, map[string]any{"servers": f.servers})
	})
	f.mux.HandleFunc("GET /v1/servers/{name}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, s := range f.servers {
			if string(s.Name) == r.PathValue("name") {
				writeJSON(w, 200, s)
				return
			}
		}
		problem(w, 404, client.CodeServerNotFound, "there is no server "+r.PathValue("name"))
	})
	f.mux.HandleFunc("GET /v1/jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
		f.mu.Lock()
		defer f.mu.Unlock()
		writeJSON(w, 200, f.jobs[id])
	})
	f.mux.HandleFunc("GET /v1/health", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, healthy()) })
	f.mux.HandleFunc("GET /v1/events", f.serveEvents)
	t.Cleanup(func() {
		f.kill()
		os.RemoveAll(dir)
	})
	f.start()
	return f
}

func healthy() client.Health {
	return client.Health{
		Status: "ok", Version: "1.2.3", Host: "host", Servers: 2,
		Systemd: client.SystemdHealth{Connected: true, Version: "252"},
		Resync:  client.ResyncHealth{Enabled: true, IntervalSeconds: 30, LastMillis: 1.25},
		Jobs:    client.JobsHealth{Enabled: true}, Database: client.DBHealth{OK: true, Path: "/var/lib/left4med/state.db"},
		Checks: []client.Check{{Name: "template", OK: true, LookedAt: "the unit path", Found: "the package's own"}},
	}
}

func (f *fake) start() {
	f.t.Helper()
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		f.t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.mu.Lock()
		f.asked = append(f.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		f.mu.Unlock()
		f.mux.ServeHTTP(w, r)
	})}
	f.mu.Lock()
	f.http = srv
	f.mu.Unlock()
	go srv.Serve(l)
}

// kill breaks all connections and takes the socket away.
func (f *fake) kill() {
	f.mu.Lock()
	srv := f.http
	f.mu.Unlock()
	srv.Close()
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// publish adds an event.
func (f *fake) publish(kind string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		f.t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", len(f.events)+1, kind, b))
	close(f.news)
	f.news = make(chan struct{})
}

// job sets a job's state and publishes it.
func (f *fake) job(job client.Job) client.Job {
	f.mu.Lock()
	f.jobs[job.ID] = job
	f.mu.Unlock()
	f.publish("job", job)
	return job
}

func (f *fake) serveEvents(w http.ResponseWriter, r *http.Request) {
	f.streams <- struct{}{}
	f.mu.Lock()
	at := len(f.events)
	f.mu.Unlock()
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		at, _ = strconv.Atoi(last)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		f.mu.Lock()
		fresh, news := f.events[at:], f.news
		f.mu.Unlock()
		for _, frame := range fresh {
			io.WriteString(w, frame)
		}
		at += len(fresh)
		http.NewResponseController(w).Flush()
		select {
		case <-news:
		case <-r.Context().Done():
			return
		}
	}
}

// acts answers POST /v1/actions: a queued job for each server but the refused
// ones; then each job goes where outcome says.
func (f *fake) acts(outcome func(client.Job) client.Job, refused ...client.Refusal) {
	f.mux.HandleFunc("POST /v1/actions", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Action  client.JobKind
			Servers []string
		}
		json.NewDecoder(r.Body).Decode(&body)
		result := client.ActionResult{Refused: refused}
		for i, name := range body.Servers {
			if !slices.ContainsFunc(refused, func(x client.Refusal) bool { return x.Server == name }) {
				result.Jobs = append(result.Jobs, f.job(client.Job{ID: int64(i + 1), Server: client.Name(name), Kind: body.Action, State: client.JobQueued}))
			}
		}
		go func() {
			for _, job := range result.Jobs {
				f.job(outcome(job))
			}
		}()
		writeJSON(w, 202, result)
	})
}

func succeeds(job client.Job) client.Job {
	job.State = client.JobSucceeded
	return job
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func problem(w http.ResponseWriter, status int, code client.Code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code, "detail": detail})
}

// noon is when tests happen.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// result is what a run of the program did.
type result struct {
	Code           int
	Stdout, Stderr string
}

// l4d2ctl runs the program without a terminal.
func (f *fake) l4d2ctl(args ...string) result {
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	return f.run(ctx, args...)
}

func (f *fake) run(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	a := f.app(strings.NewReader(""), &stdout, &stderr)
	code := a.run(ctx, args)
	return result{code, stdout.String(), stderr.String()}
}

func (f *fake) app(stdin io.Reader, stdout, stderr io.Writer) *app {
	env := map[string]string{"LEFT4MED_SOCKET": f.socket, "TERM": "xterm"}
	return &app{
		stdin: stdin, stdout: stdout, stderr: stderr, getenv: func(k string) string { return env[k] },
		now: func() time.Time { return noon }, root: f.t.TempDir(), patience: 10 * time.Second, silence: 10 * time.Second,
	}
}

// two servers, one of them in trouble.
func two() []client.Server {
	config := client.Config{
		Port: 27015, Map: "c1m1_hotel", GameMode: "coop", MaxPlayers: 8, Hostname: "evil \x1b[2J host",
		Args: []string{"-tickrate", "100"}, Overlays: []string{}, CVars: map[string]string{"sv_alltalk": "1"}, Heal: client.HealOff,
	}
	restarts := uint32(2)
	return []client.Server{
		{
			ID: 1, Name: "coop-1", Unit: "left4me-server@coop-1.service", Desired: client.DesiredRunning, State: client.StateRunning,
			Drift: client.DriftNone, Phase: client.PhaseReady, StateSince: noon.Add(-3 * time.Minute), ObservedAt: noon.Add(-10 * time.Second),
			ObservedBy: "signal", Config: &config, MainPID: 4711, ActiveState: "active", SubState: "running",
		},
		{
			ID: 2, Name: "versus-1", Unit: "left4me-server@versus-1.service", Desired: client.DesiredRunning, State: client.StateFailed,
			Drift: client.DriftDown, DriftSince: noon.Add(-5 * time.Hour), Phase: client.PhaseReady, Stale: true, Restarts: &restarts,
			ActiveState: "failed", SubState: "failed", LoadState: "loaded", UnitFileState: "enabled", Result: "signal",
			StateSince: noon.Add(-5 * time.Hour), ObservedAt: noon.Add(-5 * time.Minute), ObservedBy: "resync",
		},
	}
}
