package e2e_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// quick makes systemd's own restarts follow at once; the shipped unit waits five
// seconds.
const quick = "[Service]\nRestartSec=100ms\n"

// TestTruth changes servers behind left4med's back. Each time the API must say
// what systemctl says, and no event may ever have called a restart a loss.
func TestTruth(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		for _, c := range []struct {
			name string
			test func(*testing.T, *lab)
		}{
			{"Kill", truthKill},
			{"StopAndStart", truthStopAndStart},
			{"Restart", truthRestart},
			{"Links", truthLinks},
			{"DisableNow", truthDisableNow},
			{"Mask", truthMask},
			{"CrashLoop", truthCrashLoop},
			{"ExitByItself", truthExitByItself},
			{"Reload", truthReload},
			{"Flapping", truthFlapping},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, l) })
		}
	})
}

// truthKill uses the unit as it is shipped.
func truthKill(t *testing.T, l *lab) {
	l.running(t, "kill")
	before := l.agree(t, "kill")
	w := l.watch(t)
	l.MustRun(t, "kill", "-KILL", fmt.Sprint(before.MainPID))
	l.await(t, "kill", "waiting for systemd's restart", func(s *client.Server) bool { return s.State == client.StateRestarting })
	after := l.await(t, "kill", "running with a new process", func(s *client.Server) bool {
		return s.State == client.StateRunning && s.MainPID != before.MainPID && s.MainPID != 0
	})
	l.agree(t, "kill")
	same(t, "restarts by systemd", uint32(1), *after.Restarts)
	same(t, "seen by", "signal", string(after.ObservedBy))
	noDrift(t, w, "kill", client.StateRunning, client.StateRestarting, client.StateRunning)
}

// noDrift wants every event to have called a server that ran meant to run and
// without drift, and its states from then on to have been these in this order,
// starting and stopping left out.
func noDrift(t *testing.T, w *watcher, name string, states ...client.State) {
	t.Helper()
	seen := []client.State{client.StateRunning}
	for _, m := range w.story(t, name) {
		if m.Drift != client.DriftNone || m.Desired != client.DesiredRunning {
			t.Errorf("an event called %s %+v", name, m)
		}
		if m.State != client.StateStarting && m.State != client.StateStopping {
			seen = append(seen, m.State)
		}
	}
	same(t, "the states of "+name, states, slices.Compact(seen))
}

func truthStopAndStart(t *testing.T, l *lab) {
	l.running(t, "stop")
	l.agree(t, "stop")
	l.systemctl(t, "stop", unit("stop"))
	s := l.awaitMoment(t, "stop", lost)
	l.agree(t, "stop")
	if s.DriftSince.IsZero() || s.DriftSince.Before(s.StateSince.Add(-1e9)) {
		t.Errorf("the drift is since %s, the state since %s", s.DriftSince, s.StateSince)
	}
	same(t, "seen by", "signal", string(s.ObservedBy))

	l.systemctl(t, "start", unit("stop"))
	s = l.awaitMoment(t, "stop", up)
	l.agree(t, "stop")
	same(t, "no drift has no time", true, s.DriftSince.IsZero())
}

// truthRestart watches a restart by another hand: nothing was ever lost.
func truthRestart(t *testing.T, l *lab) {
	l.running(t, "restart")
	before := l.agree(t, "restart")
	w := l.watch(t)
	l.systemctl(t, "restart", unit("restart"))
	after := l.agree(t, "restart")
	if after.InvocationID == before.InvocationID || after.MainPID == before.MainPID {
		t.Errorf("the restart is not seen: process %d, run %s", after.MainPID, after.InvocationID)
	}
	for _, m := range w.story(t, "restart") {
		if m.Drift != client.DriftNone {
			t.Errorf("an event called it %+v", m)
		}
	}
}

