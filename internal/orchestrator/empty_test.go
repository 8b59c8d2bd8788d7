package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// party is who plays on the servers of a test; a server that is not in it does not
// answer.
type party struct {
	mu    sync.Mutex
	plays map[server.Name]int
	said  []string
}

func (p *party) counts() bool { return true }

func (p *party) people(_ context.Context, r *record, _ howAsked) (n int, at time.Time, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, known = p.plays[r.row.Name]
	return n, time.Now(), known
}

func (p *party) say(_ context.Context, r *record, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, string(r.row.Name)+": "+text)
	return nil
}

func (p *party) set(name server.Name, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plays[name] = n
}

// heard are the messages to players since the last call.
func (p *party) heard() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := p.said
	p.said = nil
	return said
}

func runningUnit(invocation string) server.Unit {
	return server.Unit{Load: "loaded", Active: "active", Sub: "running", Result: "success", InvocationID: invocation}
}

// peopled is an orchestrator without a systemd, and a server a that runs, enabled,
// with two players on it. A restart that begins fails for want of systemd.
func peopled(t *testing.T) (*Orchestrator, *record, *party) {
	t.Helper()
	o, _ := deskBench(t)
	p := &party{plays: map[server.Name]int{"a": 2}}
	o.crowd = p
	made, err := o.Create(t.Context(), "a", server.ConfigPatch{}, root())
	if err == nil {
		_, err = o.WaitJob(t.Context(), made.ID)
	}
	link := filepath.Join(o.Units.UnitPath(), "multi-user.target.wants", server.Name("a").Unit())
	if err = errors.Join(err, os.Symlink("/usr/lib/systemd/system/"+server.Template, link)); err != nil {
		t.Fatal(err)
	}
	return o, o.inhabit(t), p
}

// inhabit has systemd say that the server a runs.
func (o *Orchestrator) inhabit(t *testing.T) *record {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.records["a"]
	o.setConnected(true, time.Now())
	o.applyLink(r, true, false, server.BySignal)
	o.apply(r, runningUnit("one"), time.Now(), server.BySignal)
	return r
}

// ask asks for a restart of a when nobody plays.
func (o *Orchestrator) ask(t *testing.T) int64 {
	t.Helper()
	jobs, refused, err := o.RestartWhenEmpty(t.Context(), []server.Name{"a"}, root())
	if err != nil || len(refused) > 0 {
		t.Fatalf("refused: %v, %v", refused, err)
	}
	synctest.Wait()
	return jobs[0].ID
}

// jobStands is how a job stands, or has ended.
type jobStands struct {
	State server.JobState
	Code  server.Code
	Text  string // the progress, or why it ended
	By    int64  // took its place
}

func (o *Orchestrator) stands(t *testing.T, id int64) jobStands {
	t.Helper()
	synctest.Wait()
	j, err := o.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got := jobStands{State: j.State}
	if j.SupersededBy != nil {
		got.By = *j.SupersededBy
	}
	switch {
	case j.Error != nil:
		got.Code, got.Text = j.Error.Code, j.Error.Detail
	case j.Progress != nil:
		got.Text = j.Progress.Text
	}
	return got
}

