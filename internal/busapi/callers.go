package busapi

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sync/semaphore"

	"github.com/left4med/left4med/internal/authz"
)

// leavingRule asks the bus to tell when a name has lost its owner.
const leavingRule = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',path='/org/freedesktop/DBus',arg2=''"

// callers knows who is behind the unique names of those who call, and ends their
// calls when they leave. A unique name means one connection and is never used
// again while the bus lives, so what is known of it stays true.
type callers struct {
	asking *semaphore.Weighted

	mu      sync.Mutex
	known   map[string]authz.Peer
	asked   map[string]*question
	calls   map[string]map[*call]struct{}
	unknown int // calls of those who are not known yet
}

// question is one to the bus about a caller; all calls of that one wait for it.
type question struct {
	answered chan struct{}
	peer     authz.Peer // once answered
	err      error
}

const (
	// maxAsking is how many questions to the bus wait for an answer at once; it
	// lets one connection wait for 128.
	maxAsking = 64
	// maxKnown bounds the memory: the bus lets far fewer be connected, but one may
	// leave while its question is under way.
	maxKnown = 8192
	// maxOfOne bounds the calls of one connection; the bus lets it wait for as many.
	maxOfOne = 128
	// maxUnknown bounds the calls of all whose uid the bus has not told yet, which
	// takes milliseconds. Those who are known do not suffer from it.
	maxUnknown = 4096
)

func newCallers() *callers {
	return &callers{
		asking: semaphore.NewWeighted(maxAsking), known: map[string]authz.Peer{},
		asked: map[string]*question{}, calls: map[string]map[*call]struct{}{},
	}
}

// enter registers a call, so that it ends with its caller; ok is false when there
// are too many.
func (c *callers) enter(k *call) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.known[k.sender]
	if len(c.calls[k.sender]) >= maxOfOne || !known && c.unknown >= maxUnknown {
		return false
	}
	if !known {
		c.unknown++
		k.unknown = true
	}
	if c.calls[k.sender] == nil {
		c.calls[k.sender] = map[*call]struct{}{}
	}
	c.calls[k.sender][k] = struct{}{}
	return true
}

// recognized is called once a call's sender is known, or never will be.
func (c *callers) recognized(k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.unknown {
		k.unknown = false
		c.unknown--
	}
}

func (c *callers) leave(k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls[k.sender], k)
	if len(c.calls[k.sender]) == 0 {
		delete(c.calls, k.sender)
	}
}

// forget is for the end of a connection: the next bus gives its names anew.
func (c *callers) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.asked = map[string]authz.Peer{}, map[string]*question{}
	for _, calls := range c.calls {
		for k := range calls {
			k.cancel()
		}
	}
}

// DeliverSignal implements dbus.SignalHandler. Anybody may send a signal of any
// name to us; the bus sees to it that nobody else has its name as the sender.
func (c *callers) DeliverSignal(_, _ string, s *dbus.Signal) {
	if s.Sender != "org.freedesktop.DBus" || s.Name != "org.freedesktop.DBus.NameOwnerChanged" || len(s.Body) != 3 {
		return
	}
	name, _ := s.Body[0].(string)
	if owner, ok := s.Body[2].(string); !ok || owner != "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, name)
	delete(c.asked, name)
	for k := range c.calls[name] {
		k.cancel()
	}
}

// peer says who a sender is, by the word of the bus. A sender that has left
// meanwhile is an error.
func (c *callers) peer(k *call) (authz.Peer, error) {
	c.mu.Lock()
	p, ok := c.known[k.sender]
	q := c.asked[k.sender]
	first := !ok && q == nil
	if first {
		q = &question{answered: make(chan struct{})}
		c.asked[k.sender] = q
	}
	c.mu.Unlock()
	switch {
	case ok:
		return p, nil
	case first: // its call ends as all of this sender do
		q.peer, q.err = c.ask(k.ctx, k.conn, k.sender)
		c.learn(k.sender, q)
		return q.peer, q.err
	}
	select {
	case <-q.answered:
		return q.peer, q.err
	case <-k.ctx.Done():
		return p, k.ctx.Err()
	}
}

// learn remembers an answer.
func (c *callers) learn(sender string, q *question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	if q.err == nil && c.asked[sender] == q { // not an answer of the bus before
		c.known[sender] = q.peer
	}
	if c.asked[sender] == q {
		delete(c.asked, sender)
	}
	close(q.answered)
}

func (c *callers) ask(ctx context.Context, conn *dbus.Conn, sender string) (p authz.Peer, err error) {
	if err := c.asking.Acquire(ctx, 1); err != nil {
		return p, err
	}
	defer c.asking.Release(1)
	var creds map[string]dbus.Variant
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionCredentials", 0, sender).Store(&creds)
	if err != nil {
		return p, fmt.Errorf("cannot learn from the bus who calls: %w", err)
	}
	uid, ok := creds["UnixUserID"].Value().(uint32)
	if !ok {
		return p, errors.New("cannot learn from the bus who calls: it does not know the uid")
	}
	pid, _ := creds["ProcessID"].Value().(uint32)
	return authz.Peer{UID: uid, GID: authz.NoGID, PID: int32(pid), BusName: sender}, nil
}
