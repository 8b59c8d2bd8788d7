package api

import (
	"net/http"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// Route is a line of the table, as tests see it.
type Route struct {
	Method, Path, Action, Verb string
	Each, Own                  bool
}

// Routes lists the table.
func Routes() []Route {
	h := newHandler(Options{})
	var all []Route
	for _, rt := range h.routes() {
		all = append(all, Route{rt.method, rt.path, string(rt.asks.action), rt.asks.verb, rt.asks.each, rt.asks.own})
	}
	return all
}

// SetTimeouts changes how patient a handler from New is.
func SetTimeouts(h http.Handler, body, write time.Duration) {
	h.(*handler).timeouts = timeouts{body: body, write: write}
}

// ProblemOf maps a code to its problem.
func ProblemOf(code server.Code) *Problem { return newProblem(code, "") }

// TimedBody is the reader of a request's body.
func TimedBody(r *http.Request, w http.ResponseWriter) {
	r.Body = &timedBody{ReadCloser: r.Body, control: http.NewResponseController(w), timeout: time.Minute}
}
