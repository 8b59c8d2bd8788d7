// Package hand is what left4med-probe does: it asks games over A2S and RCON, and
// posts to webhooks, when root asks it over a unix socket (package probe has the
// language). It keeps nothing: each request has all that it needs.
//
// What it reads comes from games and strangers. Each request is bounded in time
// and memory, there are so many at once and no more, and no text gets out that is
// not made visible.
package hand

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/srcds"
)

// Options are what a Hand needs. All of it must be set.
type Options struct {
	Games   *srcds.Querier
	Version string // for webhooks (User-Agent)
	// Logf takes a line of the log, which has no secret in it.
	Logf func(format string, args ...any)
}

// How many requests of a kind are under way at most; more are told FaultBusy. The
// memory that they may hold together stays well below the unit's MemoryMax=: an
// answer over RCON is held three times, at 1 MiB each.
const (
	maxQueries    = 64
	maxCommands   = 8
	maxDeliveries = 16
	maxConns      = 128
)

// Bounds of a request, in bytes.
const (
	maxRequest  = 64 << 10
	maxDelivery = 256 << 10
	maxHeader   = 8 << 10
)

// Times of a connection. The daemon lets go of one that is idle after 30 s, so the
// probe never closes one just when a request comes.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 40 * time.Second // the longest request, and what its answer takes
	idleTimeout  = 2 * time.Minute
	endTimeout   = 5 * time.Second // for what is under way when the probe is told to end
)

// Hand answers requests. Make one with New.
type Hand struct {
	games   *srcds.Querier
	hook    webhook
	logf    func(string, ...any)
	queries turns
	command turns
	deliver turns
}

// New makes a Hand.
func New(o Options) *Hand {
	return &Hand{
		games:   o.Games,
		hook:    webhook{agent: "left4med/" + o.Version},
		logf:    o.Logf,
		queries: make(turns, maxQueries),
		command: make(turns, maxCommands),
		deliver: make(turns, maxDeliveries),
	}
}

// Handler is the hand's HTTP side. It does not ask who is there: Serve does.
func (h *Hand) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+probe.RouteQuery, route(h.queries, maxRequest, h.query))
	mux.Handle("POST "+probe.RouteRCON, route(h.command, maxRequest, h.rcon))
	mux.Handle("POST "+probe.RouteDeliver, route(h.deliver, maxDelivery, h.post))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		tell(w, invalid("left4med-probe has no such route"))
	})
	return mux
}

// Serve answers root on l until ctx ends, or nobody was connected for as long as
// idle; 0 is for ever. What is under way then has five seconds more, and is broken off
// after them.
func (h *Hand) Serve(ctx context.Context, l net.Listener, idle time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	door := newDoor(l, h.logf)
	server := &http.Server{
		Handler:           h.Handler(),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog(h.logf),
	}
	done := make(chan error, 1)
	go func() {
		door.awaitIdle(ctx, idle)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // an end as good as any: who asked asks again
		}
		done <- err
	}()
	if err := server.Serve(door); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-done
}
