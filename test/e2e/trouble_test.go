package e2e_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestTroubleIsTold reads what l4d2ctl says of servers in trouble, and cures all
// of it by what doctor says.
func TestTroubleIsTold(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.systemctl(t, "start", "polkit.service") // its first start may take longer than doctor waits for it
		l.configure(t, healingLate)
		l.running(t, "a", "b")
		l.create(t, "h")
		l.MustCtl(t, "initialize", "h", "--heal", "failed")
		t.Run("Drift", func(t *testing.T) { troubleDrift(t, l) })
		t.Run("Stale", func(t *testing.T) { troubleStale(t, l) })
		t.Run("Healing", func(t *testing.T) { troubleHealing(t, l) })
		t.Run("Cures", func(t *testing.T) { troubleCures(t, l) })
	})
}

// A server is healed once: not before everything was read, or at once.
const (
	healingLate = "[start]\nsettle = \"1s\"\n[heal]\nfirst = \"10m\"\nlimit = 1\n"
	healingSoon = "[start]\nsettle = \"1s\"\n[heal]\nfirst = \"1s\"\nlimit = 1\n"
)

const listHeader = "NAME\tSTATE\tDESIRED\tDRIFT\tPORT\tMAP\tPLAYERS\tSINCE\tJOB\tNOTE\n"

// spans are lengths of time, which differ from run to run.
var spans = regexp.MustCompile(`\b\d+(\.\d+)? (s|min)\b`)

// gist is an output without what differs from run to run.
func gist(out string) string { return spans.ReplaceAllString(steady(out), "SPAN") }

// wrong is the part of doctor's words that tells of what is wrong.
func (l *lab) wrong(t *testing.T) string {
	t.Helper()
	r := l.ctl(t, "doctor")
	same(t, "doctor's exit code", 1, r.Code)
	_, wrong, _ := strings.Cut(r.Stdout, "\n\n")
	wrong, fine, _ := strings.Cut(wrong, "✓")
	if strings.Contains(fine, "✗") {
		t.Errorf("what is wrong does not come first:\n%s", r.Stdout)
	}
	return gist(wrong)
}

// toldOf are lines of the history: the server, who asked, and what happened.
func (l *lab) toldOf(t *testing.T, args ...string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(gist(l.MustCtl(t, append([]string{"history"}, args...)...))) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		lines = append(lines, f[2]+"|"+f[3]+"|"+f[4]+"|"+f[6])
	}
	return lines[1:]
}

func troubleDrift(t *testing.T, l *lab) {
	l.systemctl(t, "stop", unit("a"))
	l.awaitMoment(t, "a", lost)
	same(t, "list", listHeader+"a\tstopped\trunning\tdown\t27000\tc1m1_hotel\tWHO\tTIME\t-\tdown since TIME\n"+
		"b\trunning\trunning\tnone\t27001\tc1m1_hotel\tWHO\tTIME\t-\t-\n"+
		"h\tstopped\tstopped\tnone\t27002\tc1m1_hotel\tWHO\t-\t-\t-\n", steady(l.MustCtl(t, "list")))
	contains(t, steady(l.MustCtl(t, "show", "a")), "\ndrift        down since TIME (AGO): it should run, but it is stopped; l4d2ctl logs a may say why\n"+
		"  cure       l4d2ctl start a\n  or         l4d2ctl stop a, if it should stay down\nunit ")
	same(t, "doctor", "✗ drift: 1 server not as intended: a (down for SPAN)\n"+
		"    looked at  intent and state of 3 servers\n    cure       l4d2ctl start a\n\n", l.wrong(t))
	same(t, "history", []string{"a|drift|-|drift: none -> down"}, l.toldOf(t, "a", "--kind", "drift", "--since", "1h"))
}

// troubleStale takes systemd's socket away from the daemon and breaks the
// connection that it has. Nobody else notices.
func troubleStale(t *testing.T, l *lab) {
	w := l.watch(t)
	until := l.following(t, "watch", "b")
	pid := strings.TrimSpace(l.systemctl(t, "show", "--value", "--property=MainPID", "left4med.service"))
	inDaemon := []string{"--target", pid, "--mount", "sh", "-euc"}
	l.MustRun(t, "nsenter", append(inDaemon, "mount -t tmpfs none /run/systemd; mkdir /run/systemd/system")...)
	l.systemctl(t, "daemon-reexec")
	until("stale: last seen ")
	for _, name := range []string{"a", "b", "h"} {
		l.await(t, name, "stale", func(s *client.Server) bool { return s.Stale })
	}
	r := l.ctl(t, "list")
	same(t, "list", listHeader+"a\tstopped (stale)\trunning\tdown\t27000\tc1m1_hotel\tWHO\tTIME\t-\tdown since TIME; last seen TIME\n"+
		"b\trunning (stale)\trunning\tnone\t27001\tc1m1_hotel\tWHO\tTIME\t-\tlast seen TIME\n"+
		"h\tstopped (stale)\tstopped\tnone\t27002\tc1m1_hotel\tWHO\t-\t-\tlast seen TIME\n", steady(r.Stdout))
	contains(t, r.Stderr, "no link to systemd")
	contains(t, steady(l.MustCtl(t, "show", "b")), "\n             stale: last seen at TIME (AGO); what it is AGO is not known\n")
	contains(t, l.wrong(t), "✗ systemd: no connection to systemd since TIME, left4med keeps trying: ",
		"✗ stale: what is shown of 3 servers may be old: a (last seen SPAN ago), b (last seen SPAN ago), h (last seen SPAN ago)\n"+
			"    looked at  when each server was last seen\n    cure       systemctl restart left4med.service\n")
	same(t, "health", "degraded", l.health(t).Status)

	l.MustRun(t, "nsenter", append(inDaemon, "umount /run/systemd")...)
	until("confirmed again")
	l.await(t, "b", "fresh", func(s *client.Server) bool { return !s.Stale })
	var stale []bool
	for _, ev := range w.all(t) {
		if ev.Server != nil && ev.Server.Name == "b" {
			stale = append(stale, ev.Server.Stale)
		}
	}
	same(t, "what the events of a server that runs on told", []bool{true, false}, slices.Compact(stale))
}

