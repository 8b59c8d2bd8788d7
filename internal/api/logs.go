package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/left4med/left4med/internal/journal"
	"github.com/left4med/left4med/internal/server"
)

const (
	defaultLines = 100
	maxLines     = 10_000
)

// logs answers with a server's log: JSON lines, or Server-Sent Events when it
// is followed.
func (h *handler) logs(w http.ResponseWriter, r *http.Request, c call) {
	q, err := h.logQuery(r.URL.Query())
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	entry, _, err := h.backend.Get(c.server)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	q.Unit = entry.Unit
	if q.Follow {
		give, ok := h.followers.Take(c.peer.UID)
		if !ok {
			h.refuse(w, r, server.Errorf(server.CodeTooMany, "too many logs are being followed; end some and try again"))
			return
		}
		defer give()
	}
	ctx, cancel := streaming(r)
	defer cancel()
	lines, err := h.journal.Open(ctx, q)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer lines.Close()
	if q.Follow {
		h.follow(ctx, w, r, lines)
		return
	}
	h.copyLog(ctx, w, r, lines)
}

// copyLog writes the lines there are. An error in the middle ends the
// connection, so that the client sees that the answer is not whole.
func (h *handler) copyLog(ctx context.Context, w http.ResponseWriter, r *http.Request, lines LogStream) {
	first, err := lines.Next(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		h.refuse(w, r, err)
		return
	}
	s, openErr := h.openStream(w, jsonLines)
	if openErr != nil || err != nil || r.Method == http.MethodHead {
		return
	}
	for e := first; ; {
		s.buf = append(append(s.buf, encodeLine(e)...), '\n')
		if len(s.buf) >= keptBuffer/2 && s.send() != nil {
			return
		}
		e, err = lines.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			s.send()
			return
		case err != nil:
			h.brokenLog(ctx, err)
			s.send()
			panic(http.ErrAbortHandler)
		}
	}
}

// follow writes lines as they come, until the client leaves. It ends with an
// event "failed" when the log itself ends.
func (h *handler) follow(ctx context.Context, w http.ResponseWriter, r *http.Request, lines LogStream) {
	s, err := h.openStream(w, eventStream)
	if err != nil || r.Method == http.MethodHead {
		return
	}
	tick, stop := h.heartbeat()
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	entries := pump(ctx, 128, lines.Next)
	defer func() { // Next must have returned before the stream is closed
		cancel()
		for range entries.values {
		}
	}()
	for {
		select {
		case e, ok := <-entries.values:
			if !ok {
				h.endFollow(ctx, s, entries.err)
				return
			}
			s.event("", "log", encodeLine(e))
			s.more(entries.values)
		case <-tick:
			s.buf = append(s.buf, heartbeatLine...)
		}
		if s.send() != nil {
			return
		}
	}
}

// more adds the lines that are already there to the same write.
func (s *stream) more(values <-chan journal.Entry) {
	for len(s.buf) < keptBuffer/2 {
		select {
		case e, ok := <-values:
			if !ok {
				return
			}
			s.event("", "log", encodeLine(e))
		default:
			return
		}
	}
}

func (h *handler) endFollow(ctx context.Context, s *stream, err error) {
	if ctx.Err() != nil {
		return
	}
	p := newProblem(server.CodeInternal, "the log ended; follow it again")
	if err != nil && !errors.Is(err, io.EOF) {
		h.brokenLog(ctx, err)
		p = h.problem(ctx, err)
	}
	data, err := json.Marshal(p)
	if err != nil { // a Problem holds strings and numbers alone
		panic(err)
	}
	s.event("", "failed", data)
	s.send()
}

func (h *handler) brokenLog(ctx context.Context, err error) {
	if ctx.Err() == nil {
		h.log.Warn().Err(err).Msg("cannot read a unit's log to its end")
	}
}

// encodeLine is one line of a log. The journal's reader has escaped what a game
// printed.
func encodeLine(e journal.Entry) []byte {
	b, err := json.Marshal(e)
	if err != nil { // only a year beyond 9999 could cause it
		b, _ = json.Marshal(journal.Entry{Priority: e.Priority, PID: e.PID, Message: e.Message, Cursor: e.Cursor})
	}
	return b
}

func (h *handler) logQuery(values url.Values) (journal.Query, error) {
	q := journal.Query{Lines: defaultLines}
	if s := values.Get("lines"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > maxLines {
			return q, badParameter("lines", s, "is no number of lines: 0 to 10000")
		}
		if q.Lines = n; n == 0 {
			q.Lines = -1 // 0 would mean all
		}
	}
	if s := values.Get("follow"); s != "" {
		follow, err := strconv.ParseBool(s)
		if err != nil {
			return q, badParameter("follow", s, "is neither 1 nor 0")
		}
		q.Follow = follow
	}
	if s := values.Get("since"); s != "" {
		since, err := h.parseSince(s)
		if err != nil {
			return q, err
		}
		q.Since = since
	}
	return q, nil
}

func (h *handler) parseSince(s string) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return h.now().Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Time{}, badParameter("since", s, "is no moment: a duration back from now like 1h, or a time like 2006-01-02T15:04:05Z")
}

func badParameter(field, value, why string) error {
	return &server.Error{Code: server.CodeInvalidRequest, Field: field, Detail: server.Quote(value, 40) + " " + why}
}
