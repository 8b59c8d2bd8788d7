package live

import (
	"context"
	"errors"
	"sync"
)

// frame is one Server-Sent Event as it is written to browsers. It is shared by all
// of them and never changed.
type frame struct {
	data []byte
	// upto is the id of the daemon's newest event when the frame was made; it never
	// falls from one frame to the next.
	upto uint64
	// passing frames tell of a moment, not of a change: who comes back later is told
	// how things stand then.
	passing bool
	// nth counts the frames before this one that do not pass.
	nth uint64
}

// feed keeps the newest frames and wakes those who wait for more. Readers keep a
// place of their own in it, so a slow one costs nothing and holds nobody up. Its
// lock also guards what its owner keeps beside it, so that both agree.
type feed struct {
	mu    sync.RWMutex
	ring  []frame // by sequence number modulo its length
	first uint64  // sequence number of the oldest frame
	next  uint64  // sequence number of the next frame
	bytes int     // in the ring
	most  int     // bytes there may be, but for one frame
	base  uint64  // upto of the newest frame that was dropped
	lasts uint64  // how many frames were added that do not pass

	woken  chan struct{}
	nudges uint64 // how often all readers were woken for nothing
	ended  bool
}

func newFeed(frames, bytes int) feed {
	return feed{ring: make([]frame, frames), most: bytes, woken: make(chan struct{})}
}

// add appends a frame; the caller holds the lock, and wakes the readers after the
// last one.
func (f *feed) add(fr frame) {
	fr.nth = f.lasts
	if !fr.passing {
		f.lasts++
	}
	if f.next-f.first == uint64(len(f.ring)) {
		f.drop()
	}
	*f.at(f.next) = fr
	f.next++
	for f.bytes += len(fr.data); f.bytes > f.most && f.next-f.first > 1; {
		f.drop()
	}
}

func (f *feed) at(seq uint64) *frame { return &f.ring[seq%uint64(len(f.ring))] }

func (f *feed) drop() {
	old := f.at(f.first)
	f.base = old.upto
	f.bytes -= len(old.data)
	*old = frame{}
	f.first++
}

// clear forgets all frames; readers behind them have fallen out.
func (f *feed) clear() {
	for f.first < f.next {
		f.drop()
	}
}

// wake wakes all readers; the caller holds the lock.
func (f *feed) wake() {
	close(f.woken)
	f.woken = make(chan struct{})
}

// nudge has each reader's next return without a frame.
func (f *feed) nudge() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nudges++
	f.wake()
}

// after is the place of the first frame that tells of more than the event with the
// given id. It is false when that is no longer, or was never, known.
func (f *feed) after(id, newest uint64) (uint64, bool) {
	if id < f.base || id > newest {
		return 0, false
	}
	low, high := f.first, f.next
	for low < high {
		if mid := low + (high-low)/2; f.at(mid).upto <= id {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, true
}

// maxNext bounds what a reader is given at once, in bytes, but for one frame.
const maxNext = 256 << 10

// errClosed means that a reader goes on after it was closed.
var errClosed = errors.New("cannot read on: it was closed")

// reader is one browser's place in a feed. It is used by one goroutine at a time.
type reader struct {
	feed   *feed
	place  uint64   // sequence number of the next frame
	skip   uint64   // passing frames below it are old news
	seen   uint64   // nth of the next frame that does not pass
	first  [][]byte // to be read before what is in the feed
	nudges uint64
	parts  [][]byte
	// lapsed is called, with the feed's lock held, when frames were dropped that were
	// not read: it moves place, and returns what to read instead.
	lapsed func(*reader) [][]byte
}

// next waits for frames and returns all that are due, up to maxNext. Without a
// nudge its bytes are never empty. The end of the feed is reported by end.
func (r *reader) next(ctx context.Context, end error) ([]byte, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		woken, state := r.collect()
		switch {
		case state == nudged:
			return nil, nil
		case len(r.parts) > 0:
			return joined(r.parts), nil
		case state == over:
			return nil, end
		}
		select {
		case <-ctx.Done():
		case <-woken:
		}
	}
}

// state is how a reader stands after it looked at its feed.
type state int

const (
	reading state = iota
	nudged
	over
)

// collect gathers what is due in parts, without copying it.
func (r *reader) collect() (<-chan struct{}, state) {
	f := r.feed
	f.mu.RLock()
	defer f.mu.RUnlock()
	clear(r.parts)
	r.parts = r.parts[:0]
	if r.nudges != f.nudges {
		r.nudges = f.nudges
		return nil, nudged
	}
	size := 0
	take := func(b []byte) {
		r.parts = append(r.parts, b)
		size += len(b)
	}
	for _, b := range r.first {
		take(b)
	}
	r.first = nil
	if r.place < f.first {
		for _, b := range r.lapsed(r) {
			take(b)
		}
	}
	for ; r.place < f.next && size < maxNext; r.place++ {
		fr := f.at(r.place)
		if fr.passing && r.place < r.skip {
			continue
		}
		if !fr.passing {
			r.seen = fr.nth + 1
		}
		take(fr.data)
	}
	if f.ended && r.place == f.next {
		return f.woken, over
	}
	return f.woken, reading
}

// joined copies only what is more than one frame.
func joined(parts [][]byte) []byte {
	if len(parts) == 1 {
		return parts[0]
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	all := make([]byte, 0, size)
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
