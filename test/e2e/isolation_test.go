package e2e_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// TestIsolation tries from inside a running game, and as users of the host, what
// they must not be able to do.
func TestIsolation(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.running(t, "a", "b")
		if err := l.WebStart(t.Context()); err != nil { // which is in the games' network namespace
			t.Fatal(err)
		}
		l.shell(t, "mkdir /var/lib/left4me/overlays/other; echo x >/var/lib/left4me/overlays/other/file")
		t.Run("Game", func(t *testing.T) { gameIsAlone(t, l) })
		t.Run("Unit", func(t *testing.T) { unitIsShut(t, l) })
		t.Run("Rights", func(t *testing.T) { gameHasNoRights(t, l) })
		t.Run("Doors", func(t *testing.T) { doorsAreKept(t, l) })
	})
}

// gameIsAlone runs one attempt after the other as game a. Each must fail.
func gameIsAlone(t *testing.T, l *lab) {
	b := l.shown(t, "b").MainPID
	for what, script := range map[string]string{
		"read its neighbour's tree":     "ls /var/lib/left4me/runtime/b/merged/left4dead2",
		"read its neighbour's layer":    "ls /var/lib/left4me/runtime/b/upper",
		"write into its neighbour":      "touch /var/lib/left4me/runtime/b/merged/x",
		"list other servers":            "ls /var/lib/left4me/runtime | grep -vx a",
		"read settings, also its own":   "cat /var/lib/left4me/instances/a/settings.json",
		"read its neighbour's settings": "cat /var/lib/left4me/instances/b/instance.env",
		"read an overlay not its own":   "cat /var/lib/left4me/overlays/other/file",
		"learn its neighbour's name":    "grep -F /b/ /proc/self/mountinfo",
		"see data of the host":          "ls -d /srv /opt /boot /var/log /var/lib/dpkg | grep . || ls -A /home | grep . || ls /root",
		"write into the installation":   "touch /var/lib/left4me/installation/x",
		"read the database":             "cat /var/lib/left4med/state.db",
		"write elsewhere":               "touch /var/lib/x || touch /etc/x || touch /run/x",
		"see left4med's socket":         "ls " + host.Socket,
		"see systemd's socket":          "ls /run/systemd/private",
		"see the bus":                   "ls /run/dbus/system_bus_socket",
		"signal its neighbour":          fmt.Sprintf("kill -0 %d", b),
		"see its neighbour's process":   fmt.Sprintf("cat /proc/%d/environ", b),
		"change a kernel setting":       "echo 1 >/proc/sys/kernel/sysrq",
		"move itself to another cgroup": "echo $$ >/sys/fs/cgroup/cgroup.procs",
	} {
		if out, err := l.tryAsGame(t, "a", script); err == nil {
			t.Errorf("a game can %s:\n%s", what, out)
		} else if failed := new(machine.CommandError); !errors.As(err, &failed) || failed.ExitCode <= 0 {
			t.Errorf("the attempt to %s did not run: %v", what, err)
		}
	}
	l.asGame(t, "a", "touch /var/lib/left4me/runtime/a/merged/left4dead2/addons/mine && cat /etc/resolv.conf >/dev/null || test ! -e /etc/resolv.conf")
}

// gameHasNoRights looks at the real process with the kernel's eyes.
func gameHasNoRights(t *testing.T, l *lab) {
	var rights []string
	for line := range strings.Lines(l.MustRun(t, "cat", fmt.Sprintf("/proc/%d/status", l.shown(t, "a").MainPID))) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp":
			rights = append(rights, key+" "+strings.TrimSpace(value))
		}
	}
	const none = " 0000000000000000"
	same(t, "the game's rights", []string{
		"CapInh" + none, "CapPrm" + none, "CapEff" + none, "CapBnd" + none, "CapAmb" + none, "NoNewPrivs 1", "Seccomp 2",
	}, rights)
}

// doorsAreKept asks left4med as users of the host.
func doorsAreKept(t *testing.T, l *lab) {
	l.shell(t, "useradd --create-home someone; useradd --create-home --groups left4med-operators op")
	user := func(name string) machine.User {
		u, err := l.LookupUser(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	exit := func(u machine.User, name string, args ...string) (int, string) {
		out, err := l.as(t.Context(), u, name, args...)
		if failed := new(machine.CommandError); errors.As(err, &failed) {
			return failed.ExitCode, failed.Stdout + failed.Stderr
		} else if err != nil {
			t.Fatal(err)
		}
		return 0, out
	}

	someone := user("someone")
	if code, out := exit(someone, "l4d2ctl", "list"); code != 0 || !strings.Contains(out, "running") {
		t.Errorf("a user cannot see the bare states: %d\n%s", code, out)
	}
	if code, out := exit(someone, "l4d2ctl", "list", "--json"); code != 0 || strings.Contains(out, "hostname") {
		t.Errorf("a user sees settings: %d\n%s", code, out)
	}
	for _, args := range [][]string{{"stop", "a"}, {"delete", "--yes", "a"}, {"logs", "a"}, {"jobs"}, {"initialize", "c"}} {
		if code, out := exit(someone, "l4d2ctl", args...); code != 4 || !strings.Contains(out, "left4med-operators") {
			t.Errorf("l4d2ctl %s as a user: exit %d, want 4 and the group to be in\n%s", args, code, out)
		}
	}
	same(t, "a after the attempts", moment{client.DesiredRunning, client.StateRunning, client.DriftNone}, momentOf(l.server(t, "a")))

	if code, out := exit(user("op"), "l4d2ctl", "start", "--restart", "a"); code != 0 {
		t.Errorf("an operator cannot restart: %d\n%s", code, out)
	}

	// A game's uid is refused, also with the operators' group.
	uid, err := strconv.Atoi(strings.TrimSpace(l.asGame(t, "a", "id -u")))
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range []int{uid, 61184, 65519} { // the ends of systemd's range
		game := machine.User{Name: "game", UID: uid, GID: uid, Groups: user("op").Groups, Home: "/"}
		code, out := exit(game, "curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--unix-socket", host.Socket, "http://x/v1/servers")
		if code != 0 || out != "403" {
			t.Errorf("a game's uid %d got %q (exit %d), want 403", uid, out, code)
		}
	}
}
