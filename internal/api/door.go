package api

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

// ServeHTTP is the door: it lets in whom the kernel vouches for, games never,
// and passes plain paths on to the routes.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &counted{ResponseWriter: w}
	w = answer
	defer h.survive(r)
	defer h.count(answer, r)
	if err := h.admit(r.Context()); err != nil {
		w.Header().Set("Connection", "close")
		h.refuse(w, r, err)
		return
	}
	if err := plainPath(r.URL.EscapedPath()); err != nil {
		h.refuse(w, r, err)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// admit says why a connection's requests are refused, whatever they are.
func (h *handler) admit(ctx context.Context) error {
	peer, ok := authz.PeerFrom(ctx)
	switch {
	case !ok:
		return server.Errorf(server.CodeNotAuthorized, "the kernel did not say who connected; connect through left4med's unix socket")
	case peer.Game():
		return h.gate.Check(ctx, authz.Request{Peer: peer, Verb: "connect"})
	}
	return turnedAway(ctx)
}

// survive logs a panic and ends the connection, so that no half answer looks
// like a whole one.
func (h *handler) survive(r *http.Request) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v)
	default:
		h.log.Error().Any("panic", v).Str("route", r.Method+" "+r.Pattern).Bytes("stack", debug.Stack()).Msg("a request hit a mistake of ours")
		panic(http.ErrAbortHandler)
	}
}

const serversPath = "/v1/servers/"

// plainPath refuses paths with empty, "." and ".." parts, which ServeMux would
// rewrite: what a client names must be what it gets. p is still escaped, as
// ServeMux looks at it.
func plainPath(p string) error {
	clean := path.Clean(p)
	if p == clean || p == clean+"/" && p != serversPath && clean != "/" {
		return nil
	}
	if rest, ok := strings.CutPrefix(p, serversPath); ok {
		name, _, _ := strings.Cut(rest, "/")
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
		if _, err := server.ParseName(name); err != nil {
			return err
		}
	}
	return server.Errorf(server.CodeNotFound, "the path %s is not plain: leave out empty, \".\" and \"..\" parts", server.Quote(p, maxShown))
}

// nothingHere answers for paths and methods that no route has.
func (h *handler) nothingHere(w http.ResponseWriter, r *http.Request) {
	allowed := h.methods(r)
	if len(allowed) == 0 {
		h.refuse(w, r, server.Errorf(server.CodeNotFound, "there is no %s; /openapi.json lists what there is", server.Quote(r.URL.Path, maxShown)))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	h.refuse(w, r, server.Errorf(server.CodeMethodNotAllowed, "%s is not possible on %s; possible are %s",
		server.Quote(r.Method, 20), server.Quote(r.URL.Path, maxShown), strings.Join(allowed, ", ")))
}

// methods lists what can be done with the path of a request.
func (h *handler) methods(r *http.Request) []string {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		_, pattern := h.mux.Handler(&http.Request{Method: m, Host: r.Host, URL: r.URL})
		if pattern != "" && pattern != catchAll {
			allowed = append(allowed, m)
		}
	}
	return allowed
}

const catchAll = "/"

// call is one request that passed the guard.
type call struct {
	peer        authz.Peer
	interactive bool
	server      server.Name // from the path, or an orphan's instance, which may break the rule; empty when the route names none
	who         server.Requester
}

type callKey struct{}