func (o *Orchestrator) expect(t *testing.T, what string, id int64, want jobStands) {
	t.Helper()
	if diff := cmp.Diff(want, o.stands(t, id)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func waitingFor(text string) jobStands {
	return jobStands{State: server.JobRunning, Text: server.WaitingForEmpty + ": " + text}
}

// begun is how a restart stands that waits no more.
var begun = jobStands{State: server.JobRunning, Text: "waiting for systemd"}

func TestRestartWhenEmpty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, r, p := peopled(t)
		counted := &meter{}
		o.Meter = counted
		watch := o.Watch(0, false)
		id := o.ask(t)
		o.expect(t, "at first", id, waitingFor("2 players, gives up in 6 h"))
		time.Sleep(2*time.Minute + time.Second)
		p.set("a", 1)
		o.mu.Lock()
		close(r.changed) // as a game's answer does that is news
		r.changed = make(chan struct{})
		o.mu.Unlock()
		o.expect(t, "when one has left", id, waitingFor("1 player, gives up in 5 h 58 min"))
		p.set("a", 0)
		time.Sleep(emptyLook + time.Second)
		o.expect(t, "when the last has left", id, waitingFor("nobody at the moment, gives up in 5 h 58 min"))
		p.set("a", 3)
		time.Sleep(time.Minute)
		o.expect(t, "when others have come", id, waitingFor("3 players, gives up in 5 h 57 min"))
		p.set("a", 0)
		time.Sleep(emptyLook + o.Settings.WhenEmpty.Grace)
		o.expect(t, "when nobody came any more", id, begun)
		if diff := cmp.Diff([]string{"a: This server restarts as soon as nobody plays. It waits 6 h for that."}, p.heard()); diff != "" {
			t.Errorf("what players were told (-want +got):\n%s", diff)
		}
		o.mu.RLock()
		state, at := r.entry.State, r.run
		o.mu.RUnlock()
		if state != server.StateRunning || at == nil || at.row.ID != id || r.waiting != nil {
			t.Errorf("the server is %s with the run %+v", state, at)
		}
		told := 0
		for watch.next <= o.feed.last() {
			events, err := watch.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if j := e.Job(); j != nil && j.ID == id {
					told++
				}
			}
		}
		if told > 12 {
			t.Errorf("%d events in three minutes", told)
		}
		// Another takes its place: what it took does not count the wait.
		time.Sleep(time.Second)
		if _, _, err := o.Request(t.Context(), server.JobStop, []server.Name{"a"}, root()); err != nil {
			t.Fatal(err)
		}
		o.expect(t, "at last", id, jobStands{State: server.JobCanceled, By: id + 1})
		o.mu.RLock()
		defer o.mu.RUnlock()
		if len(counted.took) != 1 || counted.took[0] > 2*time.Second || counted.took[0] < time.Second {
			t.Errorf("it took %v", counted.took)
		}
	})
}

// Nothing is changed when players stay for too long, or a game that does not answer
// may have players.
func TestRestartWhenEmptyGivesUp(t *testing.T) {
	t.Parallel()
	const told = "a: This server restarts as soon as nobody plays. It waits "
	for name, c := range map[string]struct {
		play func(p *party)
		who  string
		said []string
	}{
		"played": {func(*party) {}, "2 players", []string{told + "6 h for that.", told + "10 min for that.", told + "5 min for that.", told + "1 min for that."}},
		"silent": {func(p *party) { delete(p.plays, "a") }, "no answer from the game", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, r, p := peopled(t)
				counted := &meter{}
				o.Meter = counted
				c.play(p)
				id := o.ask(t)
				time.Sleep(6*time.Hour - time.Millisecond)
				o.expect(t, "at last", id, waitingFor(c.who+", gives up in 1 min"))
				time.Sleep(time.Millisecond)
				o.expect(t, "in the end", id, jobStands{State: server.JobFailed, Code: server.CodeNotEmpty,
					Text: "the server a was not restarted within 6 h, because it was not seen to be empty: " + c.who + "; `l4d2ctl start --restart a` restarts it at once"})
				if diff := cmp.Diff(c.said, p.heard()); diff != "" {
					t.Errorf("what players were told (-want +got):\n%s", diff)
				}
				if r.waiting != nil || r.run != nil || r.entry.Job != nil {
					t.Error("it is still there")
				}
				if diff := cmp.Diff([]string{"not-empty"}, counted.jobs); diff != "" || counted.took != nil {
					t.Errorf("counted (-want +got):\n%stook %v", diff, counted.took)
				}
			})
		})
	}
}

