package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/live"
	"github.com/left4med/left4med/internal/web"
)

const password = "correct horse"

// seen is one request as the daemon got it.
type seen struct {
	Request string // method and address
	Body    string
	Header  http.Header
}

// daemon stands in for left4med on a real unix socket: no real one can be had
// without systemd. It keeps what it was asked.
type daemon struct {
	socket string
	handle http.HandlerFunc

	mu   sync.Mutex
	seen []seen
	http *http.Server
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /v1/events":
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	case "GET /v1/servers":
		if r.Header.Get("X-On-Behalf-Of") == "" { // the hub
			w.Header().Set("Event-Id", "1")
			io.WriteString(w, `{"servers":[]}`)
			return
		}
	}
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	d.seen = append(d.seen, seen{r.Method + " " + r.RequestURI, string(body), r.Header.Clone()})
	d.mu.Unlock()
	if d.handle != nil {
		d.handle(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"answer":true}`)
}

// asked is what the daemon was asked since the last call.
func (d *daemon) asked() []string {
	all := []string{}
	for _, s := range d.take() {
		all = append(all, s.Request)
	}
	return all
}

func (d *daemon) take() []seen {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.seen
	d.seen = nil
	return all
}

// site is a whole frontend: its server on a real port, its users in a real
// database.
type site struct {
	t      testing.TB
	url    string
	host   string
	book   *account.Book
	hub    *live.Hub
	daemon *daemon
	server *web.Server
}

type option func(*web.Options, *daemon)

func newSite(t testing.TB, options ...option) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "l4w") // t.TempDir can be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	book, err := account.Open(t.Context(), filepath.Join(dir, "web.db"), account.Options{
		Log: zerolog.Nop(), Hash: account.HashCost{MemoryKiB: 8, Passes: 1, Threads: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	d := &daemon{socket: filepath.Join(dir, "s")}
	c := client.New(client.Options{Socket: d.socket})
	o := web.Options{
		Book: book, Client: c, Version: "1.2.3", Log: zerolog.Nop(),
		Hub:            live.New(live.Options{Client: c, Log: zerolog.Nop(), Pause: time.Millisecond}),
		Consoles:       live.NewConsoles(c, 16),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Files: fstest.MapFS{
			"index.html":         {Data: []byte("<!doctype html><title>left4med</title>")},
			"assets/app-1234.js": {Data: bytes.Repeat([]byte("console.log(1);\n"), 200)},
			"README":             {Data: []byte("not for browsers")},
		},
	}
	for _, f := range options {
		f(&o, d)
	}
	s := &site{t: t, book: book, hub: o.Hub, daemon: d}
	s.startDaemon()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { o.Hub.Run(ctx) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.host = l.Addr().String()
	s.url = "http://" + s.host
	s.server = web.New(o)
	running.Go(func() {
		if err := s.server.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		if err := s.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		o.Consoles.Close()
		c.Close()
		d.http.Close()
		running.Wait()
	})
	return s
}

func (s *site) startDaemon() {
	s.t.Helper()
	l, err := net.Listen("unix", s.daemon.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	s.daemon.http = &http.Server{Handler: s.daemon}
	go s.daemon.http.Serve(l)
}

// browser is one that may be signed in.
type browser struct {
	*site
	http          *http.Client
	token, device string
	csrf          string
	id            string // of its session
}

func (s *site) browser() *browser {
	tr := &http.Transport{DisableCompression: true}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &browser{site: s, http: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as makes a user of a role and signs it in.
func (s *site) as(role account.Role) *browser {
	s.t.Helper()
	name := fmt.Sprintf("%s-1", role)
	if _, err := s.book.Add(s.t.Context(), name, role, password); err != nil {
		s.t.Fatal(err)
	}
	b := s.browser()
	b.enter(name)
	return b
}

func (b *browser) enter(name string) {
	b.t.Helper()
	in, err := b.book.SignIn(b.t.Context(), name, password, account.From{Source: netip.MustParseAddr("192.0.2.1")})
	if err != nil {
		b.t.Fatal(err)
	}
	b.token, b.csrf, b.id = in.Token, in.Session.CSRF, in.Session.ID
}

// got is an answer.
type got struct {
	Status int
	Header http.Header
	Body   string
}

func (g got) code() string {
	var p struct{ Code string }
	json.Unmarshal([]byte(g.Body), &p)
	return p.Code
}

func (b *browser) request(method, path, body string, header ...string) *http.Request {
	b.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, content)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.token != "" {
		r.AddCookie(&http.Cookie{Name: "left4med_session", Value: b.token})
	}
	if b.device != "" {
		r.AddCookie(&http.Cookie{Name: "left4med_device", Value: b.device})
	}
	if b.csrf != "" {
		r.Header.Set("X-CSRF-Token", b.csrf)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	return r
}

func (b *browser) do(method, path, body string, header ...string) got {
	b.t.Helper()
	return b.send(b.request(method, path, body, header...))
}

func (b *browser) send(r *http.Request) got {
	b.t.Helper()
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return got{resp.StatusCode, resp.Header, string(content)}
}
