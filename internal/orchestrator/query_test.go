package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// fakeProbe answers as a test wants it to. What it cannot be asked fails.
type fakeProbe struct {
	mu    sync.Mutex
	query func(context.Context, probe.Query) (*probe.Answer, error)
	rcon  func(context.Context, probe.Command) (*probe.Output, error)
}

func (p *fakeProbe) Query(ctx context.Context, q probe.Query) (*probe.Answer, error) {
	p.mu.Lock()
	query := p.query
	p.mu.Unlock()
	return query(ctx, q)
}

func (p *fakeProbe) RCON(ctx context.Context, c probe.Command) (*probe.Output, error) {
	p.mu.Lock()
	rcon := p.rcon
	p.mu.Unlock()
	return rcon(ctx, c)
}

func (p *fakeProbe) Deliver(context.Context, probe.Delivery) (*probe.Delivered, error) {
	return nil, &probe.Fault{Code: probe.FaultInvalid, Detail: "nothing is delivered here"}
}

func (p *fakeProbe) answers(query func(context.Context, probe.Query) (*probe.Answer, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.query = query
}

func gives(a probe.Answer) func(context.Context, probe.Query) (*probe.Answer, error) {
	return func(context.Context, probe.Query) (*probe.Answer, error) { return &a, nil }
}

func refuses(code probe.FaultCode) func(context.Context, probe.Query) (*probe.Answer, error) {
	return func(context.Context, probe.Query) (*probe.Answer, error) {
		return nil, &probe.Fault{Code: code, Detail: "because"}
	}
}

// withGames is an orchestrator without a systemd and a store, and so many servers
// that run, as ID 1 and on. Server n has the port 27000 + n.
func withGames(p Probe, n int) *Orchestrator {
	o := New(Options{Settings: DefaultSettings(), Probe: p})
	o.feed = newFeed(1, 1+eventBlock)
	o.queries.cgroup = func(context.Context, string) (uint64, error) { return 7, nil }
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range n {
		cfg := server.DefaultConfig("a")
		cfg.Port = uint16(27001 + i)
		r := newRecord(store.ServerRow{ID: int64(i + 1), Name: server.Name(fmt.Sprintf("s%d", i+1)), Phase: server.PhaseReady, Config: cfg})
		o.insert(r)
		runs(o, r, "first")
	}
	return o
}

// runs has a server run. The caller holds o.mu.
func runs(o *Orchestrator, r *record, invocation string) {
	u := server.Unit{Load: "loaded", Active: "active", Sub: "running", Result: "success", InvocationID: invocation, Since: time.Now()}
	o.apply(r, u, time.Now(), server.BySignal)
}

// asking runs the queries of o until the test stops them.
func asking(t *testing.T, o *Orchestrator) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); o.queries.loop(ctx) }()
	return func() { cancel(); <-ended }
}

func gameNow(t *testing.T, o *Orchestrator, name server.Name) *server.Game {
	t.Helper()
	e, _, err := o.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return e.Game
}

func TestQueriesAreSpread(t *testing.T) {
	t.Parallel()
	const servers = 100
	for what, age := range map[string]time.Duration{"found running": time.Hour, "started together": 0} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				asked := map[uint16][]time.Duration{}
				var all []time.Duration
				began, busy, most := time.Now(), 0, 0
				p := &fakeProbe{}
				p.answers(func(_ context.Context, q probe.Query) (*probe.Answer, error) {
					mu.Lock()
					at := time.Since(began)
					asked[q.Port], all = append(asked[q.Port], at), append(all, at)
					busy++
					most = max(most, busy)
					mu.Unlock()
					time.Sleep(30 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					busy--
					return &probe.Answer{Map: "c1m1_hotel"}, nil
				})
				o := withGames(p, servers)
				o.mu.Lock()
				for _, r := range o.order {
					r.unit.Since = time.Now().Add(-age)
				}
				o.mu.Unlock()
				stop := asking(t, o)
				time.Sleep(2 * time.Minute)
				stop()

				for port, times := range asked {
					for i, at := range times[1:] {
						if gap := at - times[i]; gap < 5*time.Second || gap > 6*time.Second {
							t.Errorf("port %d was asked %s after the last time, at %s", port, gap, at)
						}
					}
				}
				if len(asked) != servers || most > queriesAtOnce {
					t.Errorf("%d servers were asked, up to %d at once", len(asked), most)
				}
				// In the second minute they stand evenly: 20 a second.
				all = all[slices.IndexFunc(all, func(at time.Duration) bool { return at > time.Minute }):]
				for len(all) > 0 {
					n := 0
					for n < len(all) && all[n] < all[0]+time.Second {
						n++
					}
					if n > 2*servers/5 {
						t.Errorf("%d queries in the second after %s", n, all[0])
					}
					all = all[n:]
				}
			})
		})
	}
}

