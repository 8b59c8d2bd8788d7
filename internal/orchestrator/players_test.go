package orchestrator

import (
	"context"
	"errors"
	"testing"
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
			people, surely := o.people(t.Context(), r)
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