// truthLinks turns links with no reload of systemd, as "ln" and "rm" do.
func truthLinks(t *testing.T, l *lab) {
	const link = "/etc/systemd/system/multi-user.target.wants/left4me-server@links.service"
	l.create(t, "links")
	l.MustRun(t, "ln", "-s", "/lib/systemd/system/left4me-server@.service", link)
	l.awaitMoment(t, "links", lost)
	l.MustRun(t, "rm", link)
	l.awaitMoment(t, "links", down)

	l.systemctl(t, "start", unit("links"))
	l.awaitMoment(t, "links", moment{client.DesiredStopped, client.StateRunning, client.DriftNotEnabled})
	l.systemctl(t, "enable", "--no-reload", unit("links"))
	l.awaitMoment(t, "links", up)
	l.agree(t, "links")
	l.systemctl(t, "disable", "--no-reload", unit("links"))
	l.awaitMoment(t, "links", moment{client.DesiredStopped, client.StateRunning, client.DriftNotEnabled})
	l.agree(t, "links")

	// A link below /run does not survive a reboot, so it is no intent.
	l.systemctl(t, "enable", "--runtime", unit("links"))
	l.resync(t)
	same(t, "enabled for this boot only", client.DesiredStopped, l.server(t, "links").Desired)
	l.systemctl(t, "disable", "--runtime", unit("links"))
}

func truthDisableNow(t *testing.T, l *lab) {
	l.running(t, "disable")
	l.systemctl(t, "disable", "--now", unit("disable"))
	l.awaitMoment(t, "disable", down)
	l.agree(t, "disable")
	l.systemctl(t, "enable", "--now", unit("disable"))
	l.awaitMoment(t, "disable", up)
	l.agree(t, "disable")
}

func truthMask(t *testing.T, l *lab) {
	l.running(t, "mask")
	l.systemctl(t, "mask", unit("mask"))
	l.awaitMoment(t, "mask", moment{client.DesiredRunning, client.StateRunning, client.DriftMasked})
	l.systemctl(t, "stop", unit("mask"))
	l.awaitMoment(t, "mask", moment{client.DesiredRunning, client.StateStopped, client.DriftMasked})
	same(t, "the unit file", "masked", l.server(t, "mask").UnitFileState)
	l.systemctl(t, "unmask", unit("mask"))
	l.awaitMoment(t, "mask", lost)

	l.MustCtl(t, "start", "mask")
	l.systemctl(t, "mask", unit("mask"))
	// systemd says that it has disabled a masked unit, and leaves its link.
	for _, command := range [][]string{{"stop", "mask"}, {"delete", "--yes", "mask"}} {
		r := l.ctl(t, command...)
		same(t, "the exit status", 6, r.Code)
		contains(t, r.Stderr, "systemctl unmask "+unit("mask"))
		l.awaitMoment(t, "mask", moment{client.DesiredRunning, client.StateStopped, client.DriftMasked})
	}
	l.systemctl(t, "unmask", unit("mask"))
	l.MustCtl(t, "stop", "mask")
	l.awaitMoment(t, "mask", down)
	l.systemctl(t, "enable", unit("mask"))
	l.awaitMoment(t, "mask", lost)
	l.agree(t, "mask")
	l.MustCtl(t, "start", "mask")
	l.awaitMoment(t, "mask", up)
	l.agree(t, "mask")
}

