package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/left4med/left4med/internal/server"
)

const (
	eventStream = "text/event-stream"
	aliveLine   = ": alive\n\n"
	endedEvent  = "event: session\ndata: {\"ended\":true}\n\n"

	defaultLines = 200
	maxLines     = 1000
)

// source of a stream: a subscription of the hub's, or a console. Next returns
// nothing when the session is to be looked at.
type source interface {
	Next(ctx context.Context) ([]byte, error)
	Close()
}

// events streams what changes.
func (s *Server) events(w http.ResponseWriter, r *http.Request, c *call) {
	give, ok := s.streams.take(c.session.User.ID)
	if !ok {
		s.refuse(w, r, problemf(codeTooMany, "%s has %d pages open, which is all one may have; close some", c.session.User.Name, streamsOfOne))
		return
	}
	defer give()
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("after")
	}
	ctx, cancel := s.lasting(r)
	defer cancel()
	if r.Method == http.MethodHead {
		openStream(w)
		return
	}
	s.pour(ctx, w, c, s.opts.Hub.Subscribe(after))
}

// readLogs answers with a server's log, or streams it.
func (s *Server) readLogs(w http.ResponseWriter, r *http.Request, c *call) {
	query := r.URL.Query()
	if follow, err := strconv.ParseBool(query.Get("follow")); err != nil || !follow {
		s.relay(w, r, c, daemonRoute{get, "/v1/servers/{name}/logs", viewer})
		return
	}
	name, lines, err := logQuery(r, query)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	give, ok := s.logs.take(c.session.User.ID)
	if !ok {
		s.refuse(w, r, problemf(codeTooMany, "%s follows %d logs, which is all one may; close some", c.session.User.Name, logsOfOne))
		return
	}
	defer give()
	ctx, cancel := s.lasting(r)
	defer cancel()
	if r.Method == http.MethodHead {
		openStream(w)
		return
	}
	console, err := s.opts.Consoles.Follow(ctx, name, lines)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.pour(ctx, w, c, console)
}

// logQuery reads what a followed log is asked for.
func logQuery(r *http.Request, query url.Values) (name string, lines int, err error) {
	name = r.PathValue("name")
	if err := checkPart("name", name); err != nil {
		return "", 0, err
	}
	lines = defaultLines
	if text := query.Get("lines"); text != "" {
		if lines, err = strconv.Atoi(text); err != nil || lines < 0 || lines > maxLines {
			return "", 0, problemf(codeInvalidRequest, "%s is no number of lines; it is 0 to %d", server.Quote(text, 40), maxLines)
		}
	}
	if query.Has("since") {
		return "", 0, problemf(codeInvalidRequest, "since cannot be combined with follow; leave one of them out")
	}
	return name, lines, nil
}

// pour writes what a source has until the browser leaves, the source ends or the
// session does. It looks at the session with each heartbeat, since another process
// may end it, and whenever the source says so.
func (s *Server) pour(ctx context.Context, w http.ResponseWriter, c *call, from source) {
	defer from.Close()
	out, err := openStream(w)
	if err != nil {
		return
	}
	for s.pourUntilBeat(ctx, c, from, out) {
		if out.send([]byte(aliveLine)) != nil || !s.goesOn(ctx, c, out) {
			return
		}
	}
}

// pourUntilBeat pours until the next heartbeat is due; it is false when the stream
// is over before.
func (s *Server) pourUntilBeat(ctx context.Context, c *call, from source, out *stream) bool {
	beat, cancel := context.WithTimeout(ctx, s.opts.Heartbeat)
	defer cancel()
	for {
		b, err := from.Next(beat)
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			return beat.Err() != nil
		case len(b) == 0:
			if !s.goesOn(ctx, c, out) {
				return false
			}
		case out.send(b) != nil:
			return false
		}
	}
}

// goesOn says whether a stream's session is there as it was when the stream began,
// and tells the page when it is not.
func (s *Server) goesOn(ctx context.Context, c *call, out *stream) bool {
	now, err := s.opts.Book.Alive(ctx, c.session.ID)
	switch {
	case err == nil && now.User.Role == c.session.User.Role:
		return true
	case err == nil || isNoSession(err):
		out.send([]byte(endedEvent))
	case ctx.Err() == nil:
		s.opts.Log.Error().Err(err).Msg("a stream was ended, since its session cannot be checked")
	}
	return false
}

// stream is an answer that has no end of its own.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// openStream sends the header at once: a page must know that it is connected
// before the first event.
func openStream(w http.ResponseWriter) (*stream, error) {
	header := w.Header()
	header.Set("Content-Type", eventStream)
	header.Set("X-Accel-Buffering", "no") // nginx would wait for more
	s := &stream{w, http.NewResponseController(w)}
	w.WriteHeader(http.StatusOK)
	return s, s.send(nil)
}

// send writes; a browser that does not read is given up.
func (s *stream) send(b []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if len(b) > 0 {
		if _, err := s.w.Write(b); err != nil {
			return err
		}
	}
	return s.control.Flush()
}
