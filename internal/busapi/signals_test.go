package busapi_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// managed is what GetManagedObjects returns.
type managed map[dbus.ObjectPath]map[string]map[string]dbus.Variant

func (c *client) managed() (managed, *dbus.Call) {
	c.t.Helper()
	call := c.call(rootPath, standard+"ObjectManager.GetManagedObjects")
	return got[managed](c.t, call), call
}

// view is what somebody knows who adds signals up. ObservedAt is left out: no
// signal tells of it.
type view map[dbus.ObjectPath]map[string]string

func viewOf(m managed) view {
	v := view{}
	for path, faces := range m {
		v.add(path, faces[serverFace])
	}
	return v
}

func (v view) add(path dbus.ObjectPath, properties map[string]dbus.Variant) {
	v[path] = map[string]string{}
	for k, value := range properties {
		if k != "ObservedAt" {
			v[path][k] = value.String()
		}
	}
}

// apply adds a signal, which must tell something new.
func (v view) apply(s *dbus.Signal) error {
	switch s.Name {
	case standard + "ObjectManager.InterfacesAdded":
		path := s.Body[0].(dbus.ObjectPath)
		if v[path] != nil {
			return fmt.Errorf("%s was added twice", path)
		}
		v.add(path, s.Body[1].(map[string]map[string]dbus.Variant)[serverFace])
	case standard + "ObjectManager.InterfacesRemoved":
		path := s.Body[0].(dbus.ObjectPath)
		if v[path] == nil || !slices.Equal(s.Body[1].([]string), []string{serverFace}) {
			return fmt.Errorf("%v was removed", s.Body)
		}
		delete(v, path)
	case standard + "Properties.PropertiesChanged":
		changed := s.Body[1].(map[string]dbus.Variant)
		if s.Path == rootPath {
			if n, ok := changed["ServerCount"]; ok && n.Value() != uint32(len(v)) {
				return fmt.Errorf("ServerCount is told as %v of %d", n, len(v))
			}
			return nil
		}
		if v[s.Path] == nil || s.Body[0] != serverFace || len(changed) == 0 || len(s.Body[2].([]string)) != 0 {
			return fmt.Errorf("%s changed: %v", s.Path, s.Body)
		}
		for k, value := range changed {
			if v[s.Path][k] == value.String() {
				return fmt.Errorf("%s of %s did not change from %s", k, s.Path, value)
			}
			v[s.Path][k] = value.String()
		}
	}
	return nil
}

// settle waits until left4med has told of all that happened: of a last server.
func (f *fixture) settle(c *client) {
	f.backend.put("zz-last", nil)
	c.await(func(s *dbus.Signal) bool {
		return len(s.Body) == 2 && s.Body[0] == rootPath+"/server/zz_2dlast"
	})
}

func TestSignals(t *testing.T) {
	t.Parallel()
	b := newBackend()
	b.put("a", nil)
	f := newFixture(t, b)
	c := f.connect()
	c.listen()
	before, _ := c.managed()
	v := viewOf(before)
	b.put("b", nil)
	b.put("a", nil) // nothing of it
	b.put("a", func(s *server.Server) { s.State, s.MainPID = server.StateRunning, 7 })
	b.quietly("a", func(s *server.Server) { s.ObservedAt = past })
	b.put("a", func(s *server.Server) {
		s.Drift, s.DriftSince, s.Job = server.DriftNotEnabled, past, &server.Job{ID: 1}
	})
	b.put("a", func(s *server.Server) { s.Stale = true })
	b.put("a", func(s *server.Server) { s.Stale = false })
	b.put("a", func(s *server.Server) { s.Healing = &server.Healing{Attempt: 1, Limit: 5} }) // is not on the bus
	b.put("a", func(s *server.Server) { s.Drift, s.DriftSince = server.DriftNone, time.Time{} })
	b.del("b")
	b.put("b", nil)
	b.linked(false)
	c.await(func(s *dbus.Signal) bool {
		changed, _ := append(s.Body, nil, nil)[1].(map[string]dbus.Variant)
		_, ok := changed["SystemdConnected"]
		return ok
	})
	job := got[uint64](t, c.call(rootPath, managerFace+".StartServer", "a"))
	b.job(int64(job), server.JobRunning)
	b.job(int64(job), server.JobSucceeded)
	f.settle(c)

	var names []string
	counts := map[string]int{}
	c.mu.Lock()
	for _, s := range c.signals {
		if err := v.apply(s); err != nil {
			t.Error(err)
		}
		counts[s.Name]++
		switch s.Name {
		case managerFace + ".JobNew", managerFace + ".JobRemoved":
			names = append(names, fmt.Sprint(s.Name[len(managerFace)+1:], s.Path, s.Body))
		case standard + "Properties.PropertiesChanged":
			if s.Path == rootPath+"/server/a" {
				names = append(names, fmt.Sprint(slices.Sorted(maps.Keys(s.Body[1].(map[string]dbus.Variant)))))
			}
		}
	}
	c.mu.Unlock()
	same(t, "what was told of a", []string{
		"[MainPID State]", "[Drift DriftSince]", "[Stale]", "[Stale]", "[Drift DriftSince]",
		"JobNew/org/left4me/left4med1[1 a start]", "JobRemoved/org/left4me/left4med1[1 a start succeeded]",
	}, names)
	same(t, "InterfacesAdded", 3, counts[standard+"ObjectManager.InterfacesAdded"])
	same(t, "InterfacesRemoved", 1, counts[standard+"ObjectManager.InterfacesRemoved"])
	after, _ := c.managed()
	same(t, "all signals added up", viewOf(after), v)
}

