package live

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/client"
)

// Defaults and bounds of a Hub.
const (
	resourcesEvery = 10 * time.Second
	idleEvery      = time.Minute
	ringFrames     = 4096
	ringBytes      = 32 << 20
	firstPause     = 2 * time.Second
	maxPause       = 5 * time.Second

	// silence is after how long without a byte the stream counts as dead; the
	// daemon sends something every 15 s.
	silence = 35 * time.Second
	// patience is how long the daemon may take to list its servers.
	patience = 20 * time.Second
)

// Options are what a Hub needs. Zero values, but for Client, have defaults.
type Options struct {
	Client *client.Client
	Log    zerolog.Logger

	ResourcesEvery time.Duration // between two looks at what servers take, while somebody watches; 10 s
	IdleEvery      time.Duration // the same while nobody does; 60 s

	// Ring is how many frames are kept for browsers that come back; 4,096.
	Ring int
	// Pause is waited for at least before the hub connects anew, 2 s: to connect
	// has systemd start a daemon that an operator has just stopped.
	Pause time.Duration
	// OnDeleted, when set, is told of each server that is gone. It must not wait.
	OnDeleted func(name string)
}

// Hub holds one stream of events at the daemon and hands what comes to all
// browsers.
type Hub struct {
	opts    Options
	watched chan struct{} // filled when the first viewer comes

	feed feed // its lock guards what follows
	link Link
	picture
	viewers int

	state stateCache
}

// Link says whether the picture is live.
type Link struct {
	Up     bool      `json:"up"`
	Since  time.Time `json:"since"`
	Detail string    `json:"detail,omitempty"` // why it is down, for a person
}

// New makes a Hub. It does nothing before Run.
func New(o Options) *Hub {
	o.ResourcesEvery = or(o.ResourcesEvery, resourcesEvery)
	o.IdleEvery = or(o.IdleEvery, idleEvery)
	o.Pause = or(o.Pause, firstPause)
	o.Ring = or(o.Ring, ringFrames)
	now := time.Now().UTC()
	return &Hub{
		opts:    o,
		watched: make(chan struct{}, 1),
		feed:    newFeed(o.Ring, ringBytes),
		link:    Link{Since: now, Detail: "left4med was not asked yet"},
		picture: picture{servers: map[int64]*known{}, at: now, version: 1},
	}
}

func or[T int | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}

// Run keeps the picture live until ctx ends, which is no error. It is called once.
func (h *Hub) Run(ctx context.Context) error {
	var sampling sync.WaitGroup
	sampling.Go(func() { h.sample(ctx) })
	defer sampling.Wait()
	pause := time.Duration(0)
	for {
		began := time.Now()
		err := h.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		h.down(err)
		if time.Since(began) > maxPause { // it stood for a while
			pause = 0
		}
		pause = min(max(2*pause, h.opts.Pause), max(maxPause, h.opts.Pause))
		if sleep(ctx, pause) != nil {
			return nil
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// watch follows the daemon from a fresh list on, over its restarts, until
// something happens that connecting again does not cure. Between two calls there
// may be events that nobody saw.
func (h *Hub) watch(ctx context.Context) error {
	if err := h.read(ctx, true); err != nil {
		return err
	}
	opts := client.EventsOptions{
		After:   h.newestID(),
		Pause:   h.opts.Pause,
		Silence: silence,
		Lost:    h.down,
		// Whatever happened before the stream stood is in a list that is read now,
		// whether or not the daemon still has the events.
		Stands: func(ctx context.Context) error {
			if err := h.read(ctx, false); err != nil {
				return err
			}
			h.up()
			return nil
		},
	}
	for e, err := range h.opts.Client.Events(ctx, opts) {
		if err == nil {
			err = h.take(ctx, e)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (h *Hub) newestID() uint64 {
	h.feed.mu.RLock()
	defer h.feed.mu.RUnlock()
	return h.newest
}

// take hands on one event.
func (h *Hub) take(ctx context.Context, e client.Event) error {
	if e.Type == client.EventReset {
		return h.read(ctx, true)
	}
	gone := h.apply(e)
	if gone != "" && h.opts.OnDeleted != nil {
		h.opts.OnDeleted(gone)
	}
	return nil
}

func (h *Hub) apply(e client.Event) (gone string) {
	h.feed.mu.Lock()
	defer h.feed.mu.Unlock()
	late := e.ID <= h.newest // what a list told already
	id := ""
	if !late {
		h.newest = e.ID
		h.changed()
		id = formatID(e.ID)
	}
	switch e.Type {
	case client.EventServer:
		if late {
			return ""
		}
		b := encode(id, "server", e.Data)
		h.put(e.Server.ID, string(e.Server.Name), dataOf(b))
		h.add(b)
	case client.EventDeleted:
		if late {
			return ""
		}
		delete(h.servers, e.Deleted.ID)
		h.add(encode(id, "deleted", e.Data))
		gone = string(e.Deleted.Name)
	case client.EventJob:
		h.add(encode(id, "job", e.Data)) // lists hold no jobs that have ended
	default:
		return ""
	}
	h.feed.wake()
	return gone
}

func (h *Hub) add(b []byte) { h.feed.add(frame{data: b, upto: h.newest}) }

func (h *Hub) up() {
	if h.setLink(true, "") {
		h.opts.Log.Info().Msg("left4med answers")
	}
}

// down notes at once that the picture is no longer live.
func (h *Hub) down(err error) {
	detail := client.Visible(err.Error())
	if h.setLink(false, detail) {
		h.opts.Log.Warn().Str("why", detail).Msg("left4med does not answer")
	}
}

// setLink returns whether the link turned.
func (h *Hub) setLink(up bool, detail string) (turned bool) {
	h.feed.mu.Lock()
	defer h.feed.mu.Unlock()
	turned = h.link.Up != up
	if !turned && h.link.Detail == detail {
		return false
	}
	h.link.Up, h.link.Detail = up, detail
	if turned {
		h.link.Since = time.Now().UTC()
	}
	h.changed()
	h.feed.add(frame{data: encodeJSON("", "link", h.link), upto: h.newest, passing: true})
	h.feed.wake()
	return turned
}

// Link says how the stream from the daemon stands.
func (h *Hub) Link() Link {
	h.feed.mu.RLock()
	defer h.feed.mu.RUnlock()
	return h.link
}

// Viewers is how many subscriptions there are.
func (h *Hub) Viewers() int {
	h.feed.mu.RLock()
	defer h.feed.mu.RUnlock()
	return h.viewers
}

// Recheck has Next of every Subscription return nil bytes once, so that its owner
// looks whether it may go on.
func (h *Hub) Recheck() { h.feed.nudge() }