// What is asked for meanwhile, and what becomes of the wait.
func TestRequestsBesideAWait(t *testing.T) {
	t.Parallel()
	still := waitingFor("2 players, gives up in 6 h")
	for name, c := range map[string]struct {
		ask  func(o *Orchestrator, id int64) (by int64, err error)
		want jobStands // By -1: the job that was asked for
	}{
		"cancel": {func(o *Orchestrator, id int64) (int64, error) {
			_, err := o.Cancel(context.Background(), id, root())
			return 0, err
		}, jobStands{State: server.JobCanceled, Code: server.CodeJobFailed, Text: "canceled on request; what it had done so far stands"}},
		"change": {func(o *Orchestrator, _ int64) (int64, error) {
			players := 4
			_, err := o.Change(context.Background(), "a", server.ConfigPatch{MaxPlayers: &players}, root())
			return 0, err
		}, still},
		"again": {func(o *Orchestrator, id int64) (int64, error) {
			jobs, _, err := o.RestartWhenEmpty(context.Background(), []server.Name{"a"}, root())
			if err == nil && jobs[0].ID != id {
				err = errors.New("it is another job")
			}
			return 0, err
		}, still},
		"start":   {requests(server.JobStart), still},
		"backup":  {requests(server.JobBackup), still},
		"restart": {requests(server.JobRestart), jobStands{State: server.JobCanceled, By: -1}},
		"stop":    {requests(server.JobStop), jobStands{State: server.JobCanceled, By: -1}},
		"reset":   {requests(server.JobReset), jobStands{State: server.JobCanceled, By: -1}},
		"delete":  {requests(server.JobDelete), jobStands{State: server.JobCanceled, By: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, r, _ := peopled(t)
				id := o.ask(t)
				by, err := c.ask(o, id)
				if err != nil {
					t.Fatal(err)
				}
				if c.want.By == -1 {
					c.want.By = by
				}
				o.expect(t, "the wait", id, c.want)
				o.mu.RLock()
				shown, at := r.entry.Job, r.run
				o.mu.RUnlock()
				switch {
				case c.want.State != server.JobRunning:
				case at == nil && (shown == nil || shown.ID != id):
					t.Errorf("the server shows the job %+v", shown)
				case at != nil && shown.ID != by:
					t.Errorf("the server shows the job %+v", shown)
				}
				if c.want.State == server.JobRunning { // and it goes on when that has ended
					time.Sleep(time.Minute)
					o.expect(t, "the wait later", id, waitingFor("2 players, gives up in 5 h 59 min"))
				}
				row, err := o.Store.Job(t.Context(), id)
				if err != nil || row.State != o.stands(t, id).State {
					t.Errorf("stored: %+v, %v", row, err)
				}
			})
		})
	}
}

func requests(kind server.JobKind) func(*Orchestrator, int64) (int64, error) {
	return func(o *Orchestrator, _ int64) (int64, error) {
		jobs, refused, err := o.Request(context.Background(), kind, []server.Name{"a"}, root())
		if err != nil || len(refused) > 0 {
			return 0, errors.Join(err, refused[0].Err)
		}
		return jobs[0].ID, nil
	}
}

