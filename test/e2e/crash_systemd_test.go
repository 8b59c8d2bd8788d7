package e2e_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// Whatever systemd does to itself while 50 servers start, and while they run,
// no job fails and nothing is missed.
func TestSystemdReexecutesAndReloads(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := newCrashHost(t, release)
		c := h.api(t)
		names := numbered("s", 50)
		h.create(t, c, names...)
		for _, disturbance := range []struct {
			name     string
			commands [][]string
			severs   bool // the connection to systemd breaks
		}{
			{"daemon-reexec", [][]string{{"daemon-reexec"}, {"daemon-reexec"}}, true},
			{"daemon-reload", slices.Repeat([][]string{{"daemon-reload"}}, 10), false},
		} {
			t.Run(disturbance.name, func(t *testing.T) {
				h.act(t, c, client.ActionStop, names...)
				before := h.reconnects(t, c)
				cursor := h.cursor(t)
				h.disturb(t, c, names, disturbance.commands)
				h.checkOneRun(t, h.check(t, c), cursor, names)

				// And while they run: the next thing that happens is seen.
				h.MustRun(t, "systemctl", disturbance.commands[0]...)
				h.MustRun(t, "systemctl", "kill", "--signal=KILL", unitName(names[0]))
				h.awaitOtherRun(t, c, names[0], h.runsSince(t, cursor)[names[0]][0])
				h.check(t, c)
				if after := h.reconnects(t, c); disturbance.severs != (after > before) {
					t.Errorf("health tells of %d reconnections, and %d before", after, before)
				}
			})
		}
	})
}

// disturb starts the servers and has systemd do something to itself each time
// that some more of them have come to run. All starts must succeed.
func (h *crashHost) disturb(t *testing.T, c *client.Client, names []string, commands [][]string) {
	t.Helper()
	ctx, stop := context.WithCancel(waitLimit(t, "the servers start"))
	defer stop()
	events, _ := eventTicks(ctx, c)
	result, err := c.Actions(ctx, client.ActionStart, names)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		for range 20 {
			select {
			case <-events:
			case <-time.After(time.Second): // all is over: then it comes too late to disturb
			}
		}
		h.MustRun(t, "systemctl", command...)
	}
	if diff := cmp.Diff(all("succeeded", names...), h.ended(t, c, result.Jobs...)); diff != "" {
		t.Errorf("the start of %d (-want +got):\n%s", len(names), diff)
	}
}

func (h *crashHost) reconnects(t *testing.T, c *client.Client) uint64 {
	t.Helper()
	health, err := c.Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return health.Systemd.Reconnects
}

// awaitOtherRun waits until the server runs by another run than that one.
func (h *crashHost) awaitOtherRun(t *testing.T, c *client.Client, name, run string) {
	t.Helper()
	_, err := h.Await(waitLimit(t, name+" runs again"), name, func(s *client.Server) bool {
		return s != nil && s.State == client.StateRunning && s.InvocationID != run
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dbus-daemon is nothing to us: dead, it changes nothing, not even for a daemon
// that starts meanwhile.
func TestDBusDaemonKilled(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := newCrashHost(t, release)
		c := h.api(t)
		names := numbered("d", 6)
		h.create(t, c, names...)
		h.act(t, c, client.ActionStart, names[:3]...)
		cursor, before := h.cursor(t), h.reconnects(t, c)

		h.MustRun(t, "systemctl", "kill", "--signal=KILL", "dbus.service")
		// The socket goes too, or the next who asks brings it back.
		h.MustRun(t, "systemctl", "stop", "dbus.socket", "dbus.service")
		if err := h.Run(t.Context(), "busctl", "--system", "list"); err == nil {
			t.Fatal("the bus answers still")
		}
		h.act(t, c, client.ActionStart, names[3:]...)
		h.checkOneRun(t, h.check(t, c), cursor, names[3:])
		if after := h.reconnects(t, c); after != before {
			t.Errorf("health tells of %d reconnections, and %d before: dbus-daemon is not systemd", after, before)
		}
		h.MustRun(t, "systemctl", "restart", "left4med.service")
		h.act(t, c, client.ActionRestart, names[:3]...)
		h.act(t, c, client.ActionStop, names[5])
		h.MustRun(t, "systemctl", "start", "dbus.socket", "dbus.service")
		h.check(t, c)
	})
}

// While the disk of the database is full, what was accepted is not lost, what is
// new is refused with the reason, and when there is space again all ends.
func TestDiskFullWhileJobsRun(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := newCrashHost(t, release)
		h.MustRun(t, "systemctl", "stop", "left4med.service")
		h.MustRun(t, "mount", "-t", "tmpfs", "-o", "size=8M,mode=0700", "tmpfs", "/var/lib/left4med")
		h.write(t, "/etc/left4me/left4med.toml", "[start]\nsettle = \"3s\"\n")
		h.MustRun(t, "systemctl", "start", "left4med.service")
		c := h.api(t)
		names := numbered("f", 8)
		h.create(t, c, append([]string{"other"}, names...)...)
		cursor := h.cursor(t)
		// Half of them are up, and only their end is not stored yet; the others
		// were only just accepted.
		early, err := c.Actions(t.Context(), client.ActionStart, names[:4])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names[:4] {
			if _, err := h.Await(waitLimit(t, name+" is up"), name, func(s *client.Server) bool {
				return s != nil && s.ActiveState == "active"
			}); err != nil {
				t.Fatal(err)
			}
		}
		late, err := c.Actions(t.Context(), client.ActionStart, names[4:])
		if err != nil {
			t.Fatal(err)
		}
		// cat ends with "no space left".
		_ = h.Run(t.Context(), "sh", "-c", "cat /dev/zero >/var/lib/left4med/filler")
		accepted := slices.Concat(early.Jobs, late.Jobs, h.untilRefused(t, c))
		h.MustRun(t, "rm", "/var/lib/left4med/filler")
		ends := h.ended(t, c, accepted...)
		delete(ends, "other")
		if diff := cmp.Diff(all("succeeded", names...), ends); diff != "" {
			t.Errorf("the jobs after the disk was full (-want +got):\n%s", diff)
		}
		h.checkOneRun(t, h.check(t, c), cursor, append(names, h.otherRuns(t, c)...))
	})
}

// otherRuns names the other server when it runs.
func (h *crashHost) otherRuns(t *testing.T, c *client.Client) []string {
	t.Helper()
	if s, err := c.Server(t.Context(), "other"); err != nil || s.State != client.StateRunning {
		return nil
	}
	return []string{"other"}
}

// untilRefused asks for things until the disk has no page left for one more job,
// and returns the jobs that were accepted before. There may be room for a job
// and none for its end: such a job is in nobody's way, and is not waited for.
func (h *crashHost) untilRefused(t *testing.T, c *client.Client) []client.Job {
	t.Helper()
	var accepted []client.Job
	for ctx := waitLimit(t, "a job is refused, for the disk is full"); ; {
		job, err := c.Start(ctx, "other")
		var refused *client.Error
		switch {
		case errors.As(err, &refused) && refused.Code == client.CodeStorage && strings.Contains(refused.Detail, "space"):
			return accepted
		case err != nil:
			t.Fatalf("a start on a full disk: %v; want it refused with code %s", err, client.CodeStorage)
		}
		if n := len(accepted); n == 0 || accepted[n-1].ID != job.ID {
			accepted = append(accepted, *job)
		}
		soon, cancel := context.WithTimeout(ctx, time.Second)
		_, err = c.WaitJob(soon, job.ID)
		cancel()
		if err != nil && soon.Err() == nil {
			t.Fatal(err)
		}
	}
}
