package live

import (
	"bytes"
	"context"
	"math"
	"strconv"
	"time"
)

// maxSamples is how many are kept of a server.
const maxSamples = 60

// samples are what a server took of the host lately.
type samples struct {
	encoded []byte // "[at,memory,cpu],…", oldest first; never changed, only replaced
	count   int
	silent  bool // whether the newest one tells nothing
}

// add appends a sample. Of those in a row that tell nothing, one is kept, so that
// a reader sees where the others end; it returns whether this one is.
func (s *samples) add(at int64, pair []byte, silent bool) bool {
	if silent && (s.silent || s.count == 0) {
		return false
	}
	old := s.encoded
	if s.count == maxSamples {
		if end := bytes.Index(old, []byte("],")); end >= 0 {
			old = old[end+len("],"):]
			s.count--
		}
	}
	b := make([]byte, 0, len(old)+len(pair)+16)
	if b = append(b, old...); len(old) > 0 {
		b = append(b, ',')
	}
	b = append(strconv.AppendInt(append(b, '['), at, 10), ',')
	s.encoded = append(b, pair[1:]...)
	s.count++
	s.silent = silent
	return true
}

// sample looks again and again at what servers take, which makes no events, until
// ctx ends.
func (h *Hub) sample(ctx context.Context) {
	last := time.Time{}
	timer := time.NewTimer(h.opts.ResourcesEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.watched:
		case <-timer.C:
		}
		if wait := time.Until(last.Add(h.sampleEvery())); wait > 0 {
			timer.Reset(wait)
			continue
		}
		h.sampleOnce(ctx)
		last = time.Now()
		timer.Reset(h.sampleEvery())
	}
}

func (h *Hub) sampleEvery() time.Duration {
	if h.Viewers() > 0 {
		return h.opts.ResourcesEvery
	}
	return h.opts.IdleEvery
}

// sampleOnce takes from a list what is no event, and nothing else: the list may be
// older than events that have come meanwhile.
func (h *Hub) sampleOnce(ctx context.Context) {
	if !h.Link().Up { // to ask would have systemd start a daemon that was stopped
		return
	}
	servers, _, err := h.list(ctx)
	if err != nil {
		if ctx.Err() == nil {
			h.opts.Log.Debug().Err(err).Msg("cannot see what servers take")
		}
		return
	}
	now := time.Now()
	h.feed.mu.Lock()
	defer h.feed.mu.Unlock()
	b := append(strconv.AppendInt([]byte(`{"at":`), now.Unix(), 10), `,"servers":{`...)
	some := false
	for _, s := range servers {
		k := h.servers[s.ID]
		if k == nil { // gone, or not yet heard of
			continue
		}
		pair := s.pair()
		if !k.samples.add(now.Unix(), pair, s.Memory == nil && s.CPU == nil) {
			continue
		}
		if some {
			b = append(b, ',')
		}
		some = true
		b = append(strconv.AppendInt(append(b, '"'), s.ID, 10), `":`...)
		b = append(b, pair...)
	}
	if !some {
		return
	}
	h.changed()
	h.add(encode("", "samples", append(b, "}}"...)))
	h.feed.wake()
}

// pair is "[memory,cpu]", null where it is unknown.
func (s *listed) pair() []byte {
	b := []byte{'['}
	if s.Memory == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendUint(b, *s.Memory, 10)
	}
	b = append(b, ',')
	if s.CPU == nil || math.IsInf(*s.CPU, 0) || math.IsNaN(*s.CPU) {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendFloat(b, math.Round(*s.CPU*10)/10, 'f', -1, 64)
	}
	return append(b, ']')
}