// TestMissedEvents: when left4med itself has missed events, it tells of what
// differs.
func TestMissedEvents(t *testing.T) {
	t.Parallel()
	b := newBackend()
	for _, n := range []server.Name{"same", "changed", "gone", "anew"} {
		b.put(n, nil)
	}
	hold := make(chan struct{})
	b.jobs = []*server.Job{{ID: 1, Server: "same", Kind: server.JobStop, State: server.JobRunning}}
	b.servers["same"].Job = b.jobs[0]
	b.watching = func(uint64) uint64 {
		<-hold
		b.del("gone")
		b.del("anew")
		b.put("anew", func(s *server.Server) { s.State = server.StateRunning })
		b.put("new", func(s *server.Server) {
			s.Job = &server.Job{ID: 2, Server: "new", Kind: server.JobStart, State: server.JobQueued}
		})
		b.put("changed", func(s *server.Server) { s.State = server.StateFailed })
		b.put("same", func(s *server.Server) { s.Job = nil })
		b.job(1, server.JobFailed)
		return b.feed.Last() + 1000 // an id that was never given: a reset
	}
	f := newFixture(t, b)
	c := f.connect()
	c.listen()
	before, call := c.managed()
	v := viewOf(before)
	same(t, "servers before", 4, len(v))
	close(hold)
	c.await(func(s *dbus.Signal) bool { return s.Name == managerFace+".JobRemoved" })
	after, _ := c.managed()
	c.mu.Lock()
	var jobs []string
	for _, s := range c.signals {
		if s.Sequence < call.ResponseSequence {
			continue
		}
		if err := v.apply(s); err != nil {
			t.Error(err)
		}
		if s.Name == managerFace+".JobNew" || s.Name == managerFace+".JobRemoved" {
			jobs = append(jobs, fmt.Sprint(s.Name[len(managerFace)+1:], s.Body))
		}
	}
	c.mu.Unlock()
	same(t, "jobs", []string{"JobNew[2 new start]", "JobRemoved[1 same stop failed]"}, jobs)
	same(t, "all signals added up", viewOf(after), v)
	same(t, "servers after", 4, len(v))
}

// TestSignalsAddUp: while servers come, change and go at full speed, each
// answer is what all signals before it say, and no signal tells of nothing.
func TestSignalsAddUp(t *testing.T) {
	t.Parallel()
	b := newBackend()
	f := newFixture(t, b)
	c := f.connect()
	c.listen()
	type answer struct {
		view view
		at   dbus.Sequence
	}
	var answers []answer
	ask := func() {
		m, call := c.managed()
		answers = append(answers, answer{viewOf(m), call.ResponseSequence})
	}
	ask()
	turns := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() { // goes on while the answer to a question is under way
		defer close(done)
		r := rand.New(rand.NewPCG(1, 2))
		for range turns {
			for range 30 {
				churn(r, b)
			}
		}
	}()
	for range 200 {
		turns <- struct{}{}
		ask()
	}
	close(turns)
	<-done
	f.settle(c)
	ask()
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("%d signals, %d answers between them", len(c.signals), len(answers))
	v, next := answers[0].view, 0
	for _, a := range answers {
		for ; next < len(c.signals) && c.signals[next].Sequence < a.at; next++ {
			if err := v.apply(c.signals[next]); err != nil {
				t.Fatalf("signal %d: %v", next, err)
			}
		}
		same(t, "an answer and the signals before it", a.view, v)
		if t.Failed() {
			return
		}
	}
}

// churn does one thing to one of a few servers.
func churn(r *rand.Rand, b *backend) {
	n := server.Name(fmt.Sprintf("s%d", r.IntN(8)))
	switch r.IntN(6) {
	case 0:
		b.del(n)
	case 1:
		b.del(n)
		b.put(n, nil)
	default:
		b.put(n, func(s *server.Server) {
			s.State = []server.State{server.StateRunning, server.StateStopped, server.StateFailed}[r.IntN(3)]
			s.MainPID = uint32(r.IntN(4))
			s.Stale = r.IntN(2) == 0
		})
	}
}
