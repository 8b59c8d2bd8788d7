package orchestrator

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// entries makes servers, each of them changed in some way.
func entries(changes ...func(*server.Server)) (all []*Entry) {
	for i, change := range changes {
		e := &Entry{Server: server.Server{Name: server.Name(fmt.Sprintf("s%02d", i+1)), Drift: server.DriftNone, State: server.StateRunning, ObservedAt: time.Now()}}
		e.Unit = e.Name.Unit()
		change(&e.Server)
		all = append(all, e)
	}
	return all
}

func fine(*server.Server) {}

func checked(t *testing.T, want, got Check) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCheckOfDrift(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // whose clock stands
		drifts := func(d server.Drift, since time.Duration) func(*server.Server) {
			return func(s *server.Server) { s.Drift, s.DriftSince = d, time.Now().Add(-since) }
		}
		all := entries(drifts(server.DriftNotEnabled, time.Second), fine, drifts(server.DriftFlapping, time.Hour),
			drifts(server.DriftDown, 3*time.Hour), drifts(server.DriftDown, time.Minute))
		here := hostFacts{template: packagedTemplates[0]}
		bad := Check{Name: "drift", LookedAt: "intent and state of 5 servers"}

		bad.Found = "4 servers not as intended: s04 (down for 3 h), s05 (down for 60 s), s03 (flapping for 60 min), s01 (not-enabled for 1 s)"
		bad.Cure = "l4d2ctl start s04 s05"
		checked(t, bad, checkDrift(all, here))
		all[1].Drift, all[1].DriftSince = server.DriftMissing, time.Now().Add(-72*time.Hour)
		bad.Found = "5 servers not as intended: s02 (missing for 3 days)" + ", " + strings.TrimPrefix(bad.Found, "4 servers not as intended: ")
		bad.Cure = "l4d2ctl initialize s02"
		checked(t, bad, checkDrift(all, here))
		bad.Cure = "apt-get install --reinstall left4med"
		checked(t, bad, checkDrift(all, hostFacts{}))
		for _, e := range all {
			e.Drift, e.DriftSince = server.DriftMasked, time.Now()
		}
		bad.Found = "5 servers not as intended: s01 (masked for 0 s), s02 (masked for 0 s), s03 (masked for 0 s), s04 (masked for 0 s), s05 (masked for 0 s)"
		bad.Cure = "systemctl unmask left4me-server@s01.service left4me-server@s02.service left4me-server@s03.service left4me-server@s04.service left4me-server@s05.service"
		checked(t, bad, checkDrift(all, here))
		bad.Cure = "systemctl unmask left4me-server@.service"
		checked(t, bad, checkDrift(all, hostFacts{template: "/etc/systemd/system/" + server.Template, links: unitctl.Links{TemplateMasked: true}}))

		var many []func(*server.Server)
		for range 12 {
			many = append(many, drifts(server.DriftDown, time.Minute))
		}
		got := checkDrift(entries(many...), here)
		if !strings.HasSuffix(got.Found, ", s10 (down for 60 s) and 2 more") || got.Cure != "l4d2ctl start s01 s02 s03 s04 s05 s06 s07 s08 s09 s10" {
			t.Errorf("of many: %+v", got)
		}
		checked(t, Check{Name: "drift", OK: true, LookedAt: "intent and state of 1 server", Found: "every server is as intended"}, checkDrift(entries(fine), here))
	})
}

func TestCheckOfStaleness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := entries(fine, func(s *server.Server) { s.Stale, s.ObservedAt = true, time.Now().Add(-5*time.Minute) },
			func(s *server.Server) { s.Stale, s.ObservedAt = true, time.Time{} })
		checked(t, Check{Name: "stale", LookedAt: "when each server was last seen",
			Found: "what is shown of 2 servers may be old: s02 (last seen 5 min ago), s03 (never seen)", Cure: "systemctl restart left4med.service",
		}, checkStale(all))
		checked(t, Check{Name: "stale", OK: true, LookedAt: "when each server was last seen", Found: "every state is fresh"}, checkStale(all[:1]))
	})
}

