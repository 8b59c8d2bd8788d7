package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/left4med/left4med/internal/live"
)

// meter counts what the frontend does. Its names begin with left4med_web_: they
// stand in one answer with the daemon's.
type meter struct {
	requests *prometheus.CounterVec
	signIns  *prometheus.CounterVec
	handler  http.Handler
}

func newMeter(hub *live.Hub) *meter {
	m := &meter{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "left4med_web_requests_total", Help: "Requests of browsers, by route and status.",
		}, []string{"route", "code"}),
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "left4med_web_sign_ins_total", Help: "Attempts to sign in, by how they ended.",
		}, []string{"result"}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.signIns,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "left4med_web_viewers", Help: "Open streams of events to browsers.",
		}, func() float64 { return float64(hub.Viewers()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "left4med_web_link_up", Help: "Whether the stream of events from left4med stands: 1 or 0.",
		}, func() float64 {
			if hub.Link().Up {
				return 1
			}
			return 0
		}))
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
	return m
}

// count counts a request by how it was answered. One whose answer did not begin,
// since the browser left, is none.
func (m *meter) count(c *counted, r *http.Request) {
	if c.status == 0 {
		return
	}
	route := r.Pattern
	if route == "" || route == "/" {
		route = "page"
		if isAPI(r.URL.Path) {
			route = "none"
		}
	}
	m.requests.WithLabelValues(route, strconv.Itoa(c.status)).Inc()
}

// counted remembers how a request was answered.
type counted struct {
	http.ResponseWriter
	status int
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (c *counted) WriteHeader(status int) {
	if c.status == 0 && status >= http.StatusOK { // there may be others before it
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *counted) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(p)
}

const (
	metricsText    = "text/plain; version=0.0.4; charset=utf-8"
	metricsTimeout = 8 * time.Second // Prometheus gives up after ten
	maxMetrics     = 32 << 20
	nobody         = 0 // whose turn a scrape takes; no user has this id
)

// metrics answers Prometheus, when it is switched on, with the daemon's numbers
// and the frontend's own. The latter stand alone when the daemon is away.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request, _ *call) {
	w.Header().Set("Cache-Control", "no-store")
	if s.opts.MetricsToken == "" {
		s.refuse(w, r, problemf(codeNotFound, "metrics are switched off; [metrics] token in web.toml switches them on"))
		return
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || !same(token, s.opts.MetricsToken) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="left4med-web"`)
		s.refuse(w, r, problemf(codeNotSignedIn, "the bearer token is missing or wrong; it is [metrics] token in web.toml"))
		return
	}
	body, err := s.daemonMetrics(r.Context())
	if err != nil && r.Context().Err() == nil {
		s.opts.Log.Warn().Err(err).Msg("a scrape got the frontend's own metrics alone")
	}
	own := &kept{header: http.Header{}}
	plain := r.Clone(r.Context())
	plain.Header = http.Header{"Accept": {"text/plain"}}
	s.meter.handler.ServeHTTP(own, plain)
	if len(body) > 0 && body[len(body)-1] != '\n' {
		body = append(body, '\n')
	}
	w.Header().Set("Content-Type", metricsText)
	w.Write(append(body, own.body.Bytes()...))
}

func (s *Server) daemonMetrics(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, metricsTimeout, fmt.Errorf("left4med did not answer within %v", metricsTimeout))
	defer cancel()
	give, ok := s.turns.take(ctx, nobody)
	if !ok {
		return nil, s.noTurn(ctx)
	}
	defer give()
	resp, err := s.opts.Client.Do(ctx, http.MethodGet, "/metrics", nil, http.Header{"Accept": {"text/plain"}}, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot read left4med's metrics: it answered %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMetrics+1))
	if err != nil || len(body) > maxMetrics {
		return nil, fmt.Errorf("cannot read left4med's metrics to their end: %w", err)
	}
	return body, nil
}

// kept is an answer that is not sent.
type kept struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (k *kept) Header() http.Header { return k.header }

// WriteHeader implements http.ResponseWriter.
func (k *kept) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (k *kept) Write(p []byte) (int, error) { return k.body.Write(p) }
