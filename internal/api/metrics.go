package api

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Metrics counts what the API does and answers with all that is counted in the
// daemon.
type Metrics interface {
	// Serve answers Prometheus; a client that may not inspect gets no players and
	// no jobs.
	Serve(w http.ResponseWriter, r *http.Request, inspect bool)
	// Answered counts a request to a route, which is its pattern; method and route
	// are empty for what no route answers.
	Answered(method, route string, status int)
	// Streaming counts the open streams of events: 1 more, or -1.
	Streaming(change int)
}

// uncounted is for handlers without metrics.
type uncounted struct{}

// Serve implements Metrics.
func (uncounted) Serve(w http.ResponseWriter, _ *http.Request, _ bool) { w.WriteHeader(http.StatusOK) }

// Answered implements Metrics.
func (uncounted) Answered(string, string, int) {}

// Streaming implements Metrics.
func (uncounted) Streaming(int) {}

// scrape answers GET /metrics.
func (h *handler) scrape(w http.ResponseWriter, r *http.Request, c call) {
	h.metrics.Serve(w, r, h.canInspect(r.Context(), c, "metrics"))
}

const (
	plainText   = "text/plain"
	openMetrics = "application/openmetrics-text"
)

func docScrape(op *huma.Operation, _ huma.Registry) {
	text := &huma.Schema{Type: huma.TypeString}
	op.Responses["200"] = &huma.Response{
		Description: "In Prometheus' text format, or in OpenMetrics for a client that asks for it; players, jobs and requests only for clients that may inspect.",
		Content:     map[string]*huma.MediaType{plainText: {Schema: text}, openMetrics: {Schema: text}},
	}
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

// count tells the metrics how a request was answered. One whose answer did not
// begin, since the client left or a mistake of ours ended it, is none.
func (h *handler) count(c *counted, r *http.Request) {
	if c.status == 0 {
		return
	}
	var method, route string
	if r.Pattern != catchAll { // "GET /v1/servers", also for HEAD
		method, route, _ = strings.Cut(r.Pattern, " ")
	}
	h.metrics.Answered(method, route, c.status)
}