func TestCheckOfHealing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := entries(fine, func(s *server.Server) {
			s.Healing = &server.Healing{Attempt: 2, Limit: 5, NextAt: time.Now().Add(40 * time.Second)}
		}, func(s *server.Server) { s.Healing = &server.Healing{Attempt: 5, Limit: 5, GaveUp: true} })
		const at = "which servers are started again by themselves"
		checked(t, Check{Name: "healing", LookedAt: at, Found: "gave up: s03 (after 5 starts)", Cure: "l4d2ctl start s03"}, checkHealing(all))
		checked(t, Check{Name: "healing", OK: true, LookedAt: at, Found: "starting again: s02 (attempt 2 of 5 in 40 s)"}, checkHealing(all[:2]))
		checked(t, Check{Name: "healing", OK: true, LookedAt: at, Found: "no server needs it"}, checkHealing(all[:1]))
	})
}

// A process counts when it is still the unit's, and its uid when it is no game's.
func TestCheckOfRules(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	process := func(pid, unit, uid string) {
		t.Helper()
		dir := filepath.Join(proc, pid)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"cgroup": "0::/l4d2.slice/l4d2-game.slice/" + unit + "\n",
			"status": "Name:\tsrcds\nUid:\t" + uid + "\t" + uid + "\t" + uid + "\t" + uid + "\nGid:\t0\t0\t0\t0\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	runs := func(pid uint32) func(*server.Server) { return func(s *server.Server) { s.MainPID = pid } }
	process("1", "left4me-server@s01.service", "61234") // a game that may not be dumped
	process("2", "left4me-server@s02.service", "980")
	process("3", "cron.service", "0") // no longer the game
	all := entries(runs(1), runs(2), runs(3), runs(4), func(s *server.Server) { s.MainPID, s.State = 2, server.StateStarting })
	packaged, hidden := hostFacts{template: packagedTemplates[0]}, hostFacts{template: "/etc/systemd/system/" + server.Template, shadowed: packagedTemplates}

	bad := Check{
		Name: "rules", LookedAt: "the uids of the games that run", Cure: "l4d2ctl start --restart s02",
		Found: "started by other rules than the packaged template's, and so not kept apart from each other: s02 (uid 980)",
	}
	checked(t, bad, checkRules(all, proc, checkShadows(packaged)))
	bad.Found, bad.Cure = bad.Found+"; the template comes first", "rm /etc/systemd/system/left4me-server@.service && systemctl daemon-reload"
	checked(t, bad, checkRules(all, proc, checkShadows(hidden)))
	checked(t, Check{Name: "rules", OK: true, LookedAt: bad.LookedAt, Found: "each has one of its own"}, checkRules(all[:1], proc, checkShadows(hidden)))
}

func TestCheckOfShadows(t *testing.T) {
	t.Parallel()
	h := hostFacts{template: "/usr/local/lib/systemd/system/" + server.Template, shadowed: packagedTemplates}
	checked(t, Check{
		Name: "template-shadowed", LookedAt: "all files of the name left4me-server@.service",
		Found: "/usr/local/lib/systemd/system/left4me-server@.service hides the packaged template, so servers run by its rules; " +
			"once it is removed, a server changes over to the packaged ones when it is next stopped and started, and runs on until then",
		Cure: "rm /usr/local/lib/systemd/system/left4me-server@.service && systemctl daemon-reload",
	}, checkShadows(h))
}

func TestCheckOrphans(t *testing.T) {
	t.Parallel()
	strange := orphan{instance: "Foo_1", enabled: true, loaded: true, unit: server.Unit{Active: "active", Sub: "running"}}
	hostile, sound := orphan{instance: "10", files: true}, orphan{instance: "2", files: true}
	adoptable := func(n orphan) bool { return n.instance == "2" }
	for _, c := range []struct {
		orphans     []orphan
		found, cure string
	}{
		{[]orphan{hostile}, "1 of no server: 10 (an instance's directory)", "l4d2ctl orphans"},
		{[]orphan{hostile, strange}, "2 of no server: 10 (an instance's directory), Foo_1 (enabled, active (running))", "l4d2ctl delete --orphan 'left4me-server@Foo_1.service'"},
		{[]orphan{hostile, sound}, "2 of no server: 10 (an instance's directory), 2 (an instance's directory)", "l4d2ctl initialize --adopt --all"},
	} {
		want := Check{Name: "orphans", LookedAt: "units of left4me-server@.service, and the directories of instances", Found: c.found, Cure: c.cure}
		checked(t, want, checkOrphans(c.orphans, adoptable))
	}
	checked(t, Check{
		Name: "orphans", OK: true, LookedAt: "units of left4me-server@.service, and the directories of instances",
		Found: "every unit and every instance belongs to a server",
	}, checkOrphans(nil, adoptable))
}
