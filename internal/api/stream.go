package api

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// heartbeatEvery is how often a stream says that it is alive.
const heartbeatEvery = 15 * time.Second

func everyHeartbeat() (<-chan time.Time, func()) {
	t := time.NewTicker(heartbeatEvery)
	return t.C, t.Stop
}

const (
	eventStream = "text/event-stream"
	jsonLines   = "application/x-ndjson"

	// heartbeatLine is a comment in Server-Sent Events.
	heartbeatLine = ": alive\n\n"

	// keptBuffer bounds what a stream keeps in memory between two writes.
	keptBuffer = 64 << 10
)

// stream writes an answer that has no end of its own. What is put into buf goes
// out with the next send, in one write, so that a burst of events costs one. A
// client that does not read is given up after the timeout.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	buf     []byte
}

// openStream sends the headers at once: a client must know that it is
// connected before the first event.
func (h *handler) openStream(w http.ResponseWriter, contentType string) (*stream, error) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	s := &stream{w: w, control: http.NewResponseController(w), timeout: h.timeouts.write}
	s.w.WriteHeader(http.StatusOK)
	return s, s.send()
}

// send writes what is in buf.
func (s *stream) send() error {
	err := s.control.SetWriteDeadline(time.Now().Add(s.timeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if len(s.buf) > 0 {
		if _, err := s.w.Write(s.buf); err != nil {
			return err
		}
	}
	if s.buf = s.buf[:0]; cap(s.buf) > keptBuffer {
		s.buf = nil
	}
	return s.control.Flush()
}

// event adds one Server-Sent Event; data is a single line. An id of "" is left
// out.
func (s *stream) event(id, kind string, data []byte) {
	if id != "" {
		s.buf = append(append(append(s.buf, "id: "...), id...), '\n')
	}
	s.buf = append(append(append(s.buf, "event: "...), kind...), '\n')
	s.buf = append(append(append(s.buf, "data: "...), data...), "\n\n"...)
}

// pumped is what a pump brought.
type pumped[T any] struct {
	values <-chan T
	err    error // why it ended; valid once values is closed
}

// pump calls next again and again, so that what it waits for can be waited for
// together with other things, and runs ahead by so many values. It ends with
// ctx or at next's first error, and then closes values.
func pump[T any](ctx context.Context, ahead int, next func(context.Context) (T, error)) *pumped[T] {
	c := make(chan T, ahead)
	p := &pumped[T]{values: c}
	go func() {
		defer close(c)
		for {
			v, err := next(ctx)
			if err != nil {
				p.err = err
				return
			}
			select {
			case c <- v:
			case <-ctx.Done():
				p.err = ctx.Err()
				return
			}
		}
	}()
	return p
}

type closingKey struct{}

// withClosing returns a context whose requests' streams and waits end with
// closing.
func withClosing(ctx, closing context.Context) context.Context {
	return context.WithValue(ctx, closingKey{}, closing)
}

// closing is done when the server stops; a context that never is when there is
// no server.
func closing(ctx context.Context) context.Context {
	if c, ok := ctx.Value(closingKey{}).(context.Context); ok {
		return c
	}
	return context.Background()
}

// streaming returns a context that ends with the client and with the server.
func streaming(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(closing(ctx), cancel)
	return ctx, func() { stop(); cancel() }
}
