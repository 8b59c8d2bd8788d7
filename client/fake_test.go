package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
)

// asked is one request as the daemon saw it.
type asked struct {
	Method, URI, Body string
	LastEventID       string
}

// daemon is a stand-in for left4med: it listens on a real unix socket, keeps
// what it was asked and answers by a script. It can go away and come back.
type daemon struct {
	t      *testing.T
	socket string
	handle http.HandlerFunc

	mu     sync.Mutex
	asked  []asked
	server *http.Server
}

func newDaemon(t *testing.T, handle http.HandlerFunc) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "l4c") // t.TempDir can be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, socket: filepath.Join(dir, "s"), handle: handle}
	t.Cleanup(func() {
		d.kill()
		os.RemoveAll(dir)
	})
	d.start()
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(d.serve)}
	d.mu.Lock()
	d.server = srv
	d.mu.Unlock()
	go srv.Serve(l)
}

// kill breaks all connections and takes the socket away, as a crash does.
func (d *daemon) kill() {
	d.mu.Lock()
	srv := d.server
	d.mu.Unlock()
	srv.Close()
}

func (d *daemon) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	d.mu.Lock()
	d.asked = append(d.asked, asked{r.Method, r.URL.RequestURI(), string(body), r.Header.Get("Last-Event-ID")})
	d.mu.Unlock()
	d.handle(w, r)
}

func (d *daemon) requests() []asked {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]asked{}, d.asked...)
}

func (d *daemon) client() *client.Client {
	c := client.New(client.Options{Socket: d.socket})
	d.t.Cleanup(c.Close)
	return c
}

func answer(w http.ResponseWriter, status int, body string) {
	media := "application/json"
	if status >= 400 {
		media = "application/problem+json"
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// stream begins a stream and writes each event as it comes.
func stream(w http.ResponseWriter) func(id, event, data string) {
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	rc.Flush()
	return func(id, event, data string) {
		if id != "" {
			fmt.Fprintf(w, "id: %s\n", id)
		}
		if event != "" {
			fmt.Fprintf(w, "event: %s\n", event)
		}
		fmt.Fprintf(w, "data: %s\n\n", data)
		rc.Flush()
	}
}

// within is a context that ends a test that hangs.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
