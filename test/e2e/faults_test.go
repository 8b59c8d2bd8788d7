package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// variant is how the daemon learns what happens.
type variant struct {
	name     string
	settings string
	deaf     bool // systemd's signals are dropped, so that the resync alone tells
}

func variants() []variant {
	return []variant{
		{name: "AsShipped"},
		{name: "SignalsAlone", settings: "[resync]\ninterval = \"1h\"\n"},
		{name: "ResyncAlone", settings: "[resync]\ninterval = \"1s\"\n", deaf: true},
	}
}

// faultLab is a machine that is put through every fault, one after the other.
// Between two of them its servers are at rest.
type faultLab struct {
	*lab
	variant
	read int64 // the newest entry of the history that was compared
}

// TestFaults lets happen to a host what happens to hosts. Each time, and however
// left4med learns of it, the API must say what systemctl says, each job must have
// ended once, and the history must tell that and nothing else.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			machine.Each(t, func(t *testing.T, release machine.Release) {
				f := newFaultLab(t, release, v)
				for _, x := range faults() {
					if !t.Run(x.name, func(t *testing.T) { f.goThrough(t, x) }) {
						return // what follows would only say the same
					}
				}
			})
		})
	}
}

// The servers, and what each is between two faults. Nothing is ever done to
// "run", and "loop" alone has systemd's start limit.
func rest() map[string]moment {
	return map[string]moment{"a": up, "b": up, "idle": down, "loop": up, "run": up}
}

func newFaultLab(t *testing.T, release machine.Release, v variant) *faultLab {
	t.Helper()
	f := &faultLab{lab: &lab{newCrashHost(t, release).Host}, variant: v}
	if v.deaf {
		(&crashHost{f.Host}).useFaultyDaemon(t)
		if err := os.WriteFile(f.DiskPath(state+"/fault.deaf"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.write(t, "/etc/systemd/system/left4me-server@.service.d/test.conf", "[Unit]\nStartLimitIntervalSec=0\n"+quick)
	f.dropIn(t, "loop", quick) // takes the place of the other
	f.configure(t, v.settings+"[start]\nsettle = \"300ms\"\n[flapping]\nrestarts = 1000\n")
	f.create(t, "idle")
	f.running(t, "a", "b", "loop", "run")
	for _, e := range f.newEntries(t) {
		f.read = e.ID
	}
	return f
}

// fault is something that happens, and is over again at its end.
type fault struct {
	name    string
	happens func(t *testing.T, f *faultLab)
	passing []string // states and drifts that may be seen for a moment, or not
	rows    []row    // what the history must tell, without those
}

func (f *faultLab) goThrough(t *testing.T, x fault) {
	run := f.server(t, "run").InvocationID
	x.happens(t, f)
	f.atRest(t)
	same(t, "the run that nobody touched", run, f.server(t, "run").InvocationID)
	if x.rows != nil {
		f.compareHistory(t, x)
	}
}

// atRest wants all servers to be as between two faults, and the API to say of
// them what systemctl says: deaf, after a single resync.
func (f *faultLab) atRest(t *testing.T) {
	t.Helper()
	want := rest()
	if f.deaf {
		f.oneResync(t)
		same(t, "the servers after one resync", want, f.moments(t))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		f.awaitMoment(t, name, want[name])
		s := f.agree(t, name)
		if s.Stale || s.ObservedAt.IsZero() {
			t.Errorf("%s is stale: %v, last observed %s", name, s.Stale, s.ObservedAt)
		}
	}
}

// oneResync waits for the end of a resync that begins from now on.
func (f *faultLab) oneResync(t *testing.T) {
	t.Helper()
	c, ctx, asked := f.api(t), within(t, "a resync"), time.Now()
	for {
		h, err := c.Health(ctx)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Duration(h.Resync.LastMillis * float64(time.Millisecond))
		if h.Resync.LastAt.Add(-took).After(asked) {
			return
		}
		if !pause(ctx) { // a resync that finds nothing is no event
			t.Fatal(context.Cause(ctx))
		}
	}
}

// kill kills a server's process and waits until systemd has replaced it.
func (f *faultLab) kill(t *testing.T, name string, meanwhile func()) {
	t.Helper()
	before := f.shown(t, name)
	f.MustRun(t, "kill", "-KILL", fmt.Sprint(before.MainPID))
	meanwhile()
	f.await(t, name, "running with a new process", func(s *client.Server) bool {
		return s.State == client.StateRunning && s.InvocationID != before.InvocationID && s.MainPID != 0
	})
}
