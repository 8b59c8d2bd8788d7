package api

import "sync"

// Limit bounds how many of something there may be at once.
type Limit struct {
	Total  int // of all uids but root
	PerUID int // of one uid but root
}

func (l Limit) or(other Limit) Limit {
	if l == (Limit{}) {
		return other
	}
	return l
}

// quota counts what each uid holds. Root is not bounded: nobody can lock it
// out by taking all there is.
type quota struct {
	limit Limit

	mu    sync.Mutex
	total int
	held  map[uint32]int
}

func newQuota(limit Limit) *quota { return &quota{limit: limit, held: map[uint32]int{}} }

// take takes one for a uid; ok is false when it has too many, or all have.
// Otherwise give must be called once.
func (q *quota) take(uid uint32) (give func(), ok bool) {
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

func (q *quota) give(uid uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	if q.held[uid]--; q.held[uid] == 0 {
		delete(q.held, uid)
	}
}
