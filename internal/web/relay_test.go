package web_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/web"
)

func answering(h http.HandlerFunc) option {
	return func(_ *web.Options, d *daemon) { d.handle = h }
}

func TestRelayTellsTheDaemonOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.as(account.RoleOperator)
	b.do(http.MethodPost, "/api/v1/servers/versus-1/restart?when=empty&wait=1s", `{"a":1}`,
		"X-On-Behalf-Of", "root", "X-Allow-Interaction", "true", "Authorization", "Basic cm9vdDpyb290", "X-Forwarded-For", "1.2.3.4",
		"Accept", "application/json", "Last-Event-ID", "5", "If-None-Match", `"x"`, "User-Agent", "evil")
	want := []seen{{"POST /v1/servers/versus-1/restart?wait=1s&when=empty", `{"a":1}`, http.Header{
		"Accept": {"application/json"}, "Content-Type": {"application/json"}, "Last-Event-Id": {"5"}, "If-None-Match": {`"x"`},
		"X-On-Behalf-Of": {"operator-1"}, "User-Agent": {"left4med-client"}, "Content-Length": {"7"},
	}}}
	if diff := cmp.Diff(want, s.daemon.take()); diff != "" {
		t.Errorf("the daemon was told (-want +got):\n%s", diff)
	}
}

func TestRelayPassesAnswersBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, answering(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/problem+json")
		h.Set("Location", "/v1/jobs/7")
		h.Set("Retry-After", "3")
		h.Set("Event-Id", "12")
		h.Set("Set-Cookie", "left4med_session=evil")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Content-Security-Policy", "none")
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, `{"code":"busy","job":7}`)
	}))
	got := s.as(account.RoleAdmin).do(http.MethodPost, "/api/v1/install", `{}`)
	for _, name := range []string{"Date", "Content-Length", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy"} {
		if got.Header.Get(name) == "" || got.Header.Get(name) == "none" {
			t.Errorf("the header %s is %q", name, got.Header.Get(name))
		}
		got.Header.Del(name)
	}
	want := http.Header{
		"Content-Type": {"application/problem+json"}, "Location": {"/api/v1/jobs/7"}, "Retry-After": {"3"}, "Event-Id": {"12"},
		"Vary": {"Accept-Encoding"}, "Cache-Control": {"no-store"},
	}
	if diff := cmp.Diff(want, got.Header); diff != "" || got.Status != http.StatusConflict || got.Body != `{"code":"busy","job":7}` {
		t.Errorf("the answer is %d %s (-want +got):\n%s", got.Status, got.Body, diff)
	}
}

func TestRelayCompressesLargeAnswers(t *testing.T) {
	t.Parallel()
	large := strings.Repeat(`{"large":true}`, 1000)
	s := newSite(t, answering(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(large)))
		io.WriteString(w, large)
	}))
	b := s.as(account.RoleViewer)
	got := b.do(http.MethodGet, "/api/v1/history", "", "Accept-Encoding", "br, gzip;q=0.5")
	z, err := gzip.NewReader(strings.NewReader(got.Body))
	if err != nil || got.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("the answer is not compressed: %v, %v", got.Header, err)
	}
	if plain, err := io.ReadAll(z); err != nil || string(plain) != large {
		t.Errorf("the answer is another: %d bytes, %v", len(plain), err)
	}
	if got := b.do(http.MethodGet, "/api/v1/history", "", "Accept-Encoding", "gzip;q=0"); got.Body != large {
		t.Errorf("the answer is compressed unasked: %v", got.Header)
	}
	if got := b.do(http.MethodHead, "/api/v1/history", "", "Accept-Encoding", "gzip"); got.Status != http.StatusOK || got.Body != "" {
		t.Errorf("HEAD = %v", got)
	}
}

func TestRelayRefusesBadInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.as(account.RoleAdmin)
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/api/v1/install", strings.Repeat("x", 64<<10+1), http.StatusRequestEntityTooLarge, "too-large"},
		{"/api/v1/install?wait=%zz", `{}`, http.StatusUnprocessableEntity, "invalid-request"},
		{"/api/v1/install?a;b", `{}`, http.StatusUnprocessableEntity, "invalid-request"},
	} {
		if got := b.do(http.MethodPost, c.path, c.body); got.Status != c.status || got.code() != c.code {
			t.Errorf("%s = %d %s", c.path, got.Status, got.Body)
		}
	}
	if asked := s.daemon.asked(); len(asked) > 0 {
		t.Errorf("the daemon was asked %q", asked)
	}
}

func TestDaemonAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.as(account.RoleViewer)
	s.daemon.http.Close()
	for _, path := range []string{"/api/v1/health", "/api/openapi.json"} {
		got := b.do(http.MethodGet, path, "")
		if got.Status != http.StatusBadGateway || got.code() != "daemon-unreachable" {
			t.Errorf("%s = %d %s", path, got.Status, got.Body)
		}
	}
}

// An answer that breaks off must not look whole.
func TestBrokenAnswersLookBroken(t *testing.T) {
	t.Parallel()
	s := newSite(t, answering(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("{}\n", 10))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	b := s.as(account.RoleViewer)
	for _, coding := range []string{"gzip", "identity"} {
		resp, err := b.http.Do(b.request(http.MethodGet, "/api/v1/servers/a/logs", "", "Accept-Encoding", coding))
		if err != nil {
			continue // it broke before the header, which tells as much
		}
		if body, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%s: the answer looks whole: %q", coding, body)
		}
		resp.Body.Close()
	}
}

func TestWhoLeavesEndsTheWait(t *testing.T) {
	t.Parallel()
	began, ended := make(chan struct{}), make(chan struct{})
	s := newSite(t, answering(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}))
	b := s.as(account.RoleViewer)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	if _, err := b.http.Do(b.request(http.MethodGet, "/api/v1/jobs/7?wait=10m", "").WithContext(ctx)); err == nil {
		t.Error("there was an answer")
	}
	<-ended
}

// One user's waits leave turns for others.
func TestWaitsLeaveTurnsForOthers(t *testing.T) {
	t.Parallel()
	const each = 12
	began, end := make(chan struct{}, 2*each), make(chan struct{})
	s := newSite(t, answering(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("wait") {
			began <- struct{}{}
			<-end
		}
		io.WriteString(w, "{}")
	}))
	greedy, other := s.as(account.RoleViewer), s.as(account.RoleOperator)
	answers := make(chan int, 2*each)
	for range each + 1 {
		r := greedy.request(http.MethodGet, "/api/v1/jobs/7?wait=10m", "")
		go func() {
			resp, err := greedy.http.Do(r)
			if err != nil {
				answers <- 0
				return
			}
			resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	for range each {
		<-began
	}
	if got := other.do(http.MethodGet, "/api/v1/jobs", ""); got.Status != http.StatusOK {
		t.Errorf("another user got %d %s", got.Status, got.Body)
	}
	select {
	case <-began:
		t.Errorf("one user has more than %d turns", each)
	default:
	}
	close(end)
	for range each + 1 {
		if status := <-answers; status != http.StatusOK {
			t.Errorf("a wait was answered %d", status)
		}
	}
}
