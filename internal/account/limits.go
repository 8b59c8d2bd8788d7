package account

import (
	"container/list"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// maxBuckets bounds each table of buckets: a flood from millions of sources
// pushes out the ones that were used the longest ago.
const maxBuckets = 10_000

// limits are the budgets of attempts to sign in. None is of a user alone:
// whoever fails in another's name takes nothing from that other.
type limits struct {
	sources *buckets[netip.Prefix]
	pairs   *buckets[pair]
	devices *buckets[device]
	changes *buckets[string] // of the password, by the session's id
}

type pair struct {
	user   string
	source netip.Prefix
}

func newLimits(now func() time.Time) *limits {
	return &limits{
		sources: newBuckets[netip.Prefix](20, 15*time.Second, now),
		pairs:   newBuckets[pair](10, time.Minute, now),
		devices: newBuckets[device](10, 30*time.Second, now),
		changes: newBuckets[string](10, time.Minute, now),
	}
}

// signIn takes an attempt of somebody in a user's name. give puts it back, as
// after a success, so that only failures count. A browser that the user has
// signed in with before has a budget of its own instead of its address's.
func (l *limits) signIn(user string, from From, known *device) (give func(), err error) {
	if known != nil {
		return take(l.devices, *known)
	}
	if !nameOK(user) {
		user = "" // all that can be nobody's name share one
	}
	source := sourceOf(from.Source)
	giveSource, err := take(l.sources, source)
	if err != nil {
		return nil, err
	}
	givePair, err := take(l.pairs, pair{user, source})
	if err != nil {
		giveSource()
		return nil, err
	}
	return func() { giveSource(); givePair() }, nil
}

// sourceOf is whom an address stands for: one of IPv4 itself, one of IPv6 its
// network, within which a host chooses addresses as it likes.
func sourceOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all of these share one
	}
	return p
}

func take[K comparable](b *buckets[K], key K) (give func(), err error) {
	if wait := b.take(key); wait > 0 {
		return nil, &Error{Code: CodeTooManyAttempts, RetryAfter: wait,
			Detail: fmt.Sprintf("too many attempts have failed; try again in %v", wait)}
	}
	return func() { b.give(key) }, nil
}

// buckets are token buckets: each begins with size tokens and gets one back
// every so often.
type buckets[K comparable] struct {
	size  int
	every time.Duration
	now   func() time.Time

	mu    sync.Mutex
	byKey map[K]*list.Element // of bucket[K]
	used  list.List           // the most recently used first
}

// bucket is full again at a time; each token that is missing lies `every` before.
type bucket[K comparable] struct {
	key  K
	full time.Time
}

func newBuckets[K comparable](size int, every time.Duration, now func() time.Time) *buckets[K] {
	return &buckets[K]{size: size, every: every, now: now, byKey: map[K]*list.Element{}}
}

// take takes a token. When there is none it takes none, and says how long it is
// until there is one.
func (b *buckets[K]) take(key K) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	e, ok := b.byKey[key]
	if !ok {
		if len(b.byKey) >= maxBuckets {
			oldest := b.used.Back()
			delete(b.byKey, b.used.Remove(oldest).(*bucket[K]).key)
		}
		e = b.used.PushFront(&bucket[K]{key, now})
		b.byKey[key] = e
	}
	b.used.MoveToFront(e)
	k := e.Value.(*bucket[K])
	missing := max(k.full.Sub(now), 0)
	most := time.Duration(b.size) * b.every
	if missing > most { // the clock was set back
		missing = most
	}
	if wait := missing - (most - b.every); wait > 0 {
		return (wait + time.Second - 1).Truncate(time.Second) // Retry-After has whole ones
	}
	k.full = now.Add(missing + b.every)
	return 0
}

// give puts a token back.
func (b *buckets[K]) give(key K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.byKey[key]; ok {
		k := e.Value.(*bucket[K])
		k.full = k.full.Add(-b.every)
	}
}