// What becomes of the unit by itself, or by another hand.
func TestUnitsChangeDuringAWait(t *testing.T) {
	t.Parallel()
	down := func(active string) server.Unit {
		u := runningUnit("one")
		u.Active, u.Sub = active, "dead"
		return u
	}
	ending := func(result string) server.Unit {
		u := runningUnit("one")
		u.Active, u.Sub, u.Result = "deactivating", "stop-sigterm", result
		return u
	}
	overtaken := func(text string) jobStands {
		return jobStands{State: server.JobCanceled, Code: server.CodeOvertaken, Text: text}
	}
	const stopped = "the server a has stopped while its restart waited until nobody plays; `l4d2ctl start a` starts it"
	still := waitingFor("2 players, gives up in 6 h")
	for name, c := range map[string]struct {
		change func(o *Orchestrator, r *record)
		after  time.Duration
		then   func(o *Orchestrator, r *record)
		want   jobStands
	}{
		"restarted by itself": {func(o *Orchestrator, r *record) { o.apply(r, runningUnit("two"), time.Now(), server.BySignal) }, 0, nil, begun},
		"run not known":       {func(o *Orchestrator, r *record) { o.apply(r, runningUnit(""), time.Now(), server.ByResync) }, 20 * time.Second, nil, still},
		"failed":              {func(o *Orchestrator, r *record) { o.apply(r, down("failed"), time.Now(), server.BySignal) }, 4 * time.Second, nil, begun},
		"stopped":             {func(o *Orchestrator, r *record) { o.apply(r, down("inactive"), time.Now(), server.BySignal) }, 4 * time.Second, nil, overtaken(stopped)},
		"killed over its stop": {func(o *Orchestrator, r *record) {
			u := down("failed")
			u.Result = "timeout"
			o.apply(r, u, time.Now(), server.BySignal)
		}, 4 * time.Second, nil, overtaken(stopped)},
		"crashed over its stop": {func(o *Orchestrator, r *record) {
			o.apply(r, ending("success"), time.Now(), server.BySignal)
			u := down("failed")
			u.Result = "core-dump"
			o.apply(r, u, time.Now(), server.BySignal)
		}, 4 * time.Second, nil, overtaken(stopped)},
		"crashed": {func(o *Orchestrator, r *record) {
			o.apply(r, ending("core-dump"), time.Now(), server.BySignal)
			u := down("failed")
			u.Result = "core-dump"
			o.apply(r, u, time.Now(), server.BySignal)
		}, 4 * time.Second, nil, begun},
		"crashed in a run after a stop": {func(o *Orchestrator, r *record) {
			o.apply(r, ending("success"), time.Now(), server.BySignal)
			o.apply(r, runningUnit("one"), time.Now(), server.BySignal)
			u := down("failed")
			u.Result = "core-dump"
			o.apply(r, u, time.Now(), server.BySignal)
		}, 4 * time.Second, nil, begun},
		"stopped for a moment": {func(o *Orchestrator, r *record) { o.apply(r, down("inactive"), time.Now(), server.BySignal) }, 2 * time.Second,
			func(o *Orchestrator, r *record) { o.apply(r, runningUnit("one"), time.Now(), server.BySignal) }, still},
		"stopped for an install": {func(o *Orchestrator, r *record) {
			r.held = true
			o.apply(r, down("inactive"), time.Now(), server.BySignal)
		}, time.Minute, nil, waitingFor("no answer from the game, gives up in 5 h 59 min")},
		"disabled": {func(o *Orchestrator, r *record) { o.applyLink(r, false, false, server.BySignal) }, 4 * time.Second, nil,
			overtaken("left4me-server@a.service was disabled while its restart waited until nobody plays; ask again if it is still wanted")},
		"disabled for a moment": {func(o *Orchestrator, r *record) { o.applyLink(r, false, false, server.BySignal) }, 2 * time.Second,
			func(o *Orchestrator, r *record) { o.applyLink(r, true, false, server.BySignal) }, still},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, r, _ := peopled(t)
				id := o.ask(t)
				o.mu.Lock()
				c.change(o, r)
				o.mu.Unlock()
				time.Sleep(c.after)
				if c.then != nil {
					o.mu.Lock()
					c.then(o, r)
					o.mu.Unlock()
					time.Sleep(20 * time.Second)
				}
				o.expect(t, "the wait", id, c.want)
			})
		})
	}
}

// Who enables a server during the wait and disables it again wants it disabled.
func TestEnabledDuringAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, r, _ := peopled(t)
		link := func(enabled bool) {
			o.mu.Lock()
			o.applyLink(r, enabled, false, server.BySignal)
			o.mu.Unlock()
			synctest.Wait()
		}
		link(false)
		id := o.ask(t)
		time.Sleep(20 * time.Second)
		o.expect(t, "while disabled as it was", id, waitingFor("2 players, gives up in 6 h"))
		link(true)
		row, err := o.Store.Job(t.Context(), id)
		var m mark
		if err = errors.Join(err, json.Unmarshal(row.Mark, &m)); err != nil || !m.Linked || !waits(row) {
			t.Errorf("stored: %s %s, %v", row.Step, row.Mark, err)
		}
		link(false)
		time.Sleep(4 * time.Second)
		o.expect(t, "disabled again", id, jobStands{State: server.JobCanceled, Code: server.CodeOvertaken,
			Text: "left4me-server@a.service was disabled while its restart waited until nobody plays; ask again if it is still wanted"})
	})
}

// Nothing is begun while systemd is away, for however long.
func TestWaitWithoutSystemd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _, p := peopled(t)
		id := o.ask(t)
		connect := func(on bool) {
			o.mu.Lock()
			o.setConnected(on, time.Now())
			o.mu.Unlock()
		}
		connect(false)
		p.set("a", 0)
		time.Sleep(time.Hour)
		o.expect(t, "without systemd", id, waitingFor("nobody at the moment, gives up in 5 h"))
		connect(true)
		time.Sleep(emptyLook)
		o.expect(t, "with systemd", id, begun)
		time.Sleep(2 * systemdPatience) // it went away just then
		p.set("a", 1)
		time.Sleep(systemdPatience + emptyLook)
		o.expect(t, "when it went away", id, waitingFor("1 player, gives up in 4 h 59 min"))
	})
}