// TestWhatAGameTells follows one server through answers and failures. Nothing but
// the game's own facts changes.
func TestWhatAGameTells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProbe{}
		hotel := probe.Answer{PingMicros: 400, Map: "c1m1_hotel", Players: 3, MaxPlayers: 8}
		p.answers(gives(hotel))
		o := withGames(p, 1)
		before, _, _ := o.Get("s1")
		last := o.feed.last()
		defer asking(t, o)()
		// is waits for a round and says whether the game is as it should be, and
		// whether there was an event.
		is := func(when string, want *server.Game, events uint64) {
			t.Helper()
			synctest.Wait()
			got := gameNow(t, o, "s1")
			if got != nil {
				if time.Since(got.QueriedAt) > 3*o.queries.interval() {
					t.Errorf("%s: queried at %s", when, got.QueriedAt)
				}
				if got.PingMS != nil && *got.PingMS != 0.4 {
					t.Errorf("%s: a ping of %v ms", when, *got.PingMS)
				}
				rest := *got
				rest.QueriedAt, rest.PingMS = time.Time{}, nil
				got = &rest
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
			if got := o.feed.last() - last; got != events {
				t.Errorf("%s: %d events, want %d", when, got, events)
			}
			last = o.feed.last()
		}
		tells := func(a probe.Answer) *server.Game {
			return &server.Game{Reachable: true, Map: a.Map, Players: &a.Players, MaxPlayers: &a.MaxPlayers, Bots: &a.Bots}
		}
		const silent = "the game does not answer; it may be loading a map"
		round := func() { time.Sleep(6 * time.Second) }

		is("before the start settled", nil, 0)
		time.Sleep(2100 * time.Millisecond)
		is("settled", tells(hotel), 1)
		round()
		is("the same again", tells(hotel), 0)
		faster := hotel
		faster.Players = 4
		p.answers(gives(faster))
		round()
		is("somebody came", tells(faster), 1)
		p.answers(refuses(probe.FaultSilent))
		round()
		is("silent", &server.Game{Error: silent}, 1)
		round()
		is("still silent", &server.Game{Error: silent}, 0)
		p.answers(gives(probe.Answer{PingMicros: 400, Map: "c2\x1b[2Jm1"}))
		round()
		is("another map", tells(probe.Answer{Map: `c2\x1b[2Jm1`}), 1)

		p.answers(refuses(probe.FaultGone))
		round()
		is("the probe is gone", tells(probe.Answer{Map: `c2\x1b[2Jm1`}), 0)
		if c := checkProbe(o.queries.probeHealth()); c.OK || c.Cure == "" {
			t.Errorf("doctor says of it: %+v", c)
		}
		time.Sleep(18 * time.Second)
		is("gone for longer", nil, 1)
		p.answers(gives(hotel))
		round()
		is("back", tells(hotel), 1)
		if c := checkProbe(o.queries.probeHealth()); !c.OK {
			t.Errorf("doctor says of it: %+v", c)
		}

		after, _, _ := o.Get("s1")
		rest := after.Server
		rest.Game = nil
		if diff := cmp.Diff(before.Server, rest); diff != "" {
			t.Errorf("of the server itself changed (-before +after):\n%s", diff)
		}
		o.mu.Lock()
		runs(o, o.records["s1"], "second")
		o.mu.Unlock()
		last = o.feed.last()
		is("another run", nil, 0)
		round()
		is("another run, settled", tells(hotel), 1)
		o.mu.Lock()
		o.apply(o.records["s1"], unloaded(o.records["s1"].unit), time.Now(), server.BySignal)
		o.mu.Unlock()
		last = o.feed.last()
		is("stopped", nil, 0)
	})
}