func callFrom(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// asksFor is the question to the gate about this call.
func (c *call) asksFor(action authz.Action, verb, name string) authz.Request {
	return authz.Request{Peer: c.peer, Action: action, Verb: verb, Server: name, OnBehalfOf: c.who.OnBehalfOf, Interactive: c.interactive}
}

// canInspect says whether settings, jobs and players may stand in an answer that
// anyone gets without them.
func (h *handler) canInspect(ctx context.Context, c call, verb string) bool {
	may, _ := h.gate.May(ctx, c.asksFor(authz.Inspect, verb, string(c.server)))
	return may
}

// guarded is a handler behind the guard.
type guarded func(http.ResponseWriter, *http.Request, call)

// guard checks what all requests have in common before the route's own work:
// the server's name, who may, and the names of the query's parameters.
func (h *handler) guard(rt route, params map[string]bool, next guarded) http.HandlerFunc {
	named, ofUnit := strings.Contains(rt.path, "{name}"), strings.Contains(rt.path, "{unit}")
	return func(w http.ResponseWriter, r *http.Request) {
		peer, _ := authz.PeerFrom(r.Context()) // there is one: see admit
		c := call{peer: peer, interactive: r.Header.Get(allowInteraction) == "true"}
		h.patient(w, r, params["wait"], c.interactive)
		var err error
		if named {
			c.server, err = server.ParseName(r.PathValue("name"))
		}
		if ofUnit {
			var instance string
			instance, err = server.ParseUnit(r.PathValue("unit"))
			c.server = server.Name(instance)
		}
		if err == nil && (rt.asks.action != authz.None || r.Method != http.MethodGet) {
			c.who, err = h.requester(r, peer)
		}
		if err == nil && rt.asks.once() {
			err = h.permit(r, c, rt.asks)
		}
		if err == nil && r.URL.RawQuery != "" {
			err = knownQuery(r, params)
		}
		if err != nil {
			h.refuse(w, r, err)
			return
		}
		next(w, r, c)
	}
}

// patient bounds how long a request may take: its body to come, its answer to be
// ready and read.
func (h *handler) patient(w http.ResponseWriter, r *http.Request, waits, interactive bool) {
	control, limit := http.NewResponseController(w), h.timeouts.write
	if waits {
		limit += maxWait
	}
	if interactive {
		limit += authz.AskPatience
	}
	if limit > h.timeouts.write {
		control.SetWriteDeadline(time.Now().Add(limit))
	}
	if r.ContentLength == 0 {
		return
	}
	r.Body = &timedBody{ReadCloser: r.Body, control: control, timeout: h.timeouts.body}
	if interactive {
		// net/http notices that a client has left only once its body is read, and
		// then nobody needs to type a password any more.
		r.Body = readAhead(r.Body)
	}
}

// permit asks the gate about a request. polkit's rules are told which server it
// is about: the one in the path, that of a job, or the one that a list is narrowed
// to.
func (h *handler) permit(r *http.Request, c call, a asks) error {
	about := string(c.server)
	if about != "" { // an id beside it is that of one of its backups, and no job's
		return h.gate.Check(r.Context(), c.asksFor(a.action, a.verb, about))
	}
	if id, err := strconv.ParseInt(r.PathValue("id"), 10, 64); err == nil {
		if job, err := h.backend.Job(r.Context(), id); err == nil {
			about = string(job.Server)
			if a.own && job.RequestedBy.UID == c.peer.UID && job.RequestedBy.Via != server.ViaHeal {
				return nil
			}
		}
	} else if name, err := server.ParseName(r.URL.Query().Get("server")); err == nil {
		about = string(name)
	}
	return h.gate.Check(r.Context(), c.asksFor(a.action, a.verb, about))
}

// knownQuery refuses parameters that the route does not have: a mistyped one
// must not be taken for one that was left out.
func knownQuery(r *http.Request, params map[string]bool) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return server.Errorf(server.CodeInvalidRequest, "the query %s cannot be read; percent-encode its values", server.Quote(r.URL.RawQuery, maxShown))
	}
	for name, values := range query {
		switch {
		case !params[name]:
			return &server.Error{
				Code: server.CodeInvalidRequest, Field: shown(name, 60),
				Detail: "there is no query parameter " + server.Quote(name, 60) + " here",
			}
		case len(values) > 1:
			return &server.Error{Code: server.CodeInvalidRequest, Field: name, Detail: "the query parameter " + name + " stands there twice"}
		}
	}
	return nil
}