// troubleHealing lets the one attempt there is wait, fail, and be the last.
func troubleHealing(t *testing.T, l *lab) {
	l.dropIn(t, "h", "[Service]\nRestart=no\n")
	l.atStart(t, "h", "crash")
	until := l.following(t, "watch", "h")
	same(t, "the start's exit code", 6, l.ctl(t, "start", "h").Code)
	until("attempt 1 of 1")
	down := "h\tfailed\trunning\tdown\t27002\tc1m1_hotel\tWHO\tTIME\t-\tdown since TIME; "
	contains(t, steady(l.MustCtl(t, "list")), down+"starting again at TIME, attempt 1 of 1\n")
	contains(t, gist(l.MustCtl(t, "show", "h")), "\nhealing      starting again in SPAN, attempt 1 of 1\n")
	contains(t, gist(l.ctl(t, "doctor").Stdout), "\n✓ healing: starting again: h (attempt 1 of 1 in SPAN) (")

	l.configure(t, healingSoon)
	until("gave up after 1 start")
	contains(t, steady(l.MustCtl(t, "list")), down+"gave up after 1 start\n")
	contains(t, steady(l.MustCtl(t, "show", "h")), "\nhealing      gave up after 1 start; l4d2ctl start h begins anew\n")
	contains(t, l.wrong(t), "✗ healing: gave up: h (after 1 start)\n"+
		"    looked at  which servers are started again by themselves\n    cure       l4d2ctl start h\n")
	const why = ": the server h was enabled but it ended with result signal SPAN after its start; the unit is failed/failed AGO; `l4d2ctl logs h` shows more"
	same(t, "history", []string{
		"h|job|root|start asked for, job 6",
		"h|job|root|start failed, job 6" + why,
		"h|drift|-|drift: none -> down",
		"h|healing|-|healing scheduled: attempt 1 of 1, in SPAN",
		"h|healing|-|healing scheduled: attempt 1 of 1, in SPAN", // by the next daemon, which has a shorter pause
		"h|job|healing|start asked for, job 7",
		"h|job|healing|start failed, job 7" + why,
		"h|healing|-|healing gave up: after 1 start",
	}, l.toldOf(t, "h", "--kind", "job,drift,healing", "-n", "8"))
}

// troubleCures makes it worse, as the system before had it, and then does what
// doctor says until nothing is wrong.
func troubleCures(t *testing.T, l *lab) {
	l.shell(t, "install -d -m 750 /etc/sudoers.d")
	if err := l.WriteFile(t.Context(), "/etc/sudoers.d/left4me", []byte("left4me ALL=(root) NOPASSWD: /usr/local/libexec/left4me/left4me-systemctl *\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	l.write(t, "/etc/systemd/system/"+template, "[Service]\nUser=left4me\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n")
	l.systemctl(t, "daemon-reload")
	l.systemctl(t, "restart", unit("b"))
	l.awaitMoment(t, "b", up)
	l.MustRun(t, "rm", "/var/lib/left4me/runtime/h/upper/standin.conf") // what made it crash
	l.resync(t)
	contains(t, l.wrong(t), "✗ template-shadowed: /etc/systemd/system/"+template+" hides the packaged template",
		"✗ rules: started by other rules than the packaged template's, and so not kept apart from each other: b (uid ",
		"✗ sudoers: /etc/sudoers.d/left4me lets the user left4me run programs as root without a password")
	var cures []string
	for len(cures) < 10 {
		var d struct{ Checks []client.Check }
		if err := json.Unmarshal([]byte(l.ctl(t, "doctor", "--json").Stdout), &d); err != nil {
			t.Fatal(err)
		}
		cure := ""
		for _, c := range d.Checks {
			if !c.OK && cure == "" {
				cure = c.Cure
			}
		}
		if cure == "" {
			break
		}
		cures = append(cures, cure)
		l.shell(t, cure)
		l.resync(t)
	}
	same(t, "the cures", []string{
		"rm /etc/systemd/system/" + template + " && systemctl daemon-reload",
		"l4d2ctl start a h", // which ends the giving up, too
		"l4d2ctl start --restart b",
		"rm /etc/sudoers.d/left4me",
	}, cures)
	l.healthy(t)
	for _, name := range []string{"a", "b", "h"} {
		same(t, name, up, momentOf(l.agree(t, name)))
	}
}
