package api_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

// steady answers List and Get with what is ready, like the orchestrator.
type steady struct {
	*fakeBackend
	snapshot orchestrator.Snapshot
}

func (s *steady) List() orchestrator.Snapshot { return s.snapshot }

func (s *steady) Get(server.Name) (*orchestrator.Entry, uint64, error) {
	return s.snapshot.Servers[0], s.snapshot.EventID, nil
}

// BenchmarkGet compares the hot reads with a bare handler that writes the same
// bytes on the same kind of socket: "served" should reach at least 0.8 of the
// requests of "bare". It is to be run as root, who sees all.
func BenchmarkGet(b *testing.B) {
	for _, servers := range []int{10, 200, 1000} {
		backend := &steady{fakeBackend: newFakeBackend()}
		for i := range servers {
			backend.snapshot.Servers = append(backend.snapshot.Servers, entry(int64(i+1), server.Name(fmt.Sprintf("server-%d", i))))
		}
		backend.snapshot.EventID = 4711
		accounts := authz.SystemAccounts()
		h := api.New(api.Options{Backend: backend, Gate: newGate(accounts), Accounts: accounts, Log: zerolog.Nop()})
		for _, path := range []string{"/v1/servers", "/v1/servers/server-0"} {
			w := &recorder{header: http.Header{}}
			r, err := http.NewRequestWithContext(authz.WithPeer(b.Context(), root), "GET", "http://left4med"+path, nil)
			if err != nil {
				b.Fatal(err)
			}
			h.ServeHTTP(w, r)
			bare := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "application/json")
				rw.Write(w.body)
			})
			b.Run(fmt.Sprintf("%s/%d/bare", path, servers), func(b *testing.B) { load(b, bare, nil, path, len(w.body)) })
			b.Run(fmt.Sprintf("%s/%d/served", path, servers), func(b *testing.B) {
				load(b, nil, api.NewServer(h, api.ServerOptions{}), path, len(w.body))
			})
		}
	}
}

// load sends requests on kept connections as fast as they are answered.
func load(b *testing.B, bare http.Handler, served *api.Server, path string, size int) {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if served != nil {
		go served.Serve(l)
		defer served.Shutdown(b.Context())
	} else {
		s := &http.Server{Handler: bare}
		go s.Serve(l)
		defer s.Close()
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: left4med\r\n\r\n"
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		answers := newAnswers(c)
		for pb.Next() {
			if _, err := c.Write([]byte(request)); err != nil {
				b.Error(err)
				return
			}
			if err := answers.skip(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
