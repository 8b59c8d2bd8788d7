package web

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"runtime/debug"
	"strings"

	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/server"
)

const (
	sessionCookie = "left4med_session"
	deviceCookie  = "left4med_device"
	csrfHeader    = "X-CSRF-Token"
)

// call is one request that passed the door.
type call struct {
	session *account.Session // nil where anyone may ask
	source  netip.Addr
}

// ServeHTTP is the door: it sets what every answer carries, and lets plain paths
// and this page's own requests through to the routes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &counted{ResponseWriter: w}
	defer s.survive(r)
	defer s.meter.count(answer, r)
	header := w.Header()
	for name, value := range everyAnswer {
		header[name] = value
	}
	if isAPI(r.URL.Path) {
		header.Set("Cache-Control", "no-store")
	}
	// ServeMux would answer with a redirect: what a browser names must be what it
	// gets.
	if p := r.URL.EscapedPath(); p != path.Clean(p) || p[0] != '/' {
		s.refuse(answer, r, problemf(codeNotFound, "the path %s is not plain; leave out empty, \".\" and \"..\" parts", server.Quote(r.URL.Path, maxShown)))
		return
	}
	if !reads(r) {
		if err := fromHere(r); err != nil {
			s.refuse(answer, r, err)
			return
		}
	}
	s.mux.ServeHTTP(answer, r)
}

// everyAnswer is the header that every answer carries. It is not changed.
var everyAnswer = http.Header{
	"Content-Security-Policy": {"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"},
	"X-Content-Type-Options":       {"nosniff"},
	"Referrer-Policy":              {"no-referrer"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Permissions-Policy": {"accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), " +
		"geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), " +
		"publickey-credentials-get=(), screen-wake-lock=(), usb=(), xr-spatial-tracking=()"},
}

func isAPI(p string) bool { return p == "/api" || strings.HasPrefix(p, "/api/") }

// reads says whether a request changes nothing by its method.
func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// fromHere refuses what another page had the browser send. Browsers tell so by
// themselves; what is no browser sends neither header.
func fromHere(r *http.Request) error {
	refused := problemf(codeCrossSite, "the request came from another page than this one, so nothing was done; open the frontend itself and try again")
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return refused
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || bareHost(u.Host, u.Scheme) != bareHost(r.Host, u.Scheme) {
			return refused
		}
	}
	return nil
}

// bareHost is a host in lower case, without the scheme's own port.
func bareHost(host, scheme string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	}
	return host
}

// survive logs a panic and ends the connection, so that no half answer looks
// like a whole one.
func (s *Server) survive(r *http.Request) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v)
	default:
		s.opts.Log.Error().Any("panic", v).Str("route", r.Pattern).Bytes("stack", debug.Stack()).Msg("a request hit a mistake of ours")
		panic(http.ErrAbortHandler)
	}
}

// register puts a route behind its checks: who is signed in, that this page asks,
// and that the role is enough.
func (s *Server) register(rt route) {
	s.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) {
		c := &call{source: s.source(r)}
		if rt.need != anyone {
			var err error
			if c.session, err = s.admit(r, rt.need); err != nil {
				s.refuse(w, r, err)
				return
			}
		}
		rt.serve(w, r, c)
	})
}

// admit checks a request against the session that its cookie names.
func (s *Server) admit(r *http.Request, need account.Role) (*account.Session, error) {
	session, err := s.sessionOf(r)
	if err != nil {
		return nil, err
	}
	if !reads(r) && !same(r.Header.Get(csrfHeader), session.CSRF) {
		return nil, problemf(codeCrossSite, "the request lacks this session's %s, so nothing was done; reload the page and try again", csrfHeader)
	}
	if !session.User.Role.Has(need) {
		return nil, problemf(codeNotAuthorized, "%s has the role %s, and this needs %s; an admin can change roles", session.User.Name, session.User.Role, need)
	}
	return session, nil
}

// sessionOf finds the session of a request. Who has none is told when nobody can
// have one.
func (s *Server) sessionOf(r *http.Request) (*account.Session, error) {
	token := cookie(r, sessionCookie)
	err := account.ErrNoSession
	if token != "" {
		var session *account.Session
		if session, err = s.opts.Book.Session(r.Context(), token); err == nil {
			return session, nil
		}
	}
	if !errors.Is(err, account.ErrNoSession) {
		return nil, err
	}
	empty, emptyErr := s.opts.Book.Empty(r.Context())
	if emptyErr != nil {
		return nil, emptyErr
	}
	p := s.problemOf(r.Context(), err)
	p.Setup = empty
	return nil, p
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// same compares secrets in a time that tells nothing of them. Nothing is the
// same as no secret.
func same(a, b string) bool {
	return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// lasting returns a context that ends with the browser and with the server.
func (s *Server) lasting(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(s.closing, cancel)
	return ctx, func() { stop(); cancel() }
}