// Who may not inspect does not see that anything is told of a game.
func TestWhoSeesThatPlayersCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProbe{}
		o := withGames(p, 1)
		watch := o.Watch(0, false)
		seen := func() (all, public int) {
			t.Helper()
			events, _ := watch.take()
			for _, e := range events {
				if all++; e.Data(false) != nil {
					public++
				}
			}
			return all, public
		}
		check := func(what string, all, public int) {
			t.Helper()
			if a, p := seen(); a != all || p != public {
				t.Errorf("%s: %d events, %d of them for all; want %d, %d", what, a, p, all, public)
			}
		}
		stop := asking(t, o)
		defer stop()
		for i := range 4 {
			p.answers(gives(probe.Answer{Map: "c1m1_hotel", Players: i}))
			time.Sleep(10 * time.Second)
			check("a player came", 1, 0)
		}
		p.answers(refuses(probe.FaultSilent))
		time.Sleep(10 * time.Second)
		check("it is silent", 1, 0)
		o.mu.Lock()
		r := o.order[0]
		u := r.unit
		u.Active, u.Sub = "deactivating", "stop-sigterm"
		o.apply(r, u, time.Now(), server.BySignal)
		o.mu.Unlock()
		check("it stops", 1, 1)
	})
}

// TestAProbeThatHangs costs what games tell, and a bounded number of goroutines;
// the servers are as they were.
func TestAProbeThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		busy, most := 0, 0
		p := &fakeProbe{}
		p.answers(func(ctx context.Context, _ probe.Query) (*probe.Answer, error) {
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			busy--
			mu.Unlock()
			return nil, ctx.Err()
		})
		o := withGames(p, 100)
		before := o.List().Servers[0].Drift
		stop := asking(t, o)
		time.Sleep(time.Minute)
		mu.Lock()
		if most != queriesAtOnce {
			t.Errorf("up to %d queries at once, want %d", most, queriesAtOnce)
		}
		mu.Unlock()
		if c := checkProbe(o.queries.probeHealth()); c.OK {
			t.Errorf("doctor says of it: %+v", c)
		}
		for _, e := range o.List().Servers {
			if e.Game != nil || e.State != server.StateRunning || e.Drift != before {
				t.Fatalf("%+v", e.Server)
			}
		}
		p.answers(gives(probe.Answer{Map: "c1m1_hotel"}))
		time.Sleep(15 * time.Second)
		for _, e := range o.List().Servers {
			if e.Game == nil || !e.Game.Reachable {
				t.Fatalf("%s after the probe is back: %+v", e.Name, e.Game)
			}
		}
		stop()
	})
}

// TestADeliveryCuresNoQuery has what keeps games from being asked last while
// webhooks are told well, and what keeps everything from it end with a delivery.
func TestADeliveryCuresNoQuery(t *testing.T) {
	t.Parallel()
	o := withGames(&fakeProbe{}, 1)
	check := func() string {
		c := checkProbe(o.queries.probeHealth())
		found, _, _ := strings.Cut(c.Found, " since ")
		_, so, _ := strings.Cut(c.Found, ", so ")
		return fmt.Sprintf("%v: %s, %s", c.OK, found, so)
	}
	kernel := &probe.Fault{Code: probe.FaultKernel, Detail: "no sock_diag"}
	gone := &probe.Fault{Code: probe.FaultGone, Detail: "no socket"}
	var got []string
	for _, happens := range []func(){
		func() { o.queries.note(kernel, true) },
		func() { o.queries.noteDelivery(nil) },
		func() { o.queries.noteDelivery(&probe.Fault{Code: probe.FaultStatus, Status: 500}) },
		func() { o.queries.note(nil, true) },
		func() { o.queries.noteDelivery(gone) },
		func() { o.queries.noteDelivery(nil) },
	} {
		happens()
		got = append(got, check())
	}
	const (
		deaf = "false: the network hand cannot ask games, map and players are not known and RCON does not work; servers are not affected: no sock_diag"
		well = "true: it answers; %d queries of games so far, 1 not answered by the game, "
		away = "false: the network hand does not answer, map and players are not known, RCON does not work and webhooks are told nothing; servers are not affected: no socket"
	)
	want := []string{deaf, deaf, deaf, fmt.Sprintf(well, 2), away, fmt.Sprintf(well, 2)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTenThousandFailures leave nothing behind but their count.
func TestTenThousandFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProbe{}
		p.answers(refuses(probe.FaultRefused))
		o := withGames(p, 1)
		before, _, _ := o.Get("s1")
		defer asking(t, o)()
		time.Sleep(10_001 * 5500 * time.Millisecond)
		h := o.queries.probeHealth()
		if h.Failed < 10_000 || h.Failed != h.Queries || !h.OK {
			t.Errorf("%+v", h)
		}
		after, _, _ := o.Get("s1")
		rest := after.Server
		rest.Game = nil
		if diff := cmp.Diff(before.Server, rest); diff != "" {
			t.Errorf("of the server itself changed (-before +after):\n%s", diff)
		}
		if n := o.feed.last(); n > 3 {
			t.Errorf("%d events", n)
		}
	})
}

