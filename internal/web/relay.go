package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/left4med/left4med/internal/server"
)

const (
	// daemonTimeout is how long the daemon may take for what does not wait.
	daemonTimeout = 30 * time.Second
	// longestWait is the daemon's bound on ?wait=.
	longestWait = 10 * time.Minute
	// compressFrom is from how many bytes on an answer is compressed.
	compressFrom = 1 << 10
)

// relay passes a request on to the daemon, on behalf of its user, and the answer
// back. The daemon's request is made from the table and checked parts, so that no
// spelling of a path leads elsewhere than where the role was checked for.
func (s *Server) relay(w http.ResponseWriter, r *http.Request, c *call, d daemonRoute) {
	path, err := d.fill(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.refuse(w, r, problemf(codeInvalidRequest, "the query %s cannot be read; percent-encode its values", server.Quote(r.URL.RawQuery, maxShown)))
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	ctx, cancel := s.lasting(r)
	defer cancel()
	give, ok := s.turns.take(ctx, c.session.User.ID)
	if !ok {
		s.refuse(w, r, s.noTurn(ctx))
		return
	}
	defer give()
	limit := daemonTimeout
	if query.Has("wait") {
		limit += longestWait
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit + writeTimeout))
	ctx, stop := context.WithTimeoutCause(ctx, limit, problemf(codeDaemonUnreachable,
		"left4med did not answer within %v; what was asked for may still happen", limit))
	defer stop()
	resp, err := s.opts.Client.OnBehalfOf(c.session.User.Name).Do(ctx, r.Method, path, query, wanted(r.Header), bytes.NewReader(body))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer resp.Body.Close()
	s.passBack(w, r, resp)
}

func (s *Server) noTurn(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p := problemf(codeBusy, "too many requests are waiting for left4med, so this one was not sent; try again in a moment")
	p.retryAfter = 2 * time.Second
	return p
}

// fill puts a request's own values into the path of the daemon's route. A value
// that cannot be one is refused here: it must not become another path.
func (d daemonRoute) fill(r *http.Request) (string, error) {
	parts := strings.Split(d.path, "/")
	for i, part := range parts {
		if !strings.HasPrefix(part, "{") {
			continue
		}
		param := strings.Trim(part, "{}")
		value := r.PathValue(param)
		if err := checkPart(param, value); err != nil {
			return "", err
		}
		parts[i] = value
	}
	return strings.Join(parts, "/"), nil
}

func checkPart(param, value string) error {
	var ok bool
	switch param {
	case "name":
		_, err := server.ParseName(value)
		ok = err == nil
	case "unit":
		_, err := server.ParseUnit(value)
		ok = err == nil
	case "id":
		n, err := strconv.ParseInt(value, 10, 64)
		ok = err == nil && n > 0 && strconv.FormatInt(n, 10) == value
	case "secret":
		_, err := server.ParseSecretName(value)
		ok = err == nil
	case "overlay":
		ok = value != "" && value != "." && value != ".." && len(value) <= 255 && !strings.ContainsAny(value, "/\x00")
	}
	if !ok {
		return problemf(codeNotFound, "%s is no %s that there could be", server.Quote(value, 60), param)
	}
	return nil
}

// wanted is what of a browser's header the daemon is told. Who asks is not taken
// from there.
func wanted(from http.Header) http.Header {
	return picked(from, "Content-Type", "Accept", "Last-Event-ID", "If-None-Match")
}

func picked(from http.Header, names ...string) http.Header {
	to := http.Header{}
	for _, name := range names {
		if values := from.Values(name); len(values) > 0 {
			to[http.CanonicalHeaderKey(name)] = values[:1]
		}
	}
	return to
}

// passBack sends the daemon's answer to the browser.
func (s *Server) passBack(w http.ResponseWriter, r *http.Request, resp *http.Response) {
	header := w.Header()
	for name, values := range picked(resp.Header, "Content-Type", "Retry-After", "Event-Id", "ETag", "Allow") {
		header[name] = values
	}
	if at := resp.Header.Get("Location"); strings.HasPrefix(at, "/v1/") {
		header.Set("Location", "/api"+at)
	}
	length := resp.ContentLength
	header.Add("Vary", "Accept-Encoding")
	if r.Method == http.MethodHead || length >= 0 && length < compressFrom || !acceptsGzip(r) || resp.StatusCode == http.StatusNoContent {
		if length >= 0 {
			header.Set("Content-Length", strconv.FormatInt(length, 10))
		}
		if resp.StatusCode == http.StatusNoContent {
			header.Del("Content-Length")
		}
		w.WriteHeader(resp.StatusCode)
		s.copyOrAbort(r, w, resp.Body)
		return
	}
	header.Set("Content-Encoding", "gzip")
	header.Del("ETag") // it is that of other bytes
	w.WriteHeader(resp.StatusCode)
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil { // the level is a constant
		panic(err)
	}
	s.copyOrAbort(r, z, resp.Body)
	z.Close()
}

// copyOrAbort ends the connection when the daemon's answer breaks off, so that
// the browser does not take a part for the whole.
func (s *Server) copyOrAbort(r *http.Request, w io.Writer, body io.Reader) {
	if _, err := io.Copy(w, body); err != nil {
		if r.Context().Err() == nil {
			s.opts.Log.Warn().Err(err).Str("route", r.Pattern).Msg("an answer of left4med's could not be passed on to its end")
		}
		panic(http.ErrAbortHandler)
	}
}

// acceptsGzip says whether a browser takes compressed answers.
func acceptsGzip(r *http.Request) bool {
	for _, coding := range listed(r.Header.Values("Accept-Encoding")) {
		name, params, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, isQ := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !isQ || err == nil && weight > 0
		}
	}
	return false
}
