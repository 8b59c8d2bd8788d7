// Package quota bounds what one user, and all of them together, can hold of
// something at once.
package quota

import "sync"

// Limit bounds how many of something there may be at once.
type Limit struct {
	Total  int // of all uids but root
	PerUID int // of one uid but root
}

// Or is the limit, or another when it is zero.
func (l Limit) Or(other Limit) Limit {
	if l == (Limit{}) {
		return other
	}
	return l
}

// Quota counts what each uid holds. Root is not bounded: nobody can lock it out
// by taking all there is. It is safe for concurrent use.
type Quota struct {
	limit Limit

	mu    sync.Mutex
	total int
	held  map[uint32]int
}

// New makes a quota of which nothing is held.
func New(limit Limit) *Quota { return &Quota{limit: limit, held: map[uint32]int{}} }

// Take takes one for a uid; ok is false when it has too many, or all have.
// Otherwise give must be called; more than once is as once.
func (q *Quota) Take(uid uint32) (give func(), ok bool) {
	if uid == 0 {
		return func() {}, true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.total >= q.limit.Total || q.held[uid] >= q.limit.PerUID {
		return nil, false
	}
	q.total++
	q.held[uid]++
	return sync.OnceFunc(func() { q.give(uid) }), true
}

func (q *Quota) give(uid uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	if q.held[uid]--; q.held[uid] == 0 {
		delete(q.held, uid)
	}
}
