package orchestrator

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
)

// register is a refusals with a clock of the test's, and what it has stored.
type register struct {
	*refusals
	clock  time.Time
	stored []server.HistoryEntry
	told   []server.HistoryEntry
}

func newRegister() *register {
	r := &register{clock: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	r.refusals = &refusals{
		store: func(_ context.Context, e ...server.HistoryEntry) error {
			r.stored = append(r.stored, e...)
			return nil
		},
		tell: func(e server.HistoryEntry) { r.told = append(r.told, e) },
		log:  zerolog.Nop(), now: func() time.Time { return r.clock },
		wake: make(chan struct{}, 1), uids: map[uint32]*refuser{},
	}
	return r
}

func (r *register) refuse(uid uint32, times int) {
	for range times {
		r.add(server.Refusal{
			By: server.Requester{UID: uid, User: fmt.Sprintf("u%d", uid), Via: server.ViaHTTP}, What: "stop", Server: "a",
			Err: server.Errorf(server.CodeNotAuthorized, "no"),
		}, 7)
	}
}

func (r *register) flushed(all bool) []server.HistoryEntry {
	r.stored = nil
	r.flush(context.Background(), all)
	return r.stored
}

func (r *register) refusal(uid uint32) server.HistoryEntry {
	return server.HistoryEntry{
		At: r.clock, Server: "a", ServerID: 7, Kind: server.HistoryRefusal, What: "stop", Code: server.CodeNotAuthorized, Detail: "no",
		By: &server.Requester{UID: uid, User: fmt.Sprintf("u%d", uid), Via: server.ViaHTTP},
	}
}

func (r *register) sum(uid uint32, n int, since time.Time) server.HistoryEntry {
	e := r.refusal(uid)
	e.Server, e.ServerID, e.What, e.Code = "", 0, "", server.CodeTooMany
	e.Detail = fmt.Sprintf("and %d more refusals of uid %d since %s", n, uid, since.Format(time.RFC3339))
	return e
}

func sameAs(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Of a flood a burst is on record, and one entry says how much more there was.
func TestFloodOfRefusals(t *testing.T) {
	t.Parallel()
	r := newRegister()
	began := r.clock
	r.refuse(1000, 10_000)
	r.refuse(0, 1) // another uid does not suffer
	want := []server.HistoryEntry{}
	for range refusalBurst {
		want = append(want, r.refusal(1000))
	}
	want = append(want, r.refusal(0))
	sameAs(t, "the flood", want, r.flushed(false))
	sameAs(t, "what was told", want, r.told)

	r.clock = r.clock.Add(refusalEvery)
	r.refuse(1000, 5)
	sameAs(t, "one a minute", []server.HistoryEntry{r.refusal(1000)}, r.flushed(false))
	r.clock = r.clock.Add(refusalBurst * refusalEvery)
	sameAs(t, "when it is over", []server.HistoryEntry{r.sum(1000, 9984, began)}, r.flushed(false))
	sameAs(t, "what is remembered then", 0, len(r.uids))
	sameAs(t, "and told again", 0, len(r.flushed(true)))
}

// One that does not end is told of every hour, and at the daemon's end.
func TestFloodThatGoesOn(t *testing.T) {
	t.Parallel()
	r := newRegister()
	began, sums := r.clock, []string{}
	for range 100 {
		r.refuse(1000, 1000)
		for _, e := range r.flushed(false) {
			if e.What == "" {
				sums = append(sums, e.Detail)
			}
		}
		r.clock = r.clock.Add(refusalEvery)
	}
	sameAs(t, "sums", []string{r.sum(1000, 61*1000-refusalBurst-60, began).Detail}, sums)
	sameAs(t, "at the end", []server.HistoryEntry{r.sum(1000, 39*1000-39, began.Add(61*refusalEvery))}, r.flushed(true))
}

// Neither many uids nor a disk that hangs make it grow, and what a request
// brings is cut.
func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRegister()
	for uid := range uint32(10_000) {
		r.refuse(uid, 2)
	}
	sameAs(t, "uids", maxRefusers, len(r.uids))
	entries := r.flushed(true)
	sameAs(t, "entries", 2*maxRefusers+refusalBurst+1, len(entries))
	sum := r.sum(0, 2*(10_000-maxRefusers)-refusalBurst, r.clock)
	sum.By, sum.Detail = nil, strings.Replace(sum.Detail, "uid 0", "other uids", 1)
	sameAs(t, "the last", sum, entries[len(entries)-1])

	r = newRegister()
	for uid := range uint32(maxRefusers) {
		r.refuse(uid, 10)
	}
	sameAs(t, "what waits for the disk", maxRefused, len(r.queue))
	total := len(r.queue)
	for _, e := range r.uids {
		total += e.over
	}
	sameAs(t, "none is lost", maxRefusers*10, total)

	r = newRegister()
	r.add(server.Refusal{Server: strings.Repeat("\x1b", 1000), Err: server.Errorf(server.CodeInvalidName, "%s", strings.Repeat("x", 1000))}, 0)
	e := r.flushed(false)[0]
	sameAs(t, "a name", strings.Repeat(`\x1b`, refusedName)+"…", e.Server)
	sameAs(t, "a detail", strings.Repeat("x", refusedDetail)+"…", e.Detail)
}

// Many at once, while the
// loop stores.
func TestRefusalsFromManySides(t *testing.T) {
	t.Parallel()
	r := newRegister()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); r.loop(ctx) }()
	var sides sync.WaitGroup
	for uid := range uint32(8) {
		sides.Go(func() { r.refuse(uid, 1000) })
	}
	sides.Wait()
	cancel()
	<-over
	r.flush(context.Background(), true)
	got := map[uint32]int{}
	for _, e := range r.stored {
		n := 1
		if e.What == "" {
			if _, err := fmt.Sscanf(e.Detail, "and %d more", &n); err != nil {
				t.Fatal(err)
			}
		}
		got[e.By.UID] += n
	}
	want := map[uint32]int{}
	for uid := range uint32(8) {
		want[uid] = 1000
	}
	sameAs(t, "refusals on record", want, got)
}
