package srcds

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// The kinds of packets, which is the byte behind the header of -1.
const (
	askInfo      = 'T'
	askPlayers   = 'U'
	tellInfo     = 'I'
	tellPlayers  = 'D'
	tellRules    = 'E' // asked for by nobody here
	oldInfo      = 'm' // GoldSource's, which some games send beside the new one
	challengeFor = 'A'
)

// maxChallenges is how many challenges a game may give between two repetitions of a
// request. It gives another one when the first ran out meanwhile, and old ones may
// come late.
const maxChallenges = 4

// exchange is one query that waits for its answer: what was heard so far. The
// reader feeds it, the query's own goroutine looks when woken, so that nothing
// queues up that a game could lengthen.
type exchange struct {
	want  byte          // tellInfo or tellPlayers
	ended chan struct{} // closed when the query has ended
	wake  chan struct{} // of one: something changed

	mu         sync.Mutex
	challenges []string // those that came since the last repetition
	brought    int      // how many of them went with a request
	last       string   // what went with the last request; "": none yet
	parts      assembly
	answer     []byte // from behind header and kind
	came       time.Time
	err        error
}

// hear takes a datagram of the game's, which came at a moment. What is an answer to
// something else, such as one that comes late, is left alone.
func (e *exchange) hear(datagram []byte, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.answer != nil || e.err != nil {
		return
	}
	if e.err = e.read(datagram, at); e.answer == nil && e.err == nil && !e.due() {
		return
	}
	e.poke()
}

// fail ends the query with an error, unless it has its answer.
func (e *exchange) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.answer == nil && e.err == nil {
		e.err = err
		e.poke()
	}
}

func (e *exchange) poke() {
	select {
	case e.wake <- struct{}{}:
	default: // it has not looked yet: one look shows all
	}
}

// due tells whether a challenge came that was not brought yet.
func (e *exchange) due() bool { return e.brought < len(e.challenges) }

// look answers what was heard. answer is nil while there is none; due says that a
// request is to be sent at once.
func (e *exchange) look() (answer []byte, came time.Time, due bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answer, e.came, e.due(), e.err
}

// late is the error of a query whose context has ended: the context's, unless time
// ran out after something of the answer had come.
func (e *exchange) late(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if missing, total := e.parts.want(); missing > 0 && errors.Is(err, context.DeadlineExceeded) {
		return malformed("an answer in %d parts of which %d never came", total, missing)
	}
	return err
}

func (e *exchange) read(datagram []byte, at time.Time) error {
	if len(datagram) > maxDatagram {
		return malformed("a packet of more than %d bytes", maxDatagram)
	}
	if header(datagram) == split {
		joined, err := e.parts.add(datagram)
		if joined == nil {
			return err
		}
		datagram = joined
	}
	if header(datagram) != whole || len(datagram) < 5 {
		return malformed("a packet of %d bytes without the header of one", len(datagram))
	}
	kind, body := datagram[4], datagram[5:]
	switch kind {
	case challengeFor:
		return e.take(body)
	case e.want:
		// srcds tells nobody who plays who did not bring a challenge: without one this
		// is the answer to an older query.
		if e.want == tellPlayers && e.last == "" {
			return nil
		}
		e.answer, e.came = append([]byte{}, body...), at
		return nil
	case tellInfo, tellPlayers, tellRules, oldInfo:
		return nil
	}
	return malformed("an answer of kind %#02x where %#02x was asked for", kind, e.want)
}

// take keeps a challenge that is to be brought with a request, unless it came
// before: one that comes again is the answer to an older request. Each is brought,
// since old ones may come beside the right one, in any order.
//
//	long  -1
//	byte  'A'
//	long  challenge
func (e *exchange) take(body []byte) error {
	if len(body) < 4 {
		return malformed("a challenge of %d bytes", len(body))
	}
	c := string(body[:4])
	if c == e.last || slices.Contains(e.challenges, c) {
		return nil
	}
	if len(e.challenges) == maxChallenges {
		return malformed("a challenge for each answer to one")
	}
	e.challenges = append(e.challenges, c)
	return nil
}

// repeat has challenges count anew: the one that was brought last may be the wrong
// one of several, or have run out.
func (e *exchange) repeat() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.challenges, e.brought = nil, 0
}

// request is the packet to be sent now:
//
//	long    -1
//	byte    'T'                      byte  'U'
//	string  "Source Engine Query"    long  challenge; -1 asks for one
//	long    challenge, once there is one
//
// more says that another one is due at once.
func (e *exchange) request() (packet []byte, more bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.due() {
		e.last = e.challenges[e.brought]
		e.brought++
	}
	packet = []byte{0xff, 0xff, 0xff, 0xff}
	switch {
	case e.want == tellInfo:
		packet = append(packet, askInfo)
		packet = append(packet, "Source Engine Query\x00"...)
	case e.last == "":
		packet = append(packet, askPlayers, 0xff, 0xff, 0xff, 0xff)
	default:
		packet = append(packet, askPlayers)
	}
	return append(packet, e.last...), e.due()
}
