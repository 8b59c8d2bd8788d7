package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
)

// What one uid can put on record by being refused: a burst, then one a minute.
// The rest is counted, and the count is told when the uid has been quiet for as
// long as its burst takes to fill up again, or every hour while it is not.
const (
	refusalBurst = 20
	refusalEvery = time.Minute
	refusalTold  = time.Hour

	maxRefusers   = 64  // uids with a bucket of their own; all others share one
	maxRefused    = 256 // refusals that wait for the disk
	refusedName   = 64  // runes of a server's name as a request gave it
	refusedDetail = 500 // runes
)

// refusals puts refused requests into the history and the log, without making
// anybody wait and in bounded memory, however many there are.
type refusals struct {
	store func(context.Context, ...server.HistoryEntry) error
	tell  func(server.HistoryEntry)
	log   zerolog.Logger
	now   func() time.Time
	wake  chan struct{}

	mu     sync.Mutex
	queue  []server.HistoryEntry
	uids   map[uint32]*refuser
	others refuser
}

// refuser is a uid's bucket.
type refuser struct {
	by    *server.Requester // nil for those that share one
	full  time.Time         // when its bucket is, or was, full again
	over  int               // refusals that went over it and are to be told of
	since time.Time         // the first of them
}

func newRefusals(o *Orchestrator) *refusals {
	return &refusals{
		store: func(ctx context.Context, e ...server.HistoryEntry) error { return o.Store.AddHistory(ctx, e...) },
		tell:  func(e server.HistoryEntry) { o.logEntry(e, nil) },
		log:   o.Log, now: time.Now, wake: make(chan struct{}, 1), uids: map[uint32]*refuser{},
	}
}

// add takes a refusal in; id is the server's, 0 when there is none of the name.
func (s *refusals) add(r server.Refusal, id int64) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.refuser(r.By, now)
	if len(s.queue) == maxRefused || !from.take(now) {
		from.count(now)
		return
	}
	s.queue = append(s.queue, server.HistoryEntry{
		At: now.UTC(), Server: cut(r.Server, refusedName), ServerID: id, Kind: server.HistoryRefusal, What: r.What,
		Job: r.Err.Job, By: &r.By, Code: r.Err.Code, Detail: cut(r.Err.Detail, refusedDetail),
	})
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// refuser finds the bucket of a requester. The caller holds s.mu.
func (s *refusals) refuser(by server.Requester, now time.Time) *refuser {
	if r := s.uids[by.UID]; r != nil {
		return r
	}
	if len(s.uids) >= maxRefusers {
		maps.DeleteFunc(s.uids, func(_ uint32, r *refuser) bool { return r.idle(now) })
	}
	if len(s.uids) >= maxRefusers {
		return &s.others
	}
	r := &refuser{by: &server.Requester{UID: by.UID, User: by.User, Via: by.Via}}
	s.uids[by.UID] = r
	return r
}

// take takes a place in the bucket, if there is one.
func (r *refuser) take(now time.Time) bool {
	if r.full.Before(now) {
		r.full = now
	}
	if r.full.Sub(now) > (refusalBurst-1)*refusalEvery {
		return false
	}
	r.full = r.full.Add(refusalEvery)
	return true
}

func (r *refuser) count(now time.Time) {
	if r.over == 0 {
		r.since = now
	}
	r.over++
}

// idle says that forgetting it changes nothing.
func (r *refuser) idle(now time.Time) bool { return r.over == 0 && !r.full.After(now) }

// sum is the entry of those that went over the bucket.
func (r *refuser) sum(now time.Time) server.HistoryEntry {
	who := "other uids"
	if r.by != nil {
		who = fmt.Sprintf("uid %d", r.by.UID)
	}
	e := server.HistoryEntry{
		At: now.UTC(), Kind: server.HistoryRefusal, By: r.by, Code: server.CodeTooMany,
		Detail: fmt.Sprintf("and %d more refusals of %s since %s", r.over, who, r.since.UTC().Format(time.RFC3339)),
	}
	r.over = 0
	return e
}

// loop stores what comes until ctx ends.
func (s *refusals) loop(ctx context.Context) {
	tick := time.NewTicker(refusalEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-tick.C:
		}
		s.flush(ctx, false)
	}
}

// flush stores what waits, and the sums that are due, or all of them.
func (s *refusals) flush(ctx context.Context, all bool) {
	entries := s.take(all)
	if len(entries) == 0 {
		return
	}
	for _, e := range entries {
		s.tell(e)
	}
	if err := s.store(context.WithoutCancel(ctx), entries...); err != nil {
		s.log.Error().Err(err).Int("refusals", len(entries)).Msg("refusals are missing in the history")
	}
}

func (s *refusals) take(all bool) []server.HistoryEntry {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := s.queue
	s.queue = nil
	due := func(r *refuser) bool {
		return r.over > 0 && (all || !r.full.After(now) || now.Sub(r.since) >= refusalTold)
	}
	for _, uid := range slices.Sorted(maps.Keys(s.uids)) {
		if r := s.uids[uid]; due(r) {
			entries = append(entries, r.sum(now))
		}
	}
	if due(&s.others) {
		entries = append(entries, s.others.sum(now))
	}
	maps.DeleteFunc(s.uids, func(_ uint32, r *refuser) bool { return r.idle(now) })
	return entries
}

// cut makes a text visible and no longer than it may be.
func cut(s string, max int) string {
	quoted := server.Quote(s, max)
	return quoted[1 : len(quoted)-1]
}
