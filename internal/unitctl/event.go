package unitctl

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

// EventKind is what an Event tells.
type EventKind int

// The kinds of events.
const (
	// Connected is delivered before any other event of its connection.
	Connected EventKind = iota + 1
	// Disconnected is delivered after the last event of a connection, and when
	// the first attempt to connect fails; not for further attempts that fail.
	Disconnected
	// Changed: properties of a unit changed.
	Changed
	// Appeared: systemd loaded the unit (UnitNew). It may be in any state, and
	// no Changed need follow. Reading a unit's state by object path loads it
	// too.
	Appeared
	// Removed: systemd dropped the unit from memory (UnitRemoved), so it is
	// inactive. It is not delivered between Reloading and Reloaded, where
	// systemd drops and loads every unit.
	Removed
	// Reloading: systemd reads all unit files again. No Changed tells what
	// that changed: take a snapshot at Reloaded.
	Reloading
	// Reloaded: the reload is over and every unit that is left has Appeared.
	Reloaded
	// UnitFilesChanged: enablement or masks changed, by systemd's own hand or
	// another's. Several changes shortly after one another may give one event.
	UnitFilesChanged
)

func (k EventKind) String() string {
	switch k {
	case Connected:
		return "connected"
	case Disconnected:
		return "disconnected"
	case Changed:
		return "changed"
	case Appeared:
		return "appeared"
	case Removed:
		return "removed"
	case Reloading:
		return "reloading"
	case Reloaded:
		return "reloaded"
	case UnitFilesChanged:
		return "unit-files-changed"
	}
	return "unknown"
}

// Event is one thing that systemd, or the connection to it, told.
type Event struct {
	Kind   EventKind
	Unit   string    // the unit's name, for Changed, Appeared and Removed; always an instance of our template
	Change Change    // for Changed
	Stamp  Stamp     // the place in the order of all that systemd said; zero when seen in the files instead
	At     time.Time // when it was received, before it was queued
	Err    error     // for Disconnected: why
}

// Stamp is a place in the order of all that systemd said, so that what a reply
// tells can be put in order with what signals tell: a signal whose stamp is
// before a snapshot's is already in that snapshot.
type Stamp struct {
	Conn uint64 // the connection, counted from 1
	Seq  uint64 // the message's place in it
}

// Before says whether s was said earlier than t.
func (s Stamp) Before(t Stamp) bool {
	if s.Conn != t.Conn {
		return s.Conn < t.Conn
	}
	return s.Seq < t.Seq
}

// endOf is after everything that was said on a connection.
func endOf(conn uint64) Stamp { return Stamp{Conn: conn, Seq: math.MaxUint64} }

// Change is what changed about a unit; nil where nothing was told.
type Change struct {
	Load, Active, Sub, Result, InvocationID *string
	MainPID, Restarts, Job                  *uint32
	Since                                   *time.Time // StateChangeTimestamp, in microseconds
	Clock                                   *uint64    // StateChangeTimestampMonotonic: the same in microseconds of CLOCK_MONOTONIC
}

// Age is how long ago the state changed that a signal tells of, by the clock
// that nobody sets (clock_gettime(2)); known is false when it does not tell.
func (c Change) Age() (age time.Duration, known bool) {
	var now unix.Timespec
	if c.Clock == nil || *c.Clock == 0 || unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0, false
	}
	return time.Duration(now.Nano()) - time.Duration(*c.Clock)*time.Microsecond, true
}

// Apply is u with the change made.
func (c Change) Apply(u server.Unit) server.Unit {
	set(&u.Load, c.Load)
	set(&u.Active, c.Active)
	set(&u.Sub, c.Sub)
	set(&u.Result, c.Result)
	set(&u.InvocationID, c.InvocationID)
	set(&u.MainPID, c.MainPID)
	set(&u.Restarts, c.Restarts)
	set(&u.Job, c.Job)
	set(&u.Since, c.Since)
	return u
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
