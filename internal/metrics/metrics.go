// Package metrics turns what left4med knows and counts into the formats that
// Prometheus reads.
//
// Two kinds of numbers meet here. What happens is counted by a Meter, as it
// happens; what is so is asked of the orchestrator at each scrape, from memory.
// Names follow https://prometheus.io/docs/practices/naming/: left4med_ and what
// is measured, in seconds and bytes; what is a server's begins with
// left4med_server_ and has the label server. There are as many series as there
// are servers: those of a server that is deleted end with it.
//
// No other room knows Prometheus' library. What it registers by itself, its
// default registry, is not used.
package metrics

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/left4med/left4med/internal/orchestrator"
)

// Source says how things are: the orchestrator.
type Source interface {
	Figures() orchestrator.Figures
}

// Options are what Metrics are made of. All must be set.
type Options struct {
	Source  Source
	Meter   *Meter
	Version string // of left4med
}

// Metrics answers Prometheus.
type Metrics struct {
	*Meter
	bare, all http.Handler
	turns     chan struct{}
}

// scrapesAtOnce bounds how many answers are put together side by side: one over
// 1,000 servers takes tens of milliseconds of a processor, and anybody may ask.
const scrapesAtOnce = 2

// New makes Metrics.
func New(o Options) *Metrics {
	bare := []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(o, false),
		o.Meter.shown, o.Meter.resync, o.Meter.resyncFailures, o.Meter.heals, o.Meter.streams,
	}
	inner := []prometheus.Collector{newCollector(o, true), o.Meter.jobs, o.Meter.jobTimes, o.Meter.requests}
	return &Metrics{
		Meter: o.Meter,
		bare:  handler(bare), all: handler(slices.Concat(bare, inner)),
		turns: make(chan struct{}, scrapesAtOnce),
	}
}

// handler answers in Prometheus' text format or in OpenMetrics, whichever is
// asked for. It goes over a unix socket: compressing it would cost more than it
// saves.
func handler(all []prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(all...)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.HTTPErrorOnError, DisableCompression: true, EnableOpenMetrics: true,
	})
}

// Serve answers one scrape; a client that may not inspect gets no players, no
// jobs and no requests. It waits for its turn. The answer is put together before
// it is sent, so that a client that does not read holds nobody up.
func (m *Metrics) Serve(w http.ResponseWriter, r *http.Request, inspect bool) {
	select {
	case m.turns <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	a := &answer{header: w.Header()}
	func() {
		defer func() { <-m.turns }()
		if inspect {
			m.all.ServeHTTP(a, r)
		} else {
			m.bare.ServeHTTP(a, r)
		}
	}()
	a.header.Set("Content-Length", strconv.Itoa(a.body.Len()))
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	w.Write(a.body.Bytes())
}

// answer is an answer that is not sent yet.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