// Nobody waits for what can never be known.
func TestNoWaitWithoutQueries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, r, _ := peopled(t)
		o.crowd = o // which has no probe
		names := []server.Name{"a"}
		_, refused, err := o.RestartWhenEmpty(t.Context(), names, root())
		if err != nil || len(refused) != 1 || !strings.Contains(refused[0].Err.Error(), "[query] enabled") {
			t.Errorf("refused: %v, %v", refused, err)
		}
		if err := o.canWait(); !errors.Is(err, &server.Error{Code: server.CodeInvalidRequest}) {
			t.Errorf("an install: %v", err)
		}
		o.mu.Lock()
		o.apply(r, unloaded(r.unit), time.Now(), server.BySignal)
		o.mu.Unlock()
		if err := o.canWait(); err != nil {
			t.Errorf("an install while none runs: %v", err)
		}
		o.expect(t, "of one that does not run", o.ask(t), begun)
	})
}

// A server that does not run has nobody on it.
func TestRestartWhenEmptyOfAStoppedServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, r, _ := peopled(t)
		u := runningUnit("one")
		u.Active, u.Sub = "inactive", "dead"
		o.mu.Lock()
		o.apply(r, u, time.Now(), server.BySignal)
		o.mu.Unlock()
		o.expect(t, "the restart", o.ask(t), begun)
	})
}

// What cannot be started at all need not wait.
func TestRestartWhenEmptyOfAMaskedServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, r, _ := peopled(t)
		o.mu.Lock()
		o.applyLink(r, true, true, server.BySignal)
		o.mu.Unlock()
		if got := o.stands(t, o.ask(t)); got.State != server.JobFailed || got.Code != server.CodeMasked {
			t.Errorf("%+v", got)
		}
	})
}

// An install waits for all servers that run, and is in nobody's way meanwhile.
func TestInstallWhenEmpty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _, p := peopled(t)
		when := server.InstallOptions{Restart: true, When: server.WhenEmpty}
		ask := func(opts server.InstallOptions) int64 {
			t.Helper()
			m := mark{Install: &installMark{Options: opts}, Wait: o.newWait(time.Now().UTC())}
			if job, err := o.sameOfHost(server.JobInstall, opts); job != nil || err != nil {
				if err != nil {
					t.Fatal(err)
				}
				return job.ID
			}
			job, err := o.engageOfHost(t.Context(), server.JobInstall, m, root())
			if err != nil {
				t.Fatal(err)
			}
			return job.ID
		}
		id := ask(when)
		o.expect(t, "at first", id, waitingFor("2 players on a, gives up in 6 h"))
		if diff := cmp.Diff([]string{"a: This server restarts as soon as nobody plays. It waits 6 h for that."}, p.heard()); diff != "" {
			t.Errorf("what players were told (-want +got):\n%s", diff)
		}
		if again := ask(when); again != id {
			t.Errorf("asked for twice it is the jobs %d and %d", id, again)
		}
		if _, _, err := o.Request(t.Context(), server.JobStart, []server.Name{"a"}, root()); err != nil {
			t.Errorf("a start meanwhile: %v", err)
		}
		when.Validate = true
		later := ask(when)
		o.expect(t, "when another was asked for", id, jobStands{State: server.JobCanceled, By: later})
		time.Sleep(6 * time.Hour)
		o.expect(t, "in the end", later, jobStands{State: server.JobFailed, Code: server.CodeNotEmpty,
			Text: "the game was not updated within 6 h, because the servers that run were not all seen to be empty at one moment: 2 players on a; `l4d2ctl install --restart` stops them at once, and brings them back"})
	})
}

func TestAudienceInWords(t *testing.T) {
	t.Parallel()
	rec := func(name server.Name) *record { return newRecord(store.ServerRow{Name: name}) }
	var got []string
	for _, c := range []audience{
		{}, {people: 1, playing: []*record{rec("a")}}, {silent: []string{"a"}}, {many: true},
		{many: true, people: 3, playing: []*record{rec("a"), rec("b")}, silent: []string{"c"}},
	} {
		got = append(got, c.String())
	}
	want := "nobody at the moment; 1 player; no answer from the game; nobody at the moment; 3 players on a, b, and no answer from c"
	if diff := cmp.Diff(want, strings.Join(got, "; ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
