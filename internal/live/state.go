package live

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"
)

// stateCache is the State made last.
type stateCache struct {
	mu             sync.Mutex
	version        uint64
	plain, gzipped []byte
	compressor     *gzip.Writer
}

// view is what a State is made of. Nothing in it is changed afterwards.
type view struct {
	version, newest uint64
	at              time.Time
	link            Link
	known           bool
	servers         []viewed
}

type viewed struct {
	id           int64
	name         string
	raw, samples []byte
}

// State is the whole picture as JSON, also compressed. The bytes are shared and
// must not be changed. They are made when asked for, and many who ask at once
// share one making.
func (h *Hub) State() (plain, gzipped []byte) {
	h.feed.mu.RLock()
	version := h.version
	h.feed.mu.RUnlock()

	c := &h.state
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version >= version { // made since this call began, or nothing changed
		return c.plain, c.gzipped
	}
	v := h.view()
	c.version = v.version
	c.plain = v.encode()
	c.gzipped = c.compress(c.plain)
	return c.plain, c.gzipped
}

func (h *Hub) view() view {
	h.feed.mu.RLock()
	defer h.feed.mu.RUnlock()
	v := view{version: h.version, newest: h.newest, at: h.at, link: h.link, known: h.known, servers: make([]viewed, 0, len(h.servers))}
	for id, k := range h.servers {
		v.servers = append(v.servers, viewed{id, k.name, k.raw, k.samples.encoded})
	}
	return v
}

func (v *view) encode() []byte {
	slices.SortFunc(v.servers, func(a, b viewed) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) })
	size := 512
	for _, s := range v.servers {
		size += len(s.raw) + len(s.samples) + 32
	}
	b := make([]byte, 0, size)
	b = append(strconv.AppendUint(append(b, `{"event_id":"`...), v.newest, 10), `","at":"`...)
	b = append(v.at.AppendFormat(b, time.RFC3339Nano), `","link":`...)
	link, err := json.Marshal(v.link)
	if err != nil { // a time, a bool and a string
		panic(err)
	}
	b = append(append(b, link...), `,"servers":`...)
	if !v.known {
		return append(b, `null,"samples":{}}`...)
	}
	b = append(b, '[')
	for i, s := range v.servers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.raw...)
	}
	b = append(b, `],"samples":{`...)
	some := false
	for _, s := range v.servers {
		if len(s.samples) == 0 {
			continue
		}
		if some {
			b = append(b, ',')
		}
		some = true
		b = append(strconv.AppendInt(append(b, '"'), s.id, 10), `":[`...)
		b = append(append(b, s.samples...), ']')
	}
	return append(b, `}}`...)
}

func (c *stateCache) compress(plain []byte) []byte {
	var out bytes.Buffer
	if c.compressor == nil {
		w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
		if err != nil { // the level is a constant
			panic(err)
		}
		c.compressor = w
	} else {
		c.compressor.Reset(&out)
	}
	// A Buffer refuses nothing.
	c.compressor.Write(plain)
	c.compressor.Close()
	return out.Bytes()
}
