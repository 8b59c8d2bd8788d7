package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/web"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	b := newSite(t).browser()
	for path, want := range map[string]struct {
		status             int
		media, cache, body string
	}{
		"/":                   {200, "text/html; charset=utf-8", "no-cache", "<title>"},
		"/index.html":         {200, "text/html; charset=utf-8", "no-cache", "<title>"},
		"/servers/versus-1":   {200, "text/html; charset=utf-8", "no-cache", "<title>"},
		"/setup":              {200, "text/html; charset=utf-8", "no-cache", "<title>"},
		"/assets/app-1234.js": {200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "console"},
		"/assets/app-0000.js": {404, "application/problem+json", "no-store", "not-found"},
		"/assets/x":           {404, "application/problem+json", "no-store", "not-found"},
		"/README":             {200, "text/html; charset=utf-8", "no-cache", "<title>"}, // no file of the page's
		"/favicon.ico":        {404, "application/problem+json", "no-store", "not-found"},
		"/api/nothing":        {404, "application/problem+json", "no-store", "not-found"},
		"/healthz":            {200, "text/plain; charset=utf-8", "no-store", "ok\n"},
		"/metrics":            {404, "application/problem+json", "no-store", "switched off"},
	} {
		got := b.do(http.MethodGet, path, "")
		h := got.Header
		if got.Status != want.status || h.Get("Content-Type") != want.media || h.Get("Cache-Control") != want.cache || !strings.Contains(got.Body, want.body) ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';") {
			t.Errorf("%s = %d %v %.100s", path, got.Status, h, got.Body)
		}
	}
	if got := b.do(http.MethodPost, "/", "{}"); got.Status != http.StatusMethodNotAllowed {
		t.Errorf("POST / = %d %s", got.Status, got.Body)
	}
	plain := b.do(http.MethodGet, "/assets/app-1234.js", "")
	zipped := b.do(http.MethodGet, "/assets/app-1234.js", "", "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(strings.NewReader(zipped.Body))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(z); err != nil || string(body) != plain.Body {
		t.Errorf("compressed, it is another file: %v", err)
	}
	for _, tag := range []string{zipped.Header.Get("ETag"), `"x", W/` + zipped.Header.Get("ETag")} {
		if again := b.do(http.MethodGet, "/assets/app-1234.js", "", "Accept-Encoding", "gzip", "If-None-Match", tag); again.Status != http.StatusNotModified || again.Body != "" {
			t.Errorf("known as %s, it is %d", tag, again.Status)
		}
	}
}

func TestWithoutThePage(t *testing.T) {
	t.Parallel()
	b := newSite(t, func(o *web.Options, _ *daemon) { o.Files = nil }).browser()
	if got := b.do(http.MethodGet, "/", ""); got.Status != http.StatusServiceUnavailable || !strings.Contains(got.Body, "make web") {
		t.Errorf("/ = %d %s", got.Status, got.Body)
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	b := newSite(t).as(account.RoleViewer)
	got := b.do(http.MethodGet, "/api/openapi.json", "")
	if got.Status != http.StatusOK || got.Body != `{"answer":true}` || got.Header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("openapi = %d %v %s", got.Status, got.Header, got.Body)
	}
	if again := b.do(http.MethodGet, "/api/openapi.json", "", "If-None-Match", got.Header.Get("ETag")); again.Status != http.StatusNotModified {
		t.Errorf("known, it is %d", again.Status)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef"
	s := newSite(t, func(o *web.Options, _ *daemon) { o.MetricsToken = token }, answering(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "# TYPE left4med_servers gauge\nleft4med_servers 3")
	}))
	b := s.browser()
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer x", "Basic " + token} {
		if got := b.do(http.MethodGet, "/metrics", "", "Authorization", header); got.Status != http.StatusUnauthorized || len(s.daemon.asked()) > 0 {
			t.Errorf("%q = %d %s", header, got.Status, got.Body)
		}
	}
	b.do(http.MethodPost, "/api/session", `{"user":"alice","password":"wrong horse"}`)
	got := b.do(http.MethodGet, "/metrics", "", "Authorization", "Bearer "+token)
	for _, line := range []string{
		"left4med_servers 3\n", "left4med_web_viewers 0\n", "left4med_web_link_up ",
		`left4med_web_requests_total{code="401",route="POST /api/session"} 1` + "\n", `left4med_web_sign_ins_total{result="wrong-credentials"} 1` + "\n",
	} {
		if !strings.Contains(got.Body, line) {
			t.Errorf("there is no %q in %s", line, got.Body)
		}
	}
	s.daemon.http.Close()
	if got := b.do(http.MethodGet, "/metrics", "", "Authorization", "Bearer "+token); got.Status != http.StatusOK || strings.Contains(got.Body, "left4med_servers") || !strings.Contains(got.Body, "left4med_web_viewers") {
		t.Errorf("without the daemon: %d %s", got.Status, got.Body)
	}
}
