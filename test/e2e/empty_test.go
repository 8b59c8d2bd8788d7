package e2e_test

import (
	"context"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestRestartWhenNobodyPlays has a player come and go on a game that tells so over
// the network, while a restart waits for it and the daemon is restarted.
func TestRestartWhenNobodyPlays(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.configure(t, "[start]\nsettle = \"1s\"\n[when_empty]\ngrace = \"1s\"\n")
		l.running(t, "a")
		l.now(t, "a", "join kim")
		run := func() string { return l.systemctl(t, "show", "-P", "InvocationID", unit("a")) }
		before := run()
		waiting, err := l.api(t).RestartWhenEmpty(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		l.waitsFor(t, waiting.ID, "1 player,")

		l.MustCtl(t, "initialize", "a", "--map", "c2m1_highway")
		l.systemctl(t, "restart", "left4med.service")
		l.waitsFor(t, waiting.ID, "1 player,")
		same(t, "the run while somebody plays", before, run())
		if now := l.server(t, "a"); now.Job == nil || now.Job.ID != waiting.ID {
			t.Errorf("the server's job is %+v, want %d", now.Job, waiting.ID)
		}

		l.now(t, "a", "leave kim")
		l.succeeded(t, waiting, nil)
		if after := l.server(t, "a"); run() == before || after.RestartDue == nil || *after.RestartDue {
			t.Errorf("after the restart: %+v", after)
		}
	})
}

// waitsFor waits until a job says that it waits for so many players.
func (l *lab) waitsFor(t *testing.T, id int64, who string) {
	t.Helper()
	c, ctx := l.api(t), within(t, "the job says whom it waits for")
	list, err := c.Servers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	told := func(j *client.Job) bool {
		return j.ID == id && j.Progress != nil && strings.HasPrefix(j.Progress.Text, client.WaitingForEmpty+": "+who)
	}
	if j, err := c.Job(ctx, id); err != nil || told(j) {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	for e, err := range c.Events(ctx, client.EventsOptions{After: list.EventID}) {
		switch {
		case err != nil:
			t.Fatal(err, context.Cause(ctx))
		case e.Job != nil && told(e.Job):
			return
		case e.Job != nil && e.Job.ID == id && e.Job.State.Finished():
			t.Fatalf("it did not wait: %+v", e.Job)
		}
	}
}
