package orchestrator

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// Each of the games that an install waits for has to say twice that nobody plays,
// however seldom they are asked otherwise.
func TestNobodyIsSaidTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := map[uint16]time.Time{}
		p := &fakeProbe{}
		p.answers(func(_ context.Context, q probe.Query) (*probe.Answer, error) {
			mu.Lock()
			defer mu.Unlock()
			if gap := time.Since(asked[q.Port]); gap < queryLeast {
				t.Errorf("asked %s after the last time", gap)
			}
			asked[q.Port] = time.Now()
			return &probe.Answer{Map: "c1m1_hotel"}, nil
		})
		o := withGames(p, 3)
		o.Settings.QueryInterval = 10 * time.Minute
		defer asking(t, o)()
		for range 20 { // at any moment between the queries
			time.Sleep(37 * time.Minute)
			w := emptyWait{run: &run{o: o, rec: o.game.rec, ctx: t.Context(), row: store.JobRow{Job: server.Job{Kind: server.JobInstall}}}}
			began := time.Now()
			for surely := false; !surely; {
				if _, surely = w.nobody(time.Now()); !surely {
					time.Sleep(emptyLook)
				}
			}
			if took := time.Since(began); took < o.Settings.WhenEmpty.Grace || took > o.Settings.WhenEmpty.Grace+emptyLook {
				t.Errorf("it took %s", took)
			}
			mu.Lock()
			for port, at := range asked {
				if !at.After(began) {
					t.Errorf("the game at %d was last asked %s before", port, began.Sub(at))
				}
			}
			mu.Unlock()
		}
	})
}

// What was heard minutes ago is not what is so now.
func TestPeopleAskedAfresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProbe{}
		p.answers(gives(probe.Answer{}))
		o := withGames(p, 1)
		o.Settings.QueryInterval = 10 * time.Minute
		defer asking(t, o)()
		time.Sleep(20 * time.Minute)
		r := o.order[0]
		look := func(what string, people int, known bool) {
			t.Helper()
			n, at, ok := o.people(t.Context(), r, afresh)
			if n != people || ok != known || ok && time.Since(at) > queryLeast {
				t.Errorf("%s: %d, %v, %s ago", what, n, ok, time.Since(at))
			}
		}
		look("nobody", 0, true)
		p.answers(gives(probe.Answer{Players: 2}))
		look("told a moment ago", 0, true)
		time.Sleep(queryLeast)
		look("two came", 2, true)
		time.Sleep(queryLeast)
		for _, code := range []probe.FaultCode{probe.FaultSilent, probe.FaultGone} {
			p.answers(refuses(code))
			look(string(code), 0, false)
			time.Sleep(queryLeast)
		}
		p.answers(gives(probe.Answer{Players: 1}))
		look("one is left", 1, true)
	})
}
