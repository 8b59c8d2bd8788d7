package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

// FuzzRequests sends anything to any route: an answer is never a 500, a
// refusal is always a problem that is safe to show, and no server is made whose
// name breaks the rule.
func FuzzRequests(f *testing.F) {
	for pattern, p := range probes {
		method, _, _ := strings.Cut(pattern, " ")
		path, query, _ := strings.Cut(p.path, "?")
		f.Add(method, path, query, "application/json", p.body)
	}
	f.Add("POST", "/v1/servers/a/start", "wait=30s&wait=x", "", "\xff")
	f.Add("POST", "/v1/servers", "", "application/json; charset=utf-8", `{"name":"\u0000","config":{"cvars":{"a":null},"args":[[]]}}`)
	f.Add("PATCH", "/v1/servers/alpha", "", "a/b+json", `{"config":{"port":1e99,"args":null,"overlays":{}}}`)
	f.Add("GET", "/v1/jobs/-1", "before=9223372036854775808", "", "")
	f.Add("GET", "/v1/servers/alpha/logs", "since=99999h&lines=-0", "", "")
	f.Add("GET", "/v1//..//", "%", "", "")

	accounts := newAccounts(f)
	gate := newGate(accounts)
	backend, logs := newFakeBackend(), newFakeLogs()
	close(logs.lines)
	backend.hasty = true
	h := api.New(api.Options{Backend: backend, Gate: gate, Accounts: accounts, Journal: logs})
	f.Fuzz(func(t *testing.T, method, path, query, contentType, body string) {
		backend.jobs = nil
		for len(logs.opened) > 0 {
			<-logs.opened
			<-logs.closed
		}
		r, err := http.NewRequestWithContext(authz.WithPeer(t.Context(), operator), method, "http://left4med/", strings.NewReader(body))
		if err != nil {
			t.Skip("no HTTP client could send it")
		}
		r.URL = &url.URL{Scheme: "http", Host: "left4med", Path: path, RawQuery: query}
		r.Header.Set("Content-Type", contentType)
		if path == "/v1/events" {
			r.Method = http.MethodHead // the stream has no end
		}
		w := &recorder{header: http.Header{}}
		h.ServeHTTP(w, r)

		if w.status >= 500 || w.status == 0 {
			t.Fatalf("%d %s", w.status, w.body)
		}
		if w.status < 400 {
			for _, job := range backend.jobs {
				if _, err := server.ParseName(string(job.Server)); err != nil && job.Kind != server.JobDisableOrphan && !job.Kind.OfHost() {
					t.Errorf("a job for %q", job.Server)
				}
			}
			return
		}
		var p api.Problem
		if err := json.Unmarshal(w.body, &p); err != nil || p.Status != w.status || p.Code == "" || p.Detail == "" {
			t.Fatalf("%d %s: %v", w.status, w.body, err)
		}
		for _, e := range append(p.Errors, api.FieldError{Detail: p.Detail}) {
			if server.Visible(e.Field) != e.Field || server.Visible(e.Detail) != e.Detail || len(e.Detail) > 4000 {
				t.Fatalf("not safe to show: %q", e)
			}
		}
	})
}
