package orchestrator

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
)

// TestPlaying errs on the side of somebody who plays.
func TestPlaying(t *testing.T) {
	t.Parallel()
	type result struct {
		Playing int
		Known   bool
		People  int
		Surely  bool
	}
	two := 2
	for what, c := range map[string]struct {
		info    probe.Answer
		humans  *int
		list    []probe.Player
		want    result
		details bool // somebody was asked who they are
	}{
		"nobody":              {info: probe.Answer{}, want: result{Known: true, Surely: true}},
		"nobody but bots":     {info: probe.Answer{Bots: 4}, want: result{Known: true, Surely: true}},
		"people":              {info: probe.Answer{Players: 3}, want: result{Playing: 3, Known: true, People: 3, Surely: true}},
		"both and no status":  {info: probe.Answer{Players: 4, Bots: 4}, want: result{Playing: 4, Known: true, People: 4, Surely: true}, details: true},
		"both and a status":   {info: probe.Answer{Players: 4, Bots: 2}, humans: &two, want: result{Playing: 4, Known: true, People: 2, Surely: true}, details: true},
		"status counts badly": {info: probe.Answer{Players: 4, Bots: 4}, humans: new(int), list: []probe.Player{{SteamID: "STEAM_1:0:1"}}, want: result{Playing: 4, Known: true, People: 1, Surely: true}, details: true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			asked := false
			p := &fakeProbe{}
			p.answers(func(_ context.Context, q probe.Query) (*probe.Answer, error) {
				a := c.info
				if q.Players {
					asked, a.Humans, a.List = true, c.humans, c.list
				}
				return &a, nil
			})
			o, _ := deskBench(t)
			r := instanceOf(t, o, p)
			o.mu.Lock()
			r.heard.invocation, r.heard.game, r.heard.at = "first", gameOf(&c.info, time.Now()), time.Now()
			n, known := o.playing(r)
			o.mu.Unlock()
			people, _, surely := o.people(t.Context(), r, whoIsBot)
			if diff := cmp.Diff(c.want, result{n, known, people, surely}); diff != "" || asked != c.details {
				t.Errorf("asked %v (-want +got):\n%s", asked, diff)
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			r.heard.at = time.Now().Add(-16 * time.Second)
			if _, known := o.playing(r); known {
				t.Error("an old answer counts")
			}
			r.heard.at, r.heard.game = time.Now(), &server.Game{}
			if _, known := o.playing(r); known {
				t.Error("no answer counts as one")
			}
		})
	}
}

// instanceOf makes a server "a" with files of its own, and has it run.
func instanceOf(t *testing.T, o *Orchestrator, p Probe) *record {
	t.Helper()
	o.Probe = p
	o.queries.cgroup = func(context.Context, string) (uint64, error) { return 7, nil }
	job, err := o.Create(t.Context(), "a", server.ConfigPatch{}, server.Requester{})
	if err == nil {
		job, err = o.WaitJob(t.Context(), job.ID)
	}
	if err != nil || job.State != server.JobSucceeded {
		t.Fatalf("%+v %+v: %v", job, job.Error, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.records["a"]
	runs(o, r, "first")
	return r
}

func TestPlayers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testPlayers)
}