// truthCrashLoop lets systemd give up, forgets that by hand, and starts again.
func truthCrashLoop(t *testing.T, l *lab) {
	l.create(t, "loop")
	l.dropIn(t, "loop", quick)
	l.MustCtl(t, "start", "loop")
	w := l.watch(t)
	l.atStartRunning(t, "loop", "crash")
	l.MustRun(t, "kill", "-SEGV", fmt.Sprint(l.server(t, "loop").MainPID))
	s := l.awaitMoment(t, "loop", dead)
	l.agree(t, "loop")
	if s.Result == "success" || s.DriftSince.IsZero() {
		t.Errorf("a crash loop ended with result %q, drift since %s", s.Result, s.DriftSince)
	}
	story := w.story(t, "loop")
	for _, m := range story[:len(story)-1] {
		if m.Drift != client.DriftNone {
			t.Errorf("before systemd gave up, an event called it %+v", m)
		}
	}
	l.systemctl(t, "reset-failed", unit("loop"))
	l.awaitMoment(t, "loop", lost)
	l.agree(t, "loop")
	l.systemctl(t, "stop", "left4me-overlay@loop.service") // below a mount nothing may be changed
	l.MustRun(t, "rm", "/var/lib/left4me/runtime/loop/upper/standin.conf")
	l.systemctl(t, "start", unit("loop"))
	l.awaitMoment(t, "loop", up)
	l.agree(t, "loop")
}

// atStartRunning is atStart for a server that runs: its tree is mounted, and
// may be changed through the mount alone.
func (l *lab) atStartRunning(t *testing.T, name, directive string) {
	t.Helper()
	l.write(t, merged(name)+"/standin.conf", directive+"\n")
}

// truthFlapping crashes more often than is allowed and too seldom for systemd to
// give up: no state tells of it.
func truthFlapping(t *testing.T, l *lab) {
	l.configure(t, "[start]\nsettle = \"1s\"\n[flapping]\nrestarts = 2\n")
	l.create(t, "flap")
	l.dropIn(t, "flap", restless)
	l.MustCtl(t, "start", "flap")
	w := l.watch(t)
	flapping := moment{client.DesiredRunning, client.StateRunning, client.DriftFlapping}
	for n := range 3 {
		before := l.agree(t, "flap")
		if n > 0 {
			same(t, "what it is before the third restart", up, momentOf(before))
		}
		l.MustRun(t, "kill", "-KILL", fmt.Sprint(before.MainPID))
		l.await(t, "flap", "running with a new process", func(s *client.Server) bool {
			return s.State == client.StateRunning && s.MainPID != before.MainPID && s.MainPID != 0
		})
	}
	s := l.awaitMoment(t, "flap", flapping)
	same(t, "seen by", "signal", string(s.ObservedBy))
	l.agree(t, "flap")
	told := w.story(t, "flap")
	same(t, "the first drift that an event told of", client.DriftFlapping, told[slices.IndexFunc(told, func(m moment) bool { return m.Drift != client.DriftNone })].Drift)
	l.MustCtl(t, "start", "--restart", "flap") // counts anew
	l.awaitMoment(t, "flap", up)
	l.agree(t, "flap")
}

// truthExitByItself is a game that ends without fault, which systemd does not
// restart.
func truthExitByItself(t *testing.T, l *lab) {
	l.running(t, "leave")
	l.now(t, "leave", "exit 0")
	s := l.awaitMoment(t, "leave", lost)
	l.agree(t, "leave")
	same(t, "the result", "success", s.Result)
}

// truthReload reloads and re-executes systemd, with games running, failed and
// stopped: nothing may look different afterwards, or in between.
func truthReload(t *testing.T, l *lab) {
	before := l.moments(t)
	w := l.watch(t)
	l.systemctl(t, "daemon-reload")
	l.systemctl(t, "daemon-reexec")
	// The new connection tells as the old one did.
	l.systemctl(t, "stop", unit("kill"))
	l.awaitMoment(t, "kill", lost)
	l.systemctl(t, "start", unit("kill"))
	l.awaitMoment(t, "kill", up)
	same(t, "after a reload and a re-execution of systemd", before, l.moments(t))
	for name, m := range before {
		l.agree(t, name)
		if name == "kill" {
			continue
		}
		for _, seen := range w.story(t, name) {
			same(t, "what an event said of "+name, m, seen)
		}
	}
	health, err := l.api(t).Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the link to systemd", true, health.Systemd.Connected && health.Systemd.Reconnects > 0)
}
