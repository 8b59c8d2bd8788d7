package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// modelTime is how long TestModel goes on; LEFT4MED_MODEL_TIME sets another.
const modelTime = 30 * time.Second

// TestModel draws what operators, other hands and bad luck do to a few servers,
// some of it at once, and after each round compares the API and systemctl with a
// model that knows three things of a server. LEFT4MED_CRASH_SEED repeats a run's
// choices.
func TestModel(t *testing.T) {
	t.Parallel()
	limit := modelTime
	if text := os.Getenv("LEFT4MED_MODEL_TIME"); text != "" {
		var err error
		if limit, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := newModel(t, release)
		rounds, began := 0, time.Now()
		for ; time.Since(began) < limit && !t.Failed(); rounds++ {
			m.round(t)
		}
		m.chains(t)
		t.Logf("%s: %d rounds, %d deeds in %.0f s", release, rounds, m.deeds, time.Since(began).Seconds())
	})
}

// model is what the servers of a machine should be.
type model struct {
	*lab
	rng     *rand.Rand
	servers map[string]expected
	deeds   int
}

// expected is all that decides what a server is shown as.
type expected struct{ Enabled, Masked, Running bool }

func (e expected) moment() moment {
	m := moment{client.DesiredStopped, client.StateStopped, client.DriftNone}
	if e.Enabled {
		m.Desired = client.DesiredRunning
	}
	if e.Running {
		m.State = client.StateRunning
	}
	switch {
	case e.Masked:
		m.Drift = client.DriftMasked
	case e.Enabled && !e.Running:
		m.Drift = client.DriftDown
	case e.Running && !e.Enabled:
		m.Drift = client.DriftNotEnabled
	}
	return m
}

// restless lets systemd restart a game at once and as often as it likes: the
// model knows no limit of starts, and no flapping.
const restless = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=50ms\n"

func newModel(t *testing.T, release machine.Release) *model {
	m := &model{lab: newLab(t, release), rng: seeded(t), servers: map[string]expected{}}
	m.configure(t, "[start]\nsettle = \"0s\"\n[flapping]\nrestarts = 1000\n")
	for _, name := range []string{"a", "b", "c", "d"} {
		m.create(t, name)
		m.dropIn(t, name, restless)
		m.servers[name] = expected{}
	}
	return m
}

// deed is something that is done to a server. It is drawn only where possible
// says so.
type deed struct {
	name     string
	possible func(expected) bool
	do       func(ctx context.Context, m *model, name string, now expected) error
	leads    func(*expected)
	api      bool
}

func always(expected) bool     { return true }
func unmasked(e expected) bool { return !e.Masked }
func alive(e expected) bool    { return e.Running && !e.Masked }

// byAPI is a deed through the API. A masked unit's start is refused, by its job.
func byAPI(action client.Action, leads func(*expected)) deed {
	return deed{"API " + string(action), always, func(ctx context.Context, m *model, name string, now expected) error {
		c := m.Client()
		defer c.Close()
		job, err := patient(ctx, func() (*client.Job, error) {
			r, err := c.Actions(ctx, action, []string{name})
			if err != nil || len(r.Jobs) == 0 {
				return nil, errors.Join(err, fmt.Errorf("accepted: %+v", r))
			}
			return &r.Jobs[0], nil
		})
		if err != nil {
			return err
		}
		if job, err = c.WaitJob(ctx, job.ID); err != nil {
			return err
		}
		want := "succeeded"
		if now.Masked && (now.Enabled || action != client.ActionStop) {
			want = "failed masked"
		}
		if got := jobEnd(*job); got != want {
			return fmt.Errorf("job %d ended %s, want %s: %+v", job.ID, got, want, job.Error)
		}
		return nil
	}, func(e *expected) {
		if e.Masked && action == client.ActionStop {
			e.Running = false // and it stays enabled, as systemd has it
		}
		if !e.Masked {
			leads(e)
		}
	}, true}
}

// typed is a deed in a shell.
func typed(possible func(expected) bool, leads func(*expected), args ...string) deed {
	return deed{"systemctl " + strings.Join(args, " "), possible, func(ctx context.Context, m *model, name string, _ expected) error {
		return m.Run(ctx, "systemctl", append(slices.Clone(args), unit(name))...)
	}, leads, false}
}

// killed ends when systemd has started the game again: what was before that looks
// the same.
const killed = `pid() { systemctl show --value --property=MainPID -- "$1"; }
	old=$(pid "$1")
	systemctl kill --kill-whom=main --signal=KILL -- "$1"
	until new=$(pid "$1"); [ "$new" != 0 ] && [ "$new" != "$old" ] && systemctl is-active --quiet -- "$1"; do sleep 0.02; done`

