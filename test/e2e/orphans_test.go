package e2e_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestOrphans finds what belongs to no server, makes servers of it again and
// disables what cannot be one.
func TestOrphans(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.running(t, "kept", "lost")
		l.create(t, "idle")
		for _, c := range []struct {
			name string
			test func(*testing.T, *lab)
		}{
			{"Unit", orphanUnit},
			{"Files", orphanFiles},
			{"Restart", orphansTwice},
			{"LostDatabase", orphansAll},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, l) })
		}
	})
}

// orphans waits until there are these, and returns them.
func (l *lab) orphans(t *testing.T, instances ...string) []client.Orphan {
	t.Helper()
	return l.orphansAre(t, func(list []client.Orphan) bool {
		return slices.EqualFunc(list, instances, func(n client.Orphan, name string) bool { return n.Name == name })
	})
}

// orphansAre asks until the orphans are as they should be. No event tells of
// them.
func (l *lab) orphansAre(t *testing.T, good func([]client.Orphan) bool) []client.Orphan {
	t.Helper()
	c, ctx := l.api(t), within(t, "the orphans are as they should be")
	for {
		list, err := c.Orphans(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if good(list) {
			return list
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the orphans are %+v", list)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// orphanUnit enables and starts a unit whose name no server can have.
func orphanUnit(t *testing.T, l *lab) {
	const stray = "left4me-server@Foo_1.service"
	l.write(t, "/etc/systemd/system/"+stray, "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n")
	l.systemctl(t, "enable", "--now", stray)
	got := l.orphansAre(t, func(list []client.Orphan) bool {
		return len(list) == 1 && list[0].State == client.StateRunning && list[0].MainPID != 0
	})
	pid := l.shown(t, "Foo_1").MainPID
	want := []client.Orphan{{
		Unit: stray, Name: "Foo_1", Desired: client.DesiredRunning, State: client.StateRunning,
		Obstacle:    `the name "Foo_1" must begin with a lower-case letter or a digit`,
		ActiveState: "active", SubState: "running", LoadState: "loaded", UnitFileState: "enabled",
		Result: "success", MainPID: pid, Restarts: new(uint32),
	}}
	same(t, "since and state since are told", false, got[0].Since.IsZero() || got[0].StateSince.IsZero())
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(client.Orphan{}, "Since", "StateSince")); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	contains(t, l.ctl(t, "doctor").Stdout, "Foo_1 (enabled, active (running))", "l4d2ctl delete --orphan '"+stray+"'")
	contains(t, l.ctl(t, "orphans").Stdout, stray+"\trunning\trunning\t-\t", "no: the name")
	_, err := l.api(t).Adopt(t.Context(), stray)
	refused(t, err, refusal{Status: 409, Code: client.CodeNotAdoptable}, "Foo_1")
	same(t, "it runs on", pid, l.shown(t, "Foo_1").MainPID)

	contains(t, l.ctl(t, "delete", "--orphan", stray).Stderr, "disabled and stopped")
	l.orphans(t)
	now := l.shown(t, "Foo_1")
	same(t, "active and enabled", [2]string{"inactive", "disabled"}, [2]string{now.Active, now.Enabled})
	again := l.ctl(t, "delete", "--orphan", stray)
	contains(t, again.Stderr, "there is no orphan")
	l.MustRun(t, "rm", "/etc/systemd/system/"+stray)
	l.systemctl(t, "daemon-reload")
	l.orphanRows(t, "Foo_1", "found", "gone")
}

// orphanRows waits for these entries of the history about an orphan, oldest
// first: the last is written after what it tells of is shown.
func (l *lab) orphanRows(t *testing.T, instance string, want ...string) {
	t.Helper()
	c, ctx := l.api(t), within(t, "the history of an orphan")
	for {
		all, err := c.History(ctx, client.HistoryFilter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range slices.Backward(all) {
			if e.Kind == client.HistoryOrphan && e.Server == instance {
				got = append(got, e.To)
			}
		}
		if len(got) >= len(want) {
			same(t, "what the history says of "+instance, want, got)
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the history says of %s: %q, want %q", instance, got, want)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// orphanFiles leaves only the files of a server that nobody knows.
func orphanFiles(t *testing.T, l *lab) {
	l.shell(t, "mkdir -p /var/lib/left4me/instances/found; printf 'L4D2_PORT=27123\\nL4D2_ARGS=\"-tickrate 60 +map c2m1_highway\"\\nL4D2_LOWERDIRS=/var/lib/left4me/installation\\n' >/var/lib/left4me/instances/found/instance.env")
	if err := l.api(t).Resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := client.Config{Port: 27123, Map: "c2m1_highway", Args: []string{"-tickrate", "60"}}
	got := l.orphans(t, "found")
	same(t, "its port, map and arguments", config, client.Config{Port: got[0].Config.Port, Map: got[0].Config.Map, Args: got[0].Config.Args})
	same(t, "adoptable", true, got[0].Adoptable)
	if _, err := l.api(t).DisableOrphan(t.Context(), got[0].Unit); err == nil {
		t.Error("what has only files was disabled")
	}
	contains(t, l.ctl(t, "initialize", "--adopt", "found").Stderr, "found: adopted")
	l.orphans(t)
	l.orphanRows(t, "found", "found", "gone")
	l.MustCtl(t, "start", "found")
	l.awaitMoment(t, "found", up)
	l.agree(t, "found")
	l.MustCtl(t, "delete", "--yes", "found")
}

// orphansTwice restarts the daemon beside an orphan: it is told of once.
func orphansTwice(t *testing.T, l *lab) {
	l.shell(t, "mkdir /var/lib/left4me/instances/odd '/var/lib/left4me/instances/no name'")
	if err := l.api(t).Resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := l.orphans(t, `no\x20name`, "odd")
	l.systemctl(t, "restart", "left4med.service")
	same(t, "the orphans", before, l.orphans(t, `no\x20name`, "odd"))
	l.orphanRows(t, "odd", "found")
	l.shell(t, "rmdir /var/lib/left4me/instances/odd '/var/lib/left4me/instances/no name'")
	if err := l.api(t).Resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.orphans(t)
	l.orphanRows(t, "odd", "found", "gone")
}

// orphansAll loses the database: the files hold all that is needed.
func orphansAll(t *testing.T, l *lab) {
	l.MustCtl(t, "initialize", "kept", "--set", "sv_alltalk=1", "--hostname", "Kept")
	before := l.known(t)
	l.systemctl(t, "stop", "left4med.socket", "left4med.service")
	l.shell(t, "rm /var/lib/left4med/state.db*")
	l.systemctl(t, "start", "left4med.socket", "left4med.service")
	l.orphans(t, "idle", "kept", "lost")
	same(t, "servers", 0, len(l.moments(t)))
	l.MustCtl(t, "initialize", "--adopt", "--all")
	if diff := cmp.Diff(before, l.known(t)); diff != "" {
		t.Errorf("the servers (-before +after):\n%s", diff)
	}
	for name := range before {
		l.agree(t, name)
	}
	l.orphans(t)
}

// known is what must outlive the database.
type known struct {
	Moment moment
	Config client.Config
	PID    uint32
}

func (l *lab) known(t *testing.T) map[string]known {
	t.Helper()
	list, err := l.api(t).Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]known{}
	for i := range list.Servers {
		s := &list.Servers[i]
		all[string(s.Name)] = known{momentOf(s), *s.Config, s.MainPID}
	}
	return all
}
