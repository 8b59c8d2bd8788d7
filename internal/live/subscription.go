package live

import (
	"context"
	"strconv"
	"sync/atomic"
)

// Subscription is one browser's place in the stream. One goroutine uses it.
type Subscription struct {
	hub    *Hub
	reader reader
	closed atomic.Bool
}

// Subscribe begins to watch after the event with that id, which a State or an
// earlier Subscription told, or from now on when it is empty. The first frame says
// how the link stands. Where the events after it are gone, a reset follows.
func (h *Hub) Subscribe(after string) *Subscription {
	h.feed.mu.Lock()
	defer h.feed.mu.Unlock()
	if h.viewers++; h.viewers == 1 {
		select {
		case h.watched <- struct{}{}:
		default:
		}
	}
	s := &Subscription{hub: h}
	s.reader = reader{feed: &h.feed, nudges: h.feed.nudges, lapsed: func(r *reader) [][]byte {
		r.place = h.feed.next
		return [][]byte{encodeJSON("", "link", h.link), h.reset()}
	}}
	s.reader.place, s.reader.skip = h.feed.next, h.feed.next
	s.reader.first = [][]byte{encodeJSON("", "link", h.link)}
	if after == "" {
		return s
	}
	id, err := strconv.ParseUint(after, 10, 64)
	place, kept := h.feed.after(id, h.newest)
	if err != nil || !kept {
		s.reader.first = append(s.reader.first, h.reset())
		return s
	}
	s.reader.place = place
	return s
}

// reset tells a browser to read everything again; the feed's lock is held.
func (h *Hub) reset() []byte { return encode(formatID(h.newest), "reset", []byte("{}")) }

// Next waits for what comes next and returns all that is due at once, as
// Server-Sent Events. The bytes are shared and must not be changed. They are nil
// after Recheck. The error is ctx's, or tells that the Subscription was closed.
func (s *Subscription) Next(ctx context.Context) ([]byte, error) {
	if s.closed.Load() {
		return nil, errClosed
	}
	return s.reader.next(ctx, errClosed)
}

// Close gives the place up. It may be called twice.
func (s *Subscription) Close() {
	if s.closed.Swap(true) {
		return
	}
	s.hub.feed.mu.Lock()
	s.hub.viewers--
	s.hub.feed.mu.Unlock()
}
