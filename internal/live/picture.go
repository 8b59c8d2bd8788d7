package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/left4med/left4med/client"
)

// picture is what is known of the daemon's servers.
type picture struct {
	known   bool   // whether the servers were ever read
	newest  uint64 // id of the daemon's event that all is as of
	servers map[int64]*known
	version uint64    // grows with each change
	at      time.Time // when it changed last
}

// known is one server.
type known struct {
	name    string
	raw     []byte // the daemon's JSON; never changed, only replaced
	samples samples
}

// changed notes that a State made before is no longer true.
func (p *picture) changed() {
	p.version++
	p.at = time.Now().UTC()
}

func (p *picture) put(id int64, name string, raw []byte) {
	k := p.servers[id]
	if k == nil {
		k = &known{}
		p.servers[id] = k
	}
	k.name, k.raw = name, raw
}

// listed is what the hub itself needs of a server in a list.
type listed struct {
	ID     int64    `json:"id"`
	Name   string   `json:"name"`
	Memory *uint64  `json:"memory_bytes"`
	CPU    *float64 `json:"cpu_percent"`

	raw []byte
}

// list reads all servers.
func (h *Hub) list(ctx context.Context) ([]listed, uint64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience,
		fmt.Errorf("left4med did not list its servers within %v", patience))
	defer cancel()
	got, err := h.opts.Client.Listing(ctx)
	if err != nil {
		return nil, 0, err
	}
	servers := make([]listed, len(got.Servers))
	for i, raw := range got.Servers {
		if err := json.Unmarshal(raw, &servers[i]); err != nil {
			return nil, 0, fmt.Errorf("cannot understand the list of servers: %w", err)
		}
		if servers[i].ID == 0 {
			return nil, 0, errors.New("cannot understand the list of servers: one has no id")
		}
		servers[i].raw = raw
	}
	return servers, got.EventID, nil
}

// read brings the picture up to date by a list, and tells the browsers what it
// shows that is new to them; after a gap in the events, all of it.
func (h *Hub) read(ctx context.Context, gap bool) error {
	servers, id, err := h.list(ctx)
	if err != nil {
		return err
	}
	for _, name := range h.merge(servers, id, gap) {
		if h.opts.OnDeleted != nil {
			h.opts.OnDeleted(name)
		}
	}
	return nil
}

// merge returns the names of the servers that are gone. No event is handed on
// meanwhile: those up to id that are still to come tell nothing new.
func (h *Hub) merge(servers []listed, id uint64, gap bool) (gone []string) {
	h.feed.mu.Lock()
	defer h.feed.mu.Unlock()
	switch {
	case !h.known:
		h.known, gap = true, true
		h.feed.base = id
	case id < h.newest: // ids begin anew: this is another daemon's database
		h.feed.clear()
		h.feed.base, gap = id, true
	}
	h.newest = id
	h.changed()
	is := make(map[int64]bool, len(servers))
	for _, s := range servers {
		is[s.ID] = true
		old := h.servers[s.ID]
		if !gap && (old == nil || tellsMore(old.raw, s.raw)) {
			h.add(encode("", "server", s.raw))
		}
		h.put(s.ID, s.Name, s.raw)
	}
	for serverID, k := range h.servers {
		if is[serverID] {
			continue
		}
		delete(h.servers, serverID)
		gone = append(gone, k.name)
		if !gap {
			h.add(encodeJSON("", "deleted", client.Deleted{ID: serverID, Name: client.Name(k.name)}))
		}
	}
	if gap {
		h.add(h.reset())
	}
	h.feed.wake()
	return gone
}

// tellsMore says whether two descriptions of a server differ in more than what
// changes all the time and makes no event.
func tellsMore(was, is []byte) bool {
	if bytes.Equal(was, is) {
		return false
	}
	a, errA := lasting(was)
	b, errB := lasting(is)
	return errA != nil || errB != nil || !reflect.DeepEqual(a, b)
}

func lasting(raw []byte) (map[string]any, error) {
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	for _, passing := range []string{"memory_bytes", "cpu_usage_ns", "cpu_percent", "tasks", "observed_at", "observed_by"} {
		delete(all, passing)
	}
	if game, ok := all["game"].(map[string]any); ok {
		delete(game, "queried_at")
		delete(game, "ping_ms")
	}
	return all, nil
}
