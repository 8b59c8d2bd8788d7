package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/authz"
)

// tally stands for the metrics: it remembers what it is told.
type tally struct {
	mu       sync.Mutex
	answered []string
	streams  []int
}

// Serve implements api.Metrics.
func (m *tally) Serve(w http.ResponseWriter, _ *http.Request, inspect bool) {
	fmt.Fprintf(w, "inspect %t\n", inspect)
}

// Answered implements api.Metrics.
func (m *tally) Answered(method, route string, status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answered = append(m.answered, fmt.Sprint(method, " ", route, " ", status))
}

// Streaming implements api.Metrics.
func (m *tally) Streaming(change int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams = append(m.streams, change)
}

// TestScrape: everybody may, and sees of it what he may.
func TestScrape(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	for peer, want := range map[authz.Peer]string{root: "inspect true\n", operator: "inspect true\n", kim: "inspect false\n", ann: "inspect false\n"} {
		if got := f.do(peer, "GET", "/metrics", ""); got.Status != 200 || got.Body != want {
			t.Errorf("uid %d: %d %q, want %q", peer.UID, got.Status, got.Body, want)
		}
	}
	if got := f.do(root, "GET", "/metrics?name[]=x", ""); got.Status != 400 {
		t.Errorf("a parameter that is none: %d", got.Status)
	}
}

// TestRequestsAreCounted by the route and never by the path, which anybody can
// make up.
func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	for _, r := range []string{"GET /v1/servers", "HEAD /v1/servers/alpha", "GET /v1/servers/absent", "GET /nothing/1", "DELETE /v1/servers", "GET /v1//servers"} {
		var method, path string
		fmt.Sscan(r, &method, &path)
		f.do(root, method, path, "")
	}
	f.do(kim, "POST", "/v1/servers/alpha/start", "")
	f.do(root, "POST", "/v1/servers/alpha/start", "")
	f.do(game, "GET", "/v1/servers", "")
	f.server.Shutdown(t.Context()) // all are over
	want := []string{
		"  403", "  404", "  404", "  405",
		"GET /v1/servers 200", "GET /v1/servers/{name} 200", "GET /v1/servers/{name} 404",
		"POST /v1/servers/{name}/start 202", "POST /v1/servers/{name}/start 403",
	}
	slices.Sort(f.tally.answered)
	if diff := cmp.Diff(want, f.tally.answered); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// TestStreamsAreCounted while they are open.
func TestStreamsAreCounted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	res, err := f.client(root).Do(f.request(t.Context(), "GET", "/v1/events", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	f.tick <- past // it is being served
	f.server.Shutdown(t.Context())
	if diff := cmp.Diff([]int{1, -1}, f.tally.streams); diff != "" {
		t.Errorf("streams (-want +got):\n%s", diff)
	}
}