func allDeeds() []deed {
	on := func(e *expected) { e.Enabled, e.Running = true, true }
	off := func(e *expected) { e.Enabled, e.Running = false, false }
	same := func(*expected) {}
	return []deed{
		byAPI(client.ActionStart, on), byAPI(client.ActionStop, off), byAPI(client.ActionRestart, on),
		typed(unmasked, func(e *expected) { e.Running = true }, "start"),
		typed(unmasked, func(e *expected) { e.Running = true }, "restart"),
		typed(always, func(e *expected) { e.Running = false }, "stop"),
		typed(unmasked, func(e *expected) { e.Enabled = true }, "enable"),
		typed(unmasked, func(e *expected) { e.Enabled = false }, "disable"),
		typed(unmasked, on, "enable", "--now"),
		typed(unmasked, off, "disable", "--now"),
		typed(unmasked, func(e *expected) { e.Masked = true }, "mask"),
		typed(func(e expected) bool { return e.Masked }, func(e *expected) { e.Masked = false }, "unmask"),
		{"kill -9", alive, func(ctx context.Context, m *model, name string, _ expected) error {
			return m.Run(ctx, "sh", "-euc", killed, "sh", unit(name))
		}, same, false},
		{"exit", alive, func(ctx context.Context, m *model, name string, _ expected) error {
			c := m.Client()
			defer c.Close()
			s, err := patient(ctx, func() (*client.Server, error) { return c.Server(ctx, name) })
			if err != nil {
				return err
			}
			return m.Standin(ctx, s.Config.Port, "exit 0")
		}, func(e *expected) { e.Running = false }, false},
	}
}

// disturbances change nothing that is shown.
func disturbances() [][]string {
	return [][]string{
		{"systemctl", "daemon-reload"}, {"systemctl", "daemon-reexec"}, {"systemctl", "restart", "left4med.service"},
		{"systemctl", "kill", "--signal=KILL", "left4med.service"},
	}
}

// round does one thing to each of some servers, at once, and perhaps disturbs.
func (m *model) round(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var said []string
	ctx := within(t, "the deeds of a round are done")
	run := func(what string, do func() error) {
		said = append(said, what)
		wg.Go(func() {
			if err := do(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	var disturbance []string
	if m.rng.IntN(4) == 0 {
		disturbance = disturbances()[m.rng.IntN(len(disturbances()))]
		run(strings.Join(disturbance, " "), func() error { return m.Run(ctx, disturbance[0], disturbance[1:]...) })
	}
	// systemctl gives up when systemd executes itself anew below it; left4med must not.
	apiOnly := slices.Contains(disturbance, "daemon-reexec")
	names := []string{"a", "b", "c", "d"}
	m.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names[:1+m.rng.IntN(3)] {
		now := m.servers[name]
		all := slices.DeleteFunc(allDeeds(), func(d deed) bool { return !d.possible(now) || apiOnly && !d.api })
		d := all[m.rng.IntN(len(all))]
		run(d.name+" "+name, func() error { return d.do(ctx, m, name, now) })
		d.leads(&now)
		m.servers[name] = now
		m.deeds++
	}
	wg.Wait()
	m.compare(t, strings.Join(said, "; "))
}

// compare waits until the API shows what the model says, and then wants systemctl
// to say the same.
func (m *model) compare(t *testing.T, after string) {
	t.Helper()
	for _, name := range []string{"a", "b", "c", "d"} {
		want := m.servers[name].moment()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		s, err := m.Await(ctx, name, func(s *client.Server) bool {
			return s != nil && momentOf(s) == want && s.Job == nil && !s.Stale
		})
		cancel()
		if err != nil {
			t.Fatalf("after %s: %s is %+v, want %+v", after, name, momentOf(m.server(t, name)), want)
		}
		if agreed := m.agree(t, name); momentOf(agreed) != want {
			t.Fatalf("after %s: %s came to be %+v, then %+v; want %+v", after, name, momentOf(s), momentOf(agreed), want)
		}
	}
}

// chains wants what the history says of each server to go from one thing to the
// next, and to end with what is shown.
func (m *model) chains(t *testing.T) {
	t.Helper()
	type key struct {
		server string
		kind   client.HistoryKind
	}
	last := map[key]string{}
	for before := int64(0); ; {
		page, err := m.api(t).History(t.Context(), client.HistoryFilter{Limit: 1000, Before: before})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page { // newest first
			switch e.Kind {
			case client.HistoryState, client.HistoryDesired, client.HistoryDrift:
				k := key{e.Server, e.Kind}
				if next, seen := last[k]; seen && next != e.To {
					t.Errorf("the history says that the %s of %s went to %s, and then from %s", e.Kind, e.Server, e.To, next)
				} else if want := m.shownAs(t, e.Server, e.Kind); !seen && want != e.To {
					t.Errorf("the history ends with the %s %s of %s, which is %s", e.Kind, e.To, e.Server, want)
				}
				last[k] = e.From
			}
			before = e.ID
		}
		if len(page) < 1000 {
			return
		}
	}
}

func (m *model) shownAs(t *testing.T, name string, kind client.HistoryKind) string {
	t.Helper()
	s := m.servers[name].moment()
	switch kind {
	case client.HistoryState:
		return string(s.State)
	case client.HistoryDesired:
		return string(s.Desired)
	}
	return string(s.Drift)
}
