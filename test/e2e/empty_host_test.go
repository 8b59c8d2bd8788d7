package e2e_test

import (
	"strings"
	"testing"

	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// TestFromAnEmptyHost is the way of a new host: the game is installed, two
// servers run from the one installation, each with files of its own, also after a
// reboot, and of the one that is deleted nothing is left but its history.
func TestFromAnEmptyHost(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.shell(t, "find "+host.Installation+" -mindepth 1 -delete")
		installGame(t, l)
		installation := l.shell(t, installationList)
		l.create(t, "a")
		l.create(t, "b")
		l.MustCtl(t, "start", "a", "b")
		l.keep(t, "a", "of a")
		l.keep(t, "b", "of b")
		l.asGame(t, "b", "rm left4dead2/motd.txt")

		reboot(t, l)
		same(t, "after the reboot", only("a", "b"), l.standing(t))
		for _, name := range []string{"a", "b"} {
			l.awaitMoment(t, name, up)
			l.agree(t, name)
		}
		same(t, "what each has written", map[string]string{"a": "of a", "b": "of b"}, l.kept(t, "a", "b"))
		same(t, "what each sees", []string{"of a motd", "of b no motd"}, []string{l.sees(t, "a"), l.sees(t, "b")})
		same(t, "servers with files of the game of their own", "", l.shell(t, "find /var/lib/left4me/runtime/*/upper -name 'srcds*'"))
		for _, name := range []string{"a", "b"} {
			contains(t, l.shell(t, "findmnt --noheadings --output OPTIONS "+merged(name)), host.Installation)
		}
		same(t, "the installation", installation, l.shell(t, installationList))

		neighbour := l.agree(t, "a")
		if len(l.leftOf(t, "b")) < 10 || l.shell(t, rowsOfB) == "" {
			t.Errorf("of a server that is there only this is found: %q", l.leftOf(t, "b"))
		}
		l.MustCtl(t, "delete", "--yes", "b")
		same(t, "what is left of b on the host", []string(nil), l.leftOf(t, "b"))
		same(t, "what is left of b in the database", "", l.shell(t, rowsOfB))
		contains(t, l.MustCtl(t, "history", "b"), "delete")
		same(t, "the neighbour", told(neighbour), told(l.agree(t, "a")))
		same(t, "what it sees", "of a motd", l.sees(t, "a"))
		same(t, "the installation", installation, l.shell(t, installationList))
	})
}

// installGame installs the game on an empty host, as an operator does.
func installGame(t *testing.T, l *lab) {
	t.Helper()
	if err := l.InstallSteamCMD(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.MustCtl(t, "install")
	updates, err := l.api(t).Updates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the build that is installed", "1001", updates.InstalledBuild)
}

// installationList tells every change of the installation.
const installationList = `find ` + host.Installation + ` -printf '%p %y %m %U:%G %n %s %T@ %l\n' | sort`

// rowsOfB are the rows that name the server b, but for its history, the jobs that
// this tells of, and the row that keeps its id from being used again.
const rowsOfB = `cd /var/lib/left4med; ask() { sqlite3 -readonly state.db "$@"; }
	for table in $(ask "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('history', 'jobs')"); do
		but=; [ $table != servers ] || but="WHERE phase != 'deleted'"
		ask ".mode insert $table" "SELECT * FROM $table $but" | grep "'b'\|@b[.]" || true; done`

// sees is what a game sees of what keep wrote, and whether it has the message of
// the day.
func (l *lab) sees(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(l.asGame(t, name, `cat left4dead2/cfg/kept.txt; test -e left4dead2/motd.txt && echo " motd" || echo " no motd"`))
}

// leftOf lists what has a server's name: files of the whole disk, the links of
// systemd and its drop-ins, units, and mounts.
func (l *lab) leftOf(t *testing.T, name string) []string {
	t.Helper()
	var left []string
	all := l.traces(t) // once systemd is done with it
	for _, lines := range [][]string{all.Files, all.Units, all.Mounts, all.Links} {
		for _, line := range lines {
			if named(line, name) {
				left = append(left, line)
			}
		}
	}
	files := l.shell(t, `find / /run /var/lib -xdev \( -name '`+name+`' -o -name '*@`+name+`[.-]*' -o -name 'l4d2-`+name+`' \) -not -path '/usr/*' -not -path '/sys/*'`)
	for line := range strings.Lines(files) {
		// The directories of its dynamic user are systemd's.
		if !strings.Contains(line, "/systemd/dynamic-uid") {
			left = append(left, strings.TrimSpace(line))
		}
	}
	return left
}

// named says whether a line of traces is about a server.
func named(line, name string) bool {
	for _, mark := range []string{"/" + name + " ", "/" + name + "/", "@" + name + ".", "l4d2-" + name + " "} {
		if strings.Contains(line+" ", mark) {
			return true
		}
	}
	return false
}
