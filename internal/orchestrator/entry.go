package orchestrator

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/left4med/left4med/internal/server"
)

// Entry is one published state of a server. It never changes; its JSON is made
// at the first need and kept, so that a thousand readers cost one encoding.
type Entry struct {
	server.Server
	full, public encoded
}

// JSON is the server as a client sees it: whole for one that may inspect, the
// bare state for others. The bytes are shared and must not be changed.
func (e *Entry) JSON(inspect bool) []byte {
	if inspect {
		return e.full.of(&e.Server)
	}
	return e.public.of(e.Server.Public())
}

// Snapshot is all servers at one moment.
type Snapshot struct {
	EventID uint64   // where to start watching without a gap
	Servers []*Entry // sorted by name; shared, must not be changed
}

// encoded is a value's JSON, made once.
type encoded struct {
	once  sync.Once
	bytes []byte
}

func (c *encoded) of(v any) []byte {
	c.once.Do(func() {
		b, err := json.Marshal(v)
		if err != nil { // only a type that JSON cannot express could cause it
			panic(fmt.Sprintf("orchestrator: cannot encode %T: %v", v, err))
		}
		c.bytes = b
	})
	return c.bytes
}
