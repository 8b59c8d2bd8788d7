package journal

import (
	"context"
	"time"
)

// Query selects lines of one unit's log.
type Query struct {
	Unit   string    // the full unit name
	Lines  int       // the newest so many; when following, those before what comes
	Since  time.Time // only lines from then on; zero: all
	Follow bool      // wait for more after the last one
}

// Entry is one line of a log.
type Entry struct {
	At       time.Time `json:"at"`
	Priority int       `json:"priority" doc:"As in syslog(3): 0 emergency to 7 debug."`
	PID      int       `json:"pid,omitempty"`
	Message  string    `json:"message"`
	Cursor   string    `json:"cursor,omitempty" doc:"The journal's own name for this line."`
}

// Stream hands out entries, oldest first.
type Stream interface {
	// Next waits for an entry. The error is io.EOF after the last one, which a
	// stream that follows does not have, and ctx's when that ends first.
	Next(ctx context.Context) (Entry, error)
	// Close ends the stream and frees what it holds.
	Close() error
}
