package e2e_test

import (
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// TestReset takes from servers what their games wrote and nothing else.
func TestReset(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.running(t, "stays")
		neighbour := l.agree(t, "stays")
		l.MustCtl(t, "initialize", "a", "--port", "27500", "--set", "sv_alltalk=1")
		settings := func() string {
			return l.shell(t, "cd /var/lib/left4me/instances/a && find . -type f -exec sha256sum {} + | sort")
		}
		before, files := l.server(t, "a"), settings()
		fresh := func(t *testing.T) {
			t.Helper()
			s := l.awaitMoment(t, "a", down)
			same(t, "the settings", before.Config, s.Config)
			same(t, "the server's id", before.ID, s.ID)
			same(t, "the instance's files", files, settings())
			same(t, "what is in the upper layer", "", l.shell(t, "ls -A /var/lib/left4me/runtime/a/upper"))
			same(t, "what is beside the servers", "a\nstays\n", l.shell(t, "ls -A /var/lib/left4me/runtime"))
			same(t, "the neighbour", told(neighbour), told(l.agree(t, "stays")))
			l.agree(t, "a")
		}
		t.Run("NeverStarted", func(t *testing.T) {
			l.MustCtl(t, "initialize", "--reset", "--yes", "a")
			fresh(t)
		})
		t.Run("Running", func(t *testing.T) {
			l.MustCtl(t, "start", "a")
			l.keep(t, "a", "something")
			l.asGame(t, "a", hostile)
			l.MustCtl(t, "initialize", "--reset", "--yes", "a")
			fresh(t)
			l.MustCtl(t, "start", "a")
			l.awaitMoment(t, "a", up)
			if out, err := l.tryAsGame(t, "a", "cat left4dead2/cfg/kept.txt || ls -d left4dead2/x"); err == nil {
				t.Errorf("what the game wrote is there after the reset:\n%s", out)
			}
			l.asGame(t, "a", "cat left4dead2/motd.txt && touch left4dead2/addons/mine")
		})
		t.Run("WinsOverAStart", func(t *testing.T) {
			l.MustCtl(t, "stop", "a")
			l.dropIn(t, "a", "[Service]\nExecStartPre=/bin/sleep 1000\n")
			c := l.api(t)
			start, err := c.Start(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			l.await(t, "a", "starting", host.InState(client.StateStarting))
			job, err := c.Reset(t.Context(), "a")
			l.succeeded(t, job, err)
			same(t, "the start", client.JobCanceled, l.ended(t, start, nil).State)
			fresh(t)
		})
		t.Run("Absent", func(t *testing.T) {
			if r := l.ctl(t, "initialize", "--reset", "--yes", "absent"); r.Code != 3 {
				t.Errorf("exit %d, want 3: %s", r.Code, r.Stderr)
			}
		})
	})
}
