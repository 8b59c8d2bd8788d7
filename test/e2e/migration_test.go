package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
	"github.com/left4med/left4med/test/oldhost"
)

// TestMigration takes over a host of the system before while its games run, with
// what hostile ones have left there, and gives each game a uid of its own at its
// next start.
func TestMigration(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := oldHost(t, release)
		for _, c := range []struct {
			name string
			test func(*testing.T, *migration)
		}{
			{"Install", migrateInstall},
			{"Orphans", migrateOrphans},
			{"Doctor", migrateDoctor},
			{"Adopt", migrateAdopt},
			{"OldTemplate", migrateOldTemplate},
			{"RemoveTemplate", migrateTemplate},
			{"NotAdopted", migrateNot},
			{"Cutover", migrateCutover},
			{"WebPage", migrateWebPage},
			{"Delete", migrateDelete},
			{"DisableOrphans", migrateDisable},
			{"Reboot", migrateReboot},
			{"LostDatabase", migrateLostDatabase},
			{"NothingLeaks", migrateLeaks},
		} {
			if !t.Run(c.name, func(t *testing.T) { c.test(t, m) }) {
				return // each begins where the one before has ended
			}
		}
	})
}

// migrateInstall installs the package beside the games.
func migrateInstall(t *testing.T, m *migration) {
	if err := m.InstallProduct(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.configure(t, "[start]\nsettle = \"1s\"\n")
	m.sameGames(t)
	m.asOld(t, "cd /var/lib/left4me/runtime/1/merged && echo after >>left4dead2/cfg/kept.txt")
}

// orphaned is what is told of an orphan, without what differs between runs.
type orphaned struct {
	Desired   client.Desired
	State     client.State
	Files     bool
	Adoptable bool
	Port      uint16 // 0 when it is not known
	PID       uint32
}

// migrateOrphans lists all that is there. Nothing happens to it by itself.
func migrateOrphans(t *testing.T, m *migration) {
	before := m.trees(t)
	all := oldhost.All()
	got, says := map[string]orphaned{}, map[string]string{}
	list := m.orphansAre(t, func(list []client.Orphan) bool {
		for _, n := range list {
			if n.State == client.StateRunning && n.MainPID == 0 {
				return false
			}
		}
		return len(list) == len(all)
	})
	for _, n := range list {
		o := orphaned{n.Desired, n.State, n.Files, n.Adoptable, 0, n.MainPID}
		if n.Config != nil {
			o.Port = n.Config.Port
		}
		got[n.Name], says[n.Name] = o, n.Obstacle
	}
	want := map[string]orphaned{}
	for _, i := range all {
		o := orphaned{client.DesiredStopped, client.StateStopped, true, true, i.Port, 0}
		if i.Enabled {
			o.Desired = client.DesiredRunning
		}
		if i.Running {
			o.State, o.PID = client.StateRunning, m.games[i.Name].PID
		}
		if why := m.obstacles[i.Name]; why != "" {
			o.Adoptable = false
			contains(t, says[i.Name], why)
		}
		if m.unreadable[i.Name] {
			o.Port = 0
		}
		want[i.Name] = o
	}
	same(t, "the orphans", want, got)
	m.told(m.ctl(t, "orphans"))

	if err := m.api(t).Resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "servers", map[string]moment{}, m.moments(t))
	jobs, err := m.api(t).Jobs(t.Context(), client.JobsFilter{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "jobs", 0, len(jobs))
	m.sameGames(t)
	same(t, "the instances' trees", before, m.trees(t))
}

// migrateDoctor is what an operator reads first.
func migrateDoctor(t *testing.T, m *migration) {
	r := m.ctl(t, "doctor")
	m.told(r)
	same(t, "doctor's status", 1, r.Code)
	contains(t, r.Stdout, oldhost.Template+" hides the packaged template", oldhost.Sudoers+" lets the user left4me run programs as root",
		"15 of no server: 1 (enabled, active (running)")
	same(t, "what is wrong, and its cure", map[string]string{
		"template-shadowed": "rm " + oldhost.Template + " && systemctl daemon-reload",
		"sudoers":           "rm " + oldhost.Sudoers, "orphans": "l4d2ctl initialize --adopt --all",
	}, m.cures(t))
}

// migrateAdopt makes servers of the sound ones and leaves the others as they are.
func migrateAdopt(t *testing.T, m *migration) {
	before := m.trees(t)
	r := m.ctl(t, "initialize", "--adopt", "--all")
	m.told(r)
	if r.Code == 0 {
		t.Error("nothing says by its status that some were refused")
	}
	for name, why := range m.obstacles {
		contains(t, r.Stderr, why)
		if strings.Contains(r.Stderr, "\n"+name+": adopted") {
			t.Errorf("%s was adopted:\n%s", name, r.Stderr)
		}
	}
	contains(t, r.Stderr, "journalctl -u left4me-adopt@17.service", "journalctl -u left4me-adopt@18.service")
	m.logged(t, "left4me-adopt@17.service", "runtime/17/work is no directory")
	m.sameGames(t)
	same(t, "what was refused", m.refused(before), m.refused(m.trees(t)))

	same(t, "the servers", map[string]moment{
		"1": up, "2": {client.DesiredStopped, client.StateRunning, client.DriftNotEnabled}, "3": lost, "4": up, "5": up,
	}, m.moments(t))
	same(t, "settings", m.configs, m.settings(t))
	for _, i := range oldhost.Sound() {
		m.agree(t, i.Name)
	}
	same(t, "who may write where root works", map[string]string{
		"instances/1": "root 700", "instances/3": "root 700", "runtime/1": "root 711", "runtime/1/work": "root 700",
		"runtime/3": "root 711", "runtime/3/work": "root 700", "runtime/3/merged": "root 755", "runtime/1/upper": "left4me 755",
	}, m.owners(t, "instances/1", "instances/3", "runtime/1", "runtime/1/work", "runtime/3", "runtime/3/work", "runtime/3/merged", "runtime/1/upper"))
	contains(t, m.shell(t, "cat /var/lib/left4me/instances/4/secrets"), oldhost.RCONSecret)
	m.asOld(t, "cd /var/lib/left4me/runtime/1/merged && echo adopted >>left4dead2/cfg/kept.txt")

	again := m.ctl(t, "initialize", "--adopt", "--all")
	m.told(again)
	m.sameGames(t)
	same(t, "settings", m.configs, m.settings(t))
}

// migrateOldTemplate: as long as the old template is there, servers run by its
// rules, also on the files that left4med wrote, and one that crashes comes back.
func migrateOldTemplate(t *testing.T, m *migration) {
	m.told(m.ctl(t, "start", "3"))
	m.awaitMoment(t, "3", up)
	first := m.game(t, "3")
	m.now(t, "3", "crash")
	m.await(t, "3", "running again", func(s *client.Server) bool {
		return s.State == client.StateRunning && s.InvocationID != first.InvocationID
	})
	same(t, "who runs it", "left4me", m.runs(t, "3"))
	m.told(m.ctl(t, "stop", "3"))
	m.awaitMoment(t, "3", down)
	m.sameGames(t)
}

// migrateTemplate does what doctor says. That ends no game.
func migrateTemplate(t *testing.T, m *migration) {
	m.shell(t, m.cures(t)["template-shadowed"])
	same(t, "what is wrong, and its cure", map[string]string{
		"sudoers": "rm " + oldhost.Sudoers, "orphans": "l4d2ctl initialize --adopt --all",
		"drift": "l4d2ctl start 2", "rules": "l4d2ctl start --restart 1 2 4 5",
	}, m.cures(t))
	m.sameGames(t)
	for _, i := range oldhost.Sound() {
		m.agree(t, i.Name)
	}
}

// migrateNot starts by our template what was not adopted: nothing of ours works
// where another may have put a link, or waits for what is no file.
func migrateNot(t *testing.T, m *migration) {
	same(t, "what a link leads to", rootsCanary, m.canary(t))
	for name, why := range map[string]string{
		"16": "/var/lib/left4me/runtime/16 belongs to uid 980", "18": "/var/lib/left4me/runtime/18 belongs to uid 980",
	} {
		if out, err := m.Output(t.Context(), "systemctl", "start", unit(name)); err == nil {
			t.Errorf("%s was started: %s", name, out)
		}
		m.logged(t, "left4me-upper@"+name, why, "l4d2ctl initialize --adopt "+name)
	}
	m.shell(t, "for name in 10 11; do systemctl stop left4me-server@$name; if systemctl start left4me-server@$name; then exit 1; fi; done")
	delete(m.games, "10")
	delete(m.games, "11")
	same(t, "what a link leads to", rootsCanary, m.canary(t))
	m.sameGames(t)
}

// migrateCutover stops and starts: from then on each game runs under a uid of its
// own, on what it had before. A start of one that runs enables it and no more.
func migrateCutover(t *testing.T, m *migration) {
	m.told(m.ctl(t, "stop", "1"))
	m.awaitMoment(t, "1", down)
	m.told(m.ctl(t, "start", "1"))
	m.told(m.ctl(t, "start", "--restart", "4"))
	m.told(m.ctl(t, "start", "2", "3"))
	users, due := map[string]string{}, map[string]bool{}
	for _, name := range []string{"1", "2", "3", "4"} {
		m.awaitMoment(t, name, up)
		users[name], due[name] = m.runs(t, name), *m.agree(t, name).RestartDue
		if name != "2" {
			m.games[name] = m.game(t, name)
		}
	}
	same(t, "who runs them", map[string]string{"1": "l4d2-1", "2": "left4me", "3": "l4d2-3", "4": "l4d2-4"}, users)
	same(t, "whose restart is due", map[string]bool{"1": false, "2": true, "3": false, "4": false}, due)
	same(t, "settings", m.configs, m.settings(t))
	m.sameGames(t)

	line := m.shell(t, fmt.Sprintf("tr '\\0' ' ' </proc/%d/cmdline", m.games["1"].PID))
	contains(t, line, "+hostport 27015 ", "+map c2m1_highway ", "+mp_gamemode versus ", "-maxplayers 12 ", "-tickrate 60")
	m.asGame(t, "1", "echo cutover >>left4dead2/cfg/kept.txt; test ! -e left4dead2/motd.txt; cat left4dead2/addons/which.txt | grep -q 'overlay 2'")
	same(t, "what the game wrote", "before\nafter\nadopted\ncutover\n", m.asGame(t, "1", "cat left4dead2/cfg/kept.txt"))
	same(t, "what is still the old user's in its layer", "", m.shell(t, "find /var/lib/left4me/runtime/1 -xdev -uid 980 -not -path '*/merged/*'"))
	same(t, "its layer", map[string]string{"runtime/1/upper": "l4d2-1 700"}, m.owners(t, "runtime/1/upper"))
}

// migrateWebPage has the old page's user call what replaces its helpers. It must be
// an operator for that.
func migrateWebPage(t *testing.T, m *migration) {
	page := oldhost.User()
	call := func(args ...string) int {
		t.Helper()
		r := result(t, m.CommandAs(within(t, "l4d2ctl as the old page"), page, "l4d2ctl", args...))
		m.told(r)
		return r.Code
	}
	same(t, "its status as nobody's operator", 4, call("stop", "3"))
	m.awaitMoment(t, "3", up)
	m.shell(t, "gpasswd --add left4me left4med-operators")
	same(t, "status", []int{0, 0}, []int{call("stop", "3"), call("start", "3")})
	m.awaitMoment(t, "3", up)
	m.games["3"] = m.game(t, "3")
	m.shell(t, "gpasswd --delete left4me left4med-operators")
	m.shell(t, m.cures(t)["sudoers"])
	same(t, "the cure for sudoers, now", "", m.cures(t)["sudoers"])
}

// migrateDelete deletes what was adopted and never started since: its mount is
// still the old system's.
func migrateDelete(t *testing.T, m *migration) {
	m.told(m.ctl(t, "delete", "--yes", "5"))
	delete(m.games, "5")
	delete(m.configs, "5")
	same(t, "settings", m.configs, m.settings(t))
	same(t, "what is left", ".5.origin\n", m.shell(t, "ls -A /var/lib/left4me/runtime /var/lib/left4me/instances | grep -x '[.]*5[.a-z]*' || true"))
	if cmp.Diff(only(), m.standing(t)) == "" {
		t.Error("nothing runs any more")
	}
	m.sameGames(t)
}

// migrateDisable ends what cannot be a server.
func migrateDisable(t *testing.T, m *migration) {
	for _, name := range []string{"Foo_1", "10", "13"} {
		r := m.ctl(t, "delete", "--orphan", unit(name))
		m.told(r)
		contains(t, r.Stderr, "disabled and stopped")
		delete(m.games, name)
		now := m.shown(t, name)
		same(t, name+" is active, and enabled", [2]string{"inactive", "disabled"}, [2]string{now.Active, now.Enabled})
	}
	m.sameGames(t)
}

// migrateReboot brings back exactly what is enabled, but for what was not adopted.
func migrateReboot(t *testing.T, m *migration) {
	m.told(m.ctl(t, "stop", "3"))
	m.awaitMoment(t, "3", down)
	reboot(t, m.lab)
	same(t, "after the reboot", only("1", "2", "4"), m.alive(t))
	same(t, "left4med's word", map[string]moment{"1": up, "2": up, "3": down, "4": up}, m.moments(t))
	same(t, "what a link leads to", rootsCanary, m.canary(t))
	same(t, "who runs the last one now", "l4d2-2", m.runs(t, "2"))
	same(t, "what the game wrote", "before\nafter\nadopted\ncutover\n", m.asGame(t, "1", "cat left4dead2/cfg/kept.txt"))
}

// migrateLostDatabase makes all servers anew from their files.
func migrateLostDatabase(t *testing.T, m *migration) {
	before, secrets := m.known(t), m.secrets(t)
	m.systemctl(t, "stop", "left4med.socket", "left4med.service")
	m.shell(t, "rm /var/lib/left4med/state.db*")
	m.systemctl(t, "start", "left4med.socket", "left4med.service")
	m.orphansAre(t, func(list []client.Orphan) bool {
		adoptable := 0
		for _, n := range list {
			if n.Adoptable && !m.hostile(n.Name) {
				adoptable++
			}
		}
		return adoptable == len(before)
	})
	same(t, "servers", map[string]moment{}, m.moments(t))
	m.told(m.ctl(t, "initialize", "--adopt", "--all"))
	same(t, "the servers", before, m.known(t))
	same(t, "their secrets", secrets, m.secrets(t))
	for name := range before {
		m.agree(t, name)
	}
}

// migrateLeaks looks for what the planted files lead to, and for secrets, where
// they have no business.
func migrateLeaks(t *testing.T, m *migration) {
	for _, secret := range []string{oldhost.ShadowSecret, oldhost.FileSecret, oldhost.RCONSecret} {
		for i, text := range m.said {
			if strings.Contains(text, secret) {
				t.Errorf("output %d holds %s:\n%s", i, secret, text)
			}
		}
		same(t, secret+" in the database", "", m.shell(t, "grep -rlaF "+secret+" /var/lib/left4med || true"))
	}
	journal := m.MustRun(t, "journalctl", "--no-pager", "--output=export")
	for _, secret := range []string{oldhost.ShadowSecret, oldhost.FileSecret} {
		for line := range strings.Lines(journal) {
			if strings.Contains(line, secret) {
				t.Errorf("the journal holds %s", line)
			}
		}
	}
	own := m.MustRun(t, "journalctl", "--no-pager", "--output=export", "--unit=left4med.service", "--unit=left4me-adopt@*", "--unit=left4me-upper@*")
	if own == "" || strings.Contains(own, oldhost.RCONSecret) {
		t.Errorf("our journal holds %s", oldhost.RCONSecret)
	}
}
