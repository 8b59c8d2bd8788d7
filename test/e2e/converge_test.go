package e2e_test

import (
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestConvergence gives verbs to servers that are half way there by another
// hand: afterwards a start means enabled and running, a stop disabled and
// stopped.
func TestConvergence(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		c := l.api(t)
		start := func(t *testing.T, name string) *client.Server {
			job, err := c.Start(t.Context(), name)
			l.succeeded(t, job, err)
			l.awaitMoment(t, name, up)
			return l.agree(t, name)
		}
		stop := func(t *testing.T, name string) *client.Server {
			job, err := c.Stop(t.Context(), name)
			l.succeeded(t, job, err)
			l.awaitMoment(t, name, down)
			return l.agree(t, name)
		}

		t.Run("StartedTheOldWay", func(t *testing.T) {
			l.create(t, "old")
			l.systemctl(t, "start", unit("old"))
			before := l.shown(t, "old")
			after := start(t, "old")
			same(t, "the run", before.InvocationID, after.InvocationID)
			same(t, "the process", before.MainPID, after.MainPID)
		})
		t.Run("EnabledByHand", func(t *testing.T) {
			l.create(t, "hand")
			l.systemctl(t, "enable", unit("hand"))
			start(t, "hand")
		})
		t.Run("StopOfWhatOnlyRuns", func(t *testing.T) {
			l.create(t, "runs")
			l.systemctl(t, "start", unit("runs"))
			stop(t, "runs")
		})
		t.Run("StopOfWhatIsOnlyEnabled", func(t *testing.T) {
			l.create(t, "enabled")
			l.systemctl(t, "enable", unit("enabled"))
			stop(t, "enabled")
		})
		t.Run("AgainChangesNothing", func(t *testing.T) {
			l.create(t, "again")
			first := start(t, "again")
			second := start(t, "again")
			same(t, "the run", first.InvocationID, second.InvocationID)
			stop(t, "again")
			stop(t, "again")
		})
		t.Run("StartLimit", func(t *testing.T) {
			l.create(t, "limit")
			l.dropIn(t, "limit", quick)
			l.atStart(t, "limit", "exit 3")
			job, err := c.Start(t.Context(), "limit")
			same(t, "the start", client.JobFailed, l.ended(t, job, err).State)
			l.awaitMoment(t, "limit", dead)
			stop(t, "limit") // of a failed unit: ends stopped, not failed

			job, err = c.Start(t.Context(), "limit")
			same(t, "the second start", client.JobFailed, l.ended(t, job, err).State)
			l.awaitMoment(t, "limit", dead)
			l.MustRun(t, "rm", "/var/lib/left4me/runtime/limit/upper/standin.conf")
			start(t, "limit") // though the start limit is hit
		})
		t.Run("StartMountsAnew", func(t *testing.T) {
			// systemd unmounts a moment after the game has ended. A start that
			// comes in between must not run on the old layers; here that
			// moment lasts.
			l.create(t, "remains")
			l.write(t, "/etc/systemd/system/left4me-overlay@remains.service.d/test.conf", "[Unit]\nStopWhenUnneeded=no\n")
			l.systemctl(t, "daemon-reload")
			start(t, "remains")
			l.now(t, "remains", "exit 0")
			l.awaitMoment(t, "remains", lost)
			l.MustRun(t, "mountpoint", "--quiet", merged("remains"))
			l.MustCtl(t, "initialize", "remains", "--hostname", "Sunday")
			start(t, "remains")
			contains(t, l.MustCtl(t, "logs", "remains"), `hostname "Sunday"`)

			// A restart as well, without our doing: systemd hands it on (PartOf=).
			l.now(t, "remains", "exit 0")
			l.awaitMoment(t, "remains", lost)
			l.MustRun(t, "mountpoint", "--quiet", merged("remains"))
			l.MustCtl(t, "initialize", "remains", "--hostname", "Monday")
			l.MustCtl(t, "start", "--restart", "remains")
			contains(t, l.MustCtl(t, "logs", "remains"), `hostname "Monday"`)
		})
		t.Run("Restart", func(t *testing.T) {
			l.create(t, "afresh")
			before := start(t, "afresh")
			job, err := c.Restart(t.Context(), "afresh")
			l.succeeded(t, job, err)
			after := l.agree(t, "afresh")
			if after.InvocationID == before.InvocationID || after.MainPID == before.MainPID {
				t.Errorf("it is the same run, %s, of process %d", after.InvocationID, after.MainPID)
			}
			stop(t, "afresh")
			job, err = c.Restart(t.Context(), "afresh") // of a stopped one starts it
			l.succeeded(t, job, err)
			l.awaitMoment(t, "afresh", up)
		})
		t.Run("SettingsApplyAtTheNextStart", func(t *testing.T) {
			l.create(t, "settings")
			start(t, "settings")
			l.MustCtl(t, "initialize", "settings", "--hostname", "Friday night")
			same(t, "a restart is due", true, *l.server(t, "settings").RestartDue)
			l.MustCtl(t, "start", "--restart", "settings")
			same(t, "a restart is due", false, *l.server(t, "settings").RestartDue)
			contains(t, l.MustCtl(t, "logs", "settings"), `hostname "Friday night"`)
		})
		t.Run("RestartedBySystemctl", func(t *testing.T) {
			// The settings are in the files, so systemctl applies them as well.
			l.MustCtl(t, "initialize", "settings", "--hostname", "Saturday")
			l.systemctl(t, "restart", unit("settings"))
			l.await(t, "settings", "without a restart due", func(s *client.Server) bool { return !*s.RestartDue })
			l.agree(t, "settings")
		})
	})
}