func testPlayers(t *testing.T) {
	o, _ := deskBench(t)
	seven, ping, far := 7, 50, 101
	asked := 0
	p := &fakeProbe{}
	p.answers(func(_ context.Context, q probe.Query) (*probe.Answer, error) {
		asked++
		if !q.Players || q.Password == "" {
			t.Errorf("asked for %+v", q.Target)
		}
		return &probe.Answer{Players: 2, Bots: 1, List: []probe.Player{
			{Name: "Nick", Seconds: 1, Bot: true},
			{Name: "kim\u202e", SteamID: "STEAM_1:0:12", UserID: &seven, Ping: &ping, Loss: &far, Seconds: 61.26, Score: -1, State: "active"},
			{Name: "liar", SteamID: "<script>", Seconds: -1},
		}, StatusFault: nil}, nil
	})
	r := instanceOf(t, o, p)
	want := &server.Players{Players: []server.Player{
		{Name: `kim\u{202e}`, SteamID: "STEAM_1:0:12", UserID: &seven, Ping: &ping, Seconds: 61.3, Score: -1, State: "active"},
		{Name: "Nick", Seconds: 1, Bot: true},
		{Name: "liar"},
	}}
	for range 2 { // the second is from memory
		got, err := o.Players(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		want.QueriedAt = got.QueriedAt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times within five seconds", asked)
	}
	o.mu.Lock()
	runs(o, r, "second")
	o.mu.Unlock()
	p.answers(refuses(probe.FaultSilent))
	if _, err := o.Players(t.Context(), "a"); !errors.Is(err, &server.Error{Code: server.CodeGameUnreachable}) {
		t.Errorf("another run, silent: %v", err)
	}
}

// TestAGameIsLeftAlone has clients ask who plays as often as they can, beside the
// loop: a game hears of it every five seconds at most, also when it does not answer.
func TestAGameIsLeftAlone(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]func(context.Context, probe.Query) (*probe.Answer, error){
		"answers": gives(probe.Answer{Map: "c1m1_hotel", Players: 2, Bots: 1, List: []probe.Player{}}),
		"silent":  refuses(probe.FaultSilent),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var asked []time.Time
				lists := 0
				p := &fakeProbe{}
				p.answers(func(ctx context.Context, q probe.Query) (*probe.Answer, error) {
					mu.Lock()
					asked = append(asked, time.Now())
					if q.Players {
						lists++
					}
					mu.Unlock()
					time.Sleep(30 * time.Millisecond)
					return answer(ctx, q)
				})
				o, _ := deskBench(t)
				r := instanceOf(t, o, p)
				stop := asking(t, o)
				began := time.Now()
				var clients sync.WaitGroup
				for i := range 3 {
					clients.Go(func() {
						for n := 0; time.Since(began) < 5*time.Minute; n++ {
							at := time.Now()
							_, err := o.Players(t.Context(), "a")
							if took := time.Since(at); took > 6*time.Second || (err == nil) != (what == "answers") {
								t.Errorf("client %d had its answer after %s: %v", i, took, err)
							}
							time.Sleep(time.Duration(i+1) * 700 * time.Millisecond)
						}
					})
				}
				clients.Wait()
				time.Sleep(time.Minute) // the loop goes on by itself
				stop()
				for i, at := range asked[1:] {
					if gap := at.Sub(asked[i]); gap < 5*time.Second || gap > 11*time.Second {
						t.Errorf("asked %s after the last time", gap)
					}
				}
				if n := len(asked); n < 50 || lists < 25 {
					t.Errorf("asked %d times, %d of them for the list", n, lists)
				}
				o.mu.RLock()
				defer o.mu.RUnlock()
				if old := time.Since(r.heard.at); old > 6*time.Second || r.heard.game.Reachable != (what == "answers") {
					t.Errorf("known %s ago: %+v", old, r.heard.game)
				}
			})
		})
	}
}

// TestAWrongPasswordIsSentOnce in each run, or the game would ban left4med.
func TestAWrongPasswordIsSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent, asked := 0, 0
		p := &fakeProbe{}
		p.answers(func(_ context.Context, q probe.Query) (*probe.Answer, error) {
			a := &probe.Answer{Players: 2, Bots: 1, List: []probe.Player{}}
			asked++
			if q.Password != "" {
				sent++
				a.StatusFault = &probe.Fault{Code: probe.FaultPassword}
			}
			return a, nil
		})
		p.rcon = func(context.Context, probe.Command) (*probe.Output, error) { return &probe.Output{}, nil }
		o, _ := deskBench(t)
		r := instanceOf(t, o, p)
		var got []int
		look := func() {
			t.Helper()
			for range 3 {
				players, err := o.Players(t.Context(), "a")
				if err != nil || !strings.Contains(players.Detail, "refused the RCON password") {
					t.Errorf("%+v, %v", players, err)
				}
				time.Sleep(10 * time.Second)
			}
			got = append(got, sent)
		}
		look()
		password, err := server.NewSecret(server.SecretRCON, "another-password")
		if err == nil {
			err = o.SetSecret(t.Context(), "a", server.SecretRCON, password, root())
		}
		if err != nil {
			t.Fatal(err)
		}
		look()
		o.mu.Lock()
		runs(o, r, "second")
		o.mu.Unlock()
		look()
		if _, err := o.RCON(t.Context(), "a", "status", root()); err != nil { // it is taken after all
			t.Fatal(err)
		}
		look()
		if diff := cmp.Diff([]int{1, 2, 3, 4}, got); diff != "" || asked != 12 {
			t.Errorf("asked %d times; passwords sent after each change (-want +got):\n%s", asked, diff)
		}
	})
}
