package e2e_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// cut is a job whose daemon is killed at a point and stays away while somebody
// else works on the server by hand. Each has a server of its own.
type cut struct {
	server string
	ask    func(t *testing.T, c *client.Client, name string) error
	runs   bool // the server runs before
	point  string
	hand   []string // what systemctl is told meanwhile, before the unit's name

	end   string // of the job
	after string // what the server is then: "enabled active", "gone"
}

func askStart(t *testing.T, c *client.Client, name string) error {
	_, err := c.Start(t.Context(), name)
	return err
}

func askStop(t *testing.T, c *client.Client, name string) error {
	_, err := c.Stop(t.Context(), name)
	return err
}

func askDelete(t *testing.T, c *client.Client, name string) error {
	_, err := c.Delete(t.Context(), name)
	return err
}

func askReset(t *testing.T, c *client.Client, name string) error {
	_, err := c.Reset(t.Context(), name)
	return err
}

// cuts are the cases. Where a hand changes no link, as `disable --now` does not
// before the job has made one, nothing tells of it, and the job goes on.
func cuts() []cut {
	disable, enable := []string{"disable", "--now"}, []string{"enable", "--now"}
	const on, off, overtaken = "enabled active", "disabled inactive", "canceled overtaken"
	return []cut{
		{server: "start-linked", ask: askStart, point: "links changed", hand: disable, end: overtaken, after: off},
		{server: "start-started", ask: askStart, point: "started", hand: disable, end: overtaken, after: off},
		{server: "start-over", ask: askStart, point: "work over", hand: disable, end: overtaken, after: off},
		{server: "start-again", ask: askStart, runs: true, point: "step noted", hand: disable, end: overtaken, after: off},
		{server: "start-inserted", ask: askStart, point: "jobs inserted", hand: disable, end: "succeeded", after: on},
		{server: "start-by-hand", ask: askStart, point: "links noted", hand: enable, end: "succeeded", after: on},
		{server: "stop-linked", ask: askStop, runs: true, point: "links changed", hand: enable, end: overtaken, after: on},
		{server: "stop-stopped", ask: askStop, runs: true, point: "stopped", hand: enable, end: overtaken, after: on},
		{server: "reset-unmounted", ask: askReset, runs: true, point: "unmounted", hand: enable, end: overtaken, after: on},
		{server: "reset-retired", ask: askReset, runs: true, point: "retired", hand: []string{"enable"}, end: "succeeded", after: off},
		{server: "delete-inserted", ask: askDelete, point: "jobs inserted", hand: enable, end: overtaken, after: on},
		{server: "delete-linked", ask: askDelete, runs: true, point: "links changed", hand: enable, end: overtaken, after: on},
		{server: "delete-unmounted", ask: askDelete, runs: true, point: "unmounted", hand: enable, end: overtaken, after: on},
		{server: "delete-retired", ask: askDelete, runs: true, point: "retired", hand: []string{"enable"}, end: "succeeded", after: "gone"},
		{server: "delete-removed", ask: askDelete, runs: true, point: "files removed", hand: []string{"enable"}, end: "succeeded", after: "gone"},
	}
}

// A job that is taken up again does not undo what somebody did since.
func TestResumedJobsGiveWay(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := newCrashHost(t, release)
		h.useFaultyDaemon(t)
		// Killed, it stays away until it is started by hand.
		h.write(t, "/etc/systemd/system/left4med.service.d/test.conf", "[Service]\nRestart=no\n")
		h.MustRun(t, "systemctl", "daemon-reload")
		for _, test := range cuts() {
			t.Run(test.server, func(t *testing.T) {
				job := h.cutOff(t, test)
				h.MustRun(t, "systemctl", append(test.hand, unitName(test.server))...)
				if test.end == "canceled overtaken" && test.server == "delete-linked" {
					// Killed once more while it takes the deletion back.
					h.arm(t, "deletion taken back", 1)
					_ = h.Run(t.Context(), "systemctl", "start", "left4med.service") // it dies while it starts
					if h.disarm(t) {
						t.Error("the daemon was not killed while it took a deletion back")
					}
					h.MustRun(t, "systemctl", "stop", "left4med.service")
				}
				h.MustRun(t, "systemctl", "start", "left4med.service")
				h.checkEnd(t, job, test.server, test.end, test.after)
			})
		}
	})
}