// TestAServerThatStartsIsAsked has one start while none ran, and nobody looked.
func TestAServerThatStartsIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProbe{}
		var asked []time.Duration
		var began time.Time
		p.answers(func(context.Context, probe.Query) (*probe.Answer, error) {
			asked = append(asked, time.Since(began))
			return &probe.Answer{Map: "c1m1_hotel"}, nil
		})
		o := withGames(p, 1)
		r := o.order[0]
		o.mu.Lock()
		o.apply(r, server.Unit{Load: "loaded", Active: "inactive", Sub: "dead", Result: "success", Since: time.Now()}, time.Now(), server.BySignal)
		o.mu.Unlock()
		stop := asking(t, o)
		time.Sleep(17*time.Minute + 300*time.Millisecond)
		o.mu.Lock()
		began = time.Now()
		runs(o, r, "second")
		o.mu.Unlock()
		time.Sleep(4 * time.Second)
		stop()
		if diff := cmp.Diff([]time.Duration{o.Settings.Settle}, asked); diff != "" {
			t.Errorf("asked after its start (-want +got):\n%s", diff)
		}
	})
}

// The servers are looked through when a query is due, and not in between; those that
// are due close to each other together.
func TestLooksAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProbe{}
		p.answers(gives(probe.Answer{Map: "c1m1_hotel"}))
		o := withGames(p, 2)
		q := o.queries
		var under sync.WaitGroup
		round := func() time.Duration {
			wake := q.round(t.Context(), &under)
			under.Wait()
			return wake
		}
		o.mu.Lock()
		q.began = time.Now()
		a, b := o.order[0], o.order[1]
		o.mu.Unlock()
		time.Sleep(o.Settings.Settle)
		if wake := round(); wake != queryRest || len(q.again) != 1 {
			t.Errorf("while both are asked the next look is after %s, and %d looks are asked for", wake, len(q.again))
		}
		<-q.again
		if wake := round(); wake < 5*time.Second || len(q.again) != 0 {
			t.Errorf("when both were asked the next look is after %s, and %d looks are asked for", wake, len(q.again))
		}
		o.mu.Lock()
		a.heard.due, b.heard.due = time.Now().Add(time.Millisecond), time.Now().Add(queryGap)
		o.mu.Unlock()
		if wake := round(); wake != queryGap {
			t.Errorf("the next look is after %s, want %s", wake, queryGap)
		}
		time.Sleep(queryGap)
		round()
		if !a.heard.asked.Equal(b.heard.asked) {
			t.Errorf("asked at %s and %s, not together", a.heard.asked, b.heard.asked)
		}

		// One that does not run is looked at again when it does, also in the same run.
		o.mu.Lock()
		a.row.Phase = server.PhaseDeleting
		o.mu.Unlock()
		round()
		select {
		case <-q.again:
		default:
		}
		o.mu.Lock()
		a.row.Phase = server.PhaseReady
		o.publish(a, server.ByJob)
		o.mu.Unlock()
		if len(q.again) != 1 {
			t.Error("nobody looks at a server that can be asked again")
		}
	})
}
