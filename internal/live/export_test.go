package live

import (
	"context"
	"time"

	"github.com/left4med/left4med/client"
)

// SampleOnce looks once at what servers take.
func (h *Hub) SampleOnce(ctx context.Context) { h.sampleOnce(ctx) }

// Event is an event of a server as it comes from the daemon.
func (h *Hub) Event(id uint64, server int64, name string, data []byte) {
	h.apply(client.Event{ID: id, Type: client.EventServer, Data: data, Server: &client.Server{ID: server, Name: client.Name(name)}})
}

// Hasten shortens the waits.
func (c *Consoles) Hasten(grace, pause time.Duration) { c.grace, c.pause = grace, pause }

// Ended is closed when the log of a Console is no longer followed.
func (s *Console) Ended() <-chan struct{} { return s.follow.done }