// cutOff asks for the job and returns its id, with the daemon dead and its unit
// stopped.
func (h *crashHost) cutOff(t *testing.T, test cut) (job int64) {
	t.Helper()
	c := h.Client()
	defer c.Close()
	h.create(t, c, test.server)
	if test.runs {
		h.act(t, c, client.ActionStart, test.server)
	}
	jobs, err := c.Jobs(t.Context(), client.JobsFilter{Limit: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("the newest job: %v, %v", jobs, err)
	}
	victim, err := h.daemonProcess(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Release()
	h.arm(t, test.point, 1)
	if err := ignoreLost(test.ask(t, c, test.server)); err != nil {
		t.Fatal(err)
	}
	if err := awaitDeath(waitLimit(t, "the daemon passes "+test.point), victim); err != nil {
		t.Fatal(err)
	}
	// The socket may have had systemd start it anew already, for a request that
	// was lost: then nothing was cut off.
	h.MustRun(t, "systemctl", "stop", "left4med.service")
	return jobs[0].ID + 1
}

// checkEnd compares how the job ended and what is there.
func (h *crashHost) checkEnd(t *testing.T, job int64, name, end, after string) {
	t.Helper()
	c := h.Client()
	defer c.Close()
	done, err := c.WaitJob(waitLimit(t, "the job ends"), job)
	if err != nil {
		t.Fatal(err)
	}
	if got := jobEnd(*done); got != end {
		t.Errorf("the %s job ended %q (%+v), want %q", done.Kind, got, done.Error, end)
	}
	is := "gone"
	if s, there := h.check(t, c)[name]; there {
		is = s.UnitFileState + " " + s.ActiveState
	}
	if is != after {
		t.Errorf("%s is %s, want %s", name, is, after)
	}
}

// A start that a reboot cut off is over, whoever disabled the server before the
// reboot or after it, or nobody.
func TestJobsEndWithTheBoot(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := newCrashHost(t, release)
		h.useFaultyDaemon(t)
		h.write(t, "/etc/systemd/system/left4med.service.d/test.conf", "[Service]\nRestart=no\n")
		h.MustRun(t, "systemctl", "daemon-reload")
		away := func(verb string) {
			h.MustRun(t, "systemctl", verb, "left4med.service", "left4med.socket")
		}
		reboot := func() {
			if err := h.Reboot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}

		before := h.cutOff(t, cut{server: "before", ask: askStart, point: "started"})
		away("mask")
		h.MustRun(t, "systemctl", "disable", "--now", unitName("before"))
		reboot()
		away("unmask")
		h.MustRun(t, "systemctl", "start", "left4med.socket", "left4med.service")
		h.checkEnd(t, before, "before", "canceled overtaken", "disabled inactive")

		after := h.cutOff(t, cut{server: "after", ask: askStart, point: "links changed"})
		away("mask")
		reboot()
		h.MustRun(t, "systemctl", "disable", "--now", unitName("after"))
		away("unmask")
		h.MustRun(t, "systemctl", "start", "left4med.socket", "left4med.service")
		h.checkEnd(t, after, "after", "canceled overtaken", "disabled inactive")

		// With nobody's hand, and the daemon started by the boot itself.
		nobody := h.cutOff(t, cut{server: "nobody", ask: askStart, point: "jobs inserted"})
		reboot()
		h.checkEnd(t, nobody, "nobody", "canceled overtaken", "disabled inactive")
		gone := h.cutOff(t, cut{server: "gone", ask: askDelete, runs: true, point: "retired"})
		reboot()
		h.checkEnd(t, gone, "gone", "succeeded", "gone")
		reset := h.cutOff(t, cut{server: "reset", ask: askReset, runs: true, point: "retired"})
		reboot()
		h.checkEnd(t, reset, "reset", "succeeded", "disabled inactive")
	})
}

// A power cut right after the answer loses no job: it is there, and has ended.
func TestPowerCutAfterTheAnswer(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := newCrashHost(t, release)
		c := h.api(t)
		names := numbered("p", 10)
		h.create(t, c, names...)
		result, err := c.Actions(t.Context(), client.ActionStart, names)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.PowerCut(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = h.api(t)
		ends := h.ended(t, c, result.Jobs...)
		for name, end := range ends {
			if end == "succeeded" { // done before the cut
				ends[name] = "canceled overtaken"
			}
		}
		if diff := cmp.Diff(all("canceled overtaken", names...), ends); diff != "" {
			t.Errorf("the jobs after the power cut (-want +got):\n%s", diff)
		}
		h.check(t, c)
	})
}
