package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// What list and show say of a server in each kind of trouble.
func TestTroubleIsTold(t *testing.T) {
	t.Parallel()
	since := noon.Add(-time.Hour)
	at := since.Local().Format(time.DateTime) + " (1h ago)"
	drifts := func(d client.Drift, state client.State) func(*client.Server) {
		return func(s *client.Server) { s.Drift, s.DriftSince, s.State = d, since, state }
	}
	heals := func(h client.Healing) func(*client.Server) {
		return func(s *client.Server) {
			drifts(client.DriftDown, client.StateFailed)(s)
			s.Healing = &h
		}
	}
	const down = "drift        down since %: it should run, but it is failed; l4d2ctl logs coop-1 may say why\n" +
		"  cure       l4d2ctl start coop-1\n  or         l4d2ctl stop coop-1, if it should stay down\n"
	for name, c := range map[string]struct {
		change     func(*client.Server)
		note, show string
	}{
		"none":   {func(*client.Server) {}, "-", "drift        none\n"},
		"masked": {drifts(client.DriftMasked, client.StateStopped), "masked since 2026-05-01T11:00:00Z", "drift        masked since %: its unit is masked, so systemd will never start it\n  cure       systemctl unmask left4me-server@coop-1.service\n"},
		"missing": {drifts(client.DriftMissing, client.StateStopped), "missing since 2026-05-01T11:00:00Z",
			"drift        missing since %: its files or the unit template are gone\n  cure       l4d2ctl initialize coop-1\n  or         l4d2ctl doctor, if it is the template that is gone\n"},
		"flapping": {drifts(client.DriftFlapping, client.StateRestarting), "flapping since 2026-05-01T11:00:00Z",
			"drift        flapping since %: it crashes again and again, and systemd starts it each time; its log may say why\n  cure       l4d2ctl logs coop-1\n  or         l4d2ctl start --restart coop-1, once that is mended\n"},
		"not-enabled": {drifts(client.DriftNotEnabled, client.StateRunning), "not-enabled since 2026-05-01T11:00:00Z",
			"drift        not-enabled since %: it runs, but will be gone after a reboot\n  cure       l4d2ctl start coop-1\n  or         l4d2ctl stop coop-1, if it should not run\n"},
		"healing": {heals(client.Healing{Attempt: 3, Limit: 5, NextAt: noon.Add(40 * time.Second)}),
			"down since 2026-05-01T11:00:00Z; starting again at 2026-05-01T12:00:40Z, attempt 3 of 5",
			down + "healing      starting again in 40 s, attempt 3 of 5\n"},
		"given up": {heals(client.Healing{Attempt: 5, Limit: 5, GaveUp: true}),
			"down since 2026-05-01T11:00:00Z; gave up after 5 starts",
			down + "healing      gave up after 5 starts; l4d2ctl start coop-1 begins anew\n"},
		"never seen": {func(s *client.Server) { s.Stale, s.ObservedAt = true, time.Time{} }, "never seen", "drift        none\n"},
	} {
		s := two()[0]
		c.change(&s)
		f := newFake(t, s)
		list := strings.Split(strings.TrimSuffix(f.l4d2ctl("list").Stdout, "\n"), "\t")
		if diff := cmp.Diff(c.note, list[len(list)-1]); diff != "" {
			t.Errorf("%s: list (-want +got):\n%s", name, diff)
		}
		_, shown, _ := strings.Cut(f.l4d2ctl("show", "coop-1").Stdout, "every boot)\n")
		shown, _, _ = strings.Cut(shown, "unit  ")
		if diff := cmp.Diff(strings.ReplaceAll(c.show, "%", at), shown); diff != "" {
			t.Errorf("%s: show (-want +got):\n%s", name, diff)
		}
	}
}
