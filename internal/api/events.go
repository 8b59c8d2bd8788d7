package api

import (
	"net/http"
	"strconv"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

// events streams what changes. A reader keeps its own place in the feed, so
// one that is slow holds nobody up.
func (h *handler) events(w http.ResponseWriter, r *http.Request, c call) {
	after, resume, err := lastEventID(r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	ctx, cancel := streaming(r)
	defer cancel()
	inspect := h.canInspect(ctx, c, "watch")
	watcher := h.backend.Watch(after, resume) // before the headers: from then on nothing is lost

	s, err := h.openStream(w, eventStream)
	if err != nil || r.Method == http.MethodHead {
		return
	}
	h.metrics.Streaming(1)
	defer h.metrics.Streaming(-1)
	tick, stop := h.heartbeat()
	defer stop()
	feed := pump(ctx, 0, watcher.Next)
	for {
		select {
		case events, ok := <-feed.values:
			if !ok {
				return
			}
			s.events(events, inspect)
		case <-tick:
			s.buf = append(s.buf, heartbeatLine...)
			// Rights may have changed, or nobody could say what they are.
			if may, decided := h.gate.May(ctx, c.asksFor(authz.Inspect, "watch", "")); decided && may != inspect {
				inspect = may
				s.event("", string(orchestrator.EventReset), []byte("{}")) // what was read is too much, or too little
			}
		}
		if len(s.buf) == 0 {
			continue
		}
		if s.send() != nil {
			return
		}
	}
}

// events adds those that the reader may see.
func (s *stream) events(events []*orchestrator.Event, inspect bool) {
	for _, e := range events {
		if data := e.Data(inspect); data != nil {
			s.event(strconv.FormatUint(e.ID, 10), string(e.Type), data)
		}
	}
}

// lastEventID is where a reader was. The header is what browsers send when
// they come back; the parameter is for those who cannot set one. Without
// either, resume is false.
func lastEventID(r *http.Request) (after uint64, resume bool, err error) {
	field, value := "Last-Event-ID", r.Header.Get("Last-Event-ID")
	if value == "" {
		field, value = "last_event_id", r.URL.Query().Get("last_event_id")
	}
	if value == "" {
		return 0, false, nil
	}
	after, err = strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, false, &server.Error{
			Code: server.CodeInvalidRequest, Field: field,
			Detail: server.Quote(value, 40) + " is no event id: send the id of the last event, or the Event-Id of the list",
		}
	}
	return after, true, nil
}
