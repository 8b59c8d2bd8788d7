package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"strconv"
	"time"
)

// FromNow begins the events at whatever comes next.
const FromNow = math.MaxUint64

// EventsOptions say where events begin and who is told of interruptions.
type EventsOptions struct {
	// After is the id of the last event that is not wanted: a Snapshot's
	// EventID, an Event's ID, or FromNow.
	After uint64
	// Lost, when set, is called when the stream broke and is about to be opened
	// again, with the reason; at each attempt that fails it is called again.
	Lost func(error)
	// Back, when set, is called when the stream stands again after Lost.
	Back func()
	// Stands, when set, is called each time the stream stands, the first time too,
	// before anything of it is handed out: what is read from the daemon then is no
	// older than where the stream goes on. Its error counts as a break of the
	// stream.
	Stands func(context.Context) error
	// Pause is waited for at least before the stream is opened again. To connect
	// has systemd start a daemon that an operator has just stopped.
	Pause time.Duration
	// Silence is the Client's, for these events alone; 0 leaves it.
	Silence time.Duration
}

// Events hands out what changes, in order and without a gap. When the daemon
// goes away it connects again for as long as ctx lasts and goes on where it
// was; where that is impossible it hands out an EventReset, after which
// everything must be read again. An error is handed out once, as the last
// value: ctx's cause, or what the daemon refused.
func (c *Client) Events(ctx context.Context, opts EventsOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if opts.Silence == 0 {
			opts.Silence = c.opts.Silence
		}
		s := &eventStream{client: c, opts: opts, last: opts.After, yield: yield, wait: backoff{least: opts.Pause}}
		if err := s.run(ctx); err != nil && !errors.Is(err, errStopped) {
			yield(Event{}, err)
		}
	}
}

// errStopped means that the reader of an iterator wants no more.
var errStopped = errors.New("stopped by the reader")

type eventStream struct {
	client *Client
	opts   EventsOptions
	last   uint64 // id of the newest event handed out; FromNow when there is none
	yield  func(Event, error) bool
	lost   bool
	wait   backoff
}

func (s *eventStream) run(ctx context.Context) error {
	for {
		err := s.connection(ctx)
		switch {
		case errors.Is(err, errStopped):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !retriable(err):
			return err
		}
		s.lost = true
		if s.opts.Lost != nil {
			s.opts.Lost(err)
		}
		if err := s.wait.sleep(ctx); err != nil {
			return err
		}
	}
}

// connection opens the stream once and hands out its events until it breaks.
func (s *eventStream) connection(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(s.opts.Silence, func() {
		cancel(unreachable(s.client.opts.Socket, errors.New("the stream of events fell silent")))
	})
	defer silence.Stop()

	header := http.Header{"Cache-Control": {"no-cache"}}
	if s.last != FromNow {
		header.Set("Last-Event-ID", strconv.FormatUint(s.last, 10))
	}
	r := request{method: http.MethodGet, path: "/v1/events", accept: "text/event-stream", header: header}
	resp, err := s.client.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := s.connected(ctx); err != nil {
		return err
	}
	stream := readMessages(resp.Body, func() { silence.Reset(s.opts.Silence) })
	for {
		msg, err := stream.next()
		if err != nil {
			return s.broken(ctx, err)
		}
		s.wait.reset()
		if err := s.hand(msg); err != nil {
			return err
		}
	}
}

// connected notes that the stream stands. One that broke before its first event
// has no place to go on from: what happened meanwhile may be missed.
func (s *eventStream) connected(ctx context.Context) error {
	if s.opts.Stands != nil {
		if err := s.opts.Stands(ctx); err != nil {
			return err
		}
	}
	if !s.lost {
		return nil
	}
	s.lost = false
	if s.opts.Back != nil {
		s.opts.Back()
	}
	if s.last == FromNow && !s.yield(Event{Type: EventReset, Data: []byte("{}")}, nil) {
		return errStopped
	}
	return nil
}

func (s *eventStream) broken(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, bufio.ErrTooLong): // it would be as long the next time
		return err
	case errors.Is(err, io.EOF):
		err = errors.New("the daemon ended the stream of events")
	}
	return s.client.lost(ctx, err)
}

func (s *eventStream) hand(msg message) error {
	event, err := decodeEvent(msg)
	if err != nil {
		return err
	}
	if msg.id != "" {
		s.last = event.ID
	}
	if !s.yield(event, nil) {
		return errStopped
	}
	return nil
}

func decodeEvent(msg message) (Event, error) {
	e := Event{Type: EventType(msg.event), Data: msg.data}
	var err error
	if msg.id != "" {
		if e.ID, err = strconv.ParseUint(msg.id, 10, 64); err != nil {
			return Event{}, errors.New("cannot understand the stream of events: an id is no number")
		}
	}
	switch e.Type {
	case EventServer:
		e.Server = new(Server)
		err = json.Unmarshal(msg.data, e.Server)
	case EventJob:
		e.Job = new(Job)
		err = json.Unmarshal(msg.data, e.Job)
	case EventDeleted:
		e.Deleted = new(Deleted)
		err = json.Unmarshal(msg.data, e.Deleted)
	}
	if err != nil {
		return Event{}, fmt.Errorf("cannot understand an event of type %s: %w", e.Type, err)
	}
	return e, nil
}
