package metrics_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/metrics"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

var update = flag.Bool("update", false, "write testdata/metrics.txt anew")

// source has what is given.
type source struct{ now orchestrator.Figures }

func (s *source) Figures() orchestrator.Figures { return s.now }

// running is a server of which everything is known.
func running(name server.Name) orchestrator.ServerFigures {
	return orchestrator.ServerFigures{
		RestartsSeen: 3,
		Entry: &orchestrator.Entry{Server: server.Server{
			Name: name, Desired: server.DesiredRunning, State: server.StateRunning, Drift: server.DriftFlapping,
			StartedAt: time.Unix(1_700_000_000, 250e6), ObservedAt: time.Now().Add(-time.Minute),
			MemoryBytes: new(uint64(1 << 30)), CPUUsageNS: new(uint64(1_500_000_000)), Tasks: new(uint64(7)),
			Game:   &server.Game{Reachable: true, Map: "c1m1_hotel", Players: new(4), MaxPlayers: new(8), Bots: new(1), PingMS: new(2.5)},
			Config: &server.Config{Hostname: "told-to-nobody"},
		}},
	}
}

// example has servers of several kinds, and all else there is.
func example() *source {
	down := orchestrator.ServerFigures{Entry: &orchestrator.Entry{Server: server.Server{
		Name: "b", Desired: server.DesiredRunning, State: server.StateFailed, Drift: server.DriftDown, Stale: true,
		Healing: &server.Healing{Attempt: 5, Limit: 5, GaveUp: true}, ObservedAt: time.Now().Add(time.Hour), // the clock was set back
		Game: &server.Game{Error: "no answer"},
	}}}
	unseen := orchestrator.ServerFigures{Entry: &orchestrator.Entry{Server: server.Server{
		Name: "c", Desired: server.DesiredStopped, State: server.StateUnknown, Drift: server.DriftNone,
	}}}
	return &source{now: orchestrator.Figures{
		Servers: []orchestrator.ServerFigures{running("a"), down, unseen},
		Orphans: 2, Queued: 1, Running: 3, SystemdConnected: true, Reconnects: 4,
		LastResync: time.Unix(1_700_000_000, 0), ResyncEvery: 30 * time.Second, DatabaseBytes: 8192,
	}}
}

func newMetrics(s *source) *metrics.Metrics {
	return metrics.New(metrics.Options{Source: s, Meter: metrics.NewMeter(), Version: "1.2.3"})
}

// happen makes one of each thing that is counted.
func happen(m *metrics.Metrics) {
	m.Shown(300 * time.Microsecond)
	m.Resynced(20*time.Millisecond, nil)
	m.Resynced(time.Second, errors.New("no"))
	m.JobEnded(server.JobStart, "failed")
	m.JobTook(server.JobStart, 2*time.Second)
	m.JobEnded(server.JobStart, "succeeded")
	m.JobTook(server.JobStart, -time.Second) // the clock was set back
	m.JobEnded(server.JobRestart, "not-empty")
	m.Healed()
	m.Answered("GET", "/v1/servers", 200)
	m.Answered("", "", 404)
	m.Streaming(1)
	m.Streaming(1)
	m.Streaming(-1)
}

func scrape(t testing.TB, m *metrics.Metrics, inspect bool, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	m.Serve(w, r, inspect)
	if w.Code != 200 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	return w
}

// ofOurs are the lines about left4med's own numbers; those about the process
// differ with the version of Go.
func ofOurs(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "left4med_") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// TestNamesStay: names, types and help are what dashboards and rules are written
// against, and series those of the example. The golden file shows all of it.
func TestNamesStay(t *testing.T) {
	t.Parallel()
	const golden = "testdata/metrics.txt"
	m := newMetrics(example())
	happen(m)
	got := strings.Join(ofOurs(scrape(t, m, true, "").Body.String()), "\n") + "\n"
	// Its age is measured.
	got = regexp.MustCompile(`(observation_age_seconds\{server="a"\}) 60\.\d+`).ReplaceAllString(got, "$1 60")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("metrics (-golden +got); go test ./internal/metrics -run NamesStay -update writes it anew:\n%s", diff)
	}
}

// names are what a scrape has, by name, with their types.
func names(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" {
			all[f[2]] = f[3]
		}
	}
	return all
}

// TestBareScrape: who may not inspect sees states, and nothing of players, jobs
// and requests.
func TestBareScrape(t *testing.T) {
	t.Parallel()
	m := newMetrics(example())
	happen(m)
	whole, bare := names(scrape(t, m, true, "").Body.String()), names(scrape(t, m, false, "").Body.String())
	var kept []string
	for name := range whole {
		if _, ok := bare[name]; !ok {
			kept = append(kept, name)
		}
	}
	slices.Sort(kept)
	want := []string{
		"left4med_http_requests_total", "left4med_job_duration_seconds", "left4med_jobs_queued", "left4med_jobs_running", "left4med_jobs_total",
		"left4med_server_bots", "left4med_server_max_players", "left4med_server_ping_seconds", "left4med_server_players", "left4med_server_reachable",
	}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("kept from who may not inspect (-want +got):\n%s", diff)
	}
	for _, name := range []string{"process_start_time_seconds", "process_open_fds", "go_goroutines"} {
		if bare[name] == "" {
			t.Errorf("there is no %s", name)
		}
	}
}

// TestNothingElse: what is no number stays where it is.
func TestNothingElse(t *testing.T) {
	t.Parallel()
	text := scrape(t, newMetrics(example()), true, "").Body.String()
	for _, secret := range []string{"told-to-nobody", "c1m1_hotel", "no answer", "/var/"} {
		if strings.Contains(text, secret) {
			t.Errorf("a scrape tells %q", secret)
		}
	}
}

// TestFormats: what Prometheus asks for, it gets.
func TestFormats(t *testing.T) {
	t.Parallel()
	m := newMetrics(example())
	happen(m)
	for accept, want := range map[string]string{
		"": "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5": "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
		"text/html": "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
	} {
		w := scrape(t, m, true, accept)
		if got := w.Header().Get("Content-Type"); got != want {
			t.Errorf("Accept: %s gives %s, want %s", accept, got, want)
		}
		if got, want := w.Header().Get("Content-Length"), fmt.Sprint(w.Body.Len()); got != want {
			t.Errorf("Content-Length %s, want %s", got, want)
		}
		if open := strings.HasSuffix(w.Body.String(), "# EOF\n"); open != strings.Contains(want, "openmetrics") {
			t.Errorf("Accept: %s ends in %q", accept, w.Body.String()[w.Body.Len()-20:])
		}
	}
}

// TestSeriesEnd: a deleted server has none any more.
func TestSeriesEnd(t *testing.T) {
	t.Parallel()
	s := example()
	m := newMetrics(s)
	scrape(t, m, true, "")
	s.now.Servers = s.now.Servers[1:]
	if text := scrape(t, m, true, "").Body.String(); strings.Contains(text, `server="a"`) || !strings.Contains(text, `server="b"`) {
		t.Errorf("after a is gone:\n%s", text)
	}
}

// TestTurns: who scrapes too much waits, and who has left is not waited for.
func TestTurns(t *testing.T) {
	t.Parallel()
	s := &blocking{source: example(), asked: make(chan struct{}), release: make(chan struct{})}
	m := metrics.New(metrics.Options{Source: s, Meter: metrics.NewMeter(), Version: "1"})
	done := make(chan int, 3)
	ask := func(ctx context.Context) {
		w := httptest.NewRecorder()
		m.Serve(w, httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil), false)
		done <- w.Body.Len()
	}
	go ask(t.Context())
	go ask(t.Context())
	<-s.asked
	<-s.asked // both have their turn
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ask(ctx)
	if n := <-done; n != 0 {
		t.Errorf("a third got %d bytes", n)
	}
	close(s.release)
	for range 2 {
		if n := <-done; n == 0 {
			t.Error("a scrape got nothing")
		}
	}
}

type blocking struct {
	*source
	asked, release chan struct{}
}

func (b *blocking) Figures() orchestrator.Figures {
	b.asked <- struct{}{}
	<-b.release
	return b.source.Figures()
}

// BenchmarkScrape is what a scrape costs with so many servers, all of them with
// everything there is.
func BenchmarkScrape(b *testing.B) {
	for _, servers := range []int{10, 100, 1000} {
		s := &source{}
		for i := range servers {
			s.now.Servers = append(s.now.Servers, running(server.Name(fmt.Sprintf("server-%d", i))))
		}
		m := newMetrics(s)
		happen(m)
		for name, inspect := range map[string]bool{"bare": false, "all": true} {
			b.Run(fmt.Sprintf("%d/%s", servers, name), func(b *testing.B) {
				b.ReportAllocs()
				var size int
				r := httptest.NewRequestWithContext(b.Context(), "GET", "/metrics", nil)
				for b.Loop() {
					w := &discard{header: http.Header{}}
					m.Serve(w, r, inspect)
					size = w.size
				}
				b.ReportMetric(float64(size), "bytes/scrape")
				b.ReportMetric(float64(b.Elapsed().Microseconds())/1e3/float64(b.N), "ms/scrape")
			})
		}
	}
}

type discard struct {
	header http.Header
	size   int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { d.size += len(p); return len(p), nil }

// BenchmarkAnswered is what counting adds to each request.
func BenchmarkAnswered(b *testing.B) {
	m := metrics.NewMeter()
	b.ReportAllocs()
	for b.Loop() {
		m.Answered("GET", "/v1/servers/{name}", 200)
	}
}
