package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// TestIsolation looks at the host with a game's eyes, and with those of users
// who may less than root.
func TestIsolation(t *testing.T) {
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.running(t, "game", "other")
		t.Run("Game", func(t *testing.T) { isolationGame(t, l) })
		t.Run("Door", func(t *testing.T) { isolationDoor(t, l) })
		t.Run("Users", func(t *testing.T) { isolationUsers(t, l) })
	})
}

// isolationGame tries what a game must not be able to do. Each line is a name
// and a shell command that fails where the game is shut in.
func isolationGame(t *testing.T, l *lab) {
	l.keep(t, "game", "mine") // it may write its own tree
	other := l.shown(t, "other")
	tries := []struct{ what, command string }{
		{"see the control socket", "ls -d /run/left4med /run/left4med/left4med.sock"},
		{"see systemd's socket", "ls -d /run/systemd/private"},
		{"see the bus", "ls -d /run/dbus/system_bus_socket"},
		{"look into the other's tree", "ls " + merged("other")},
		{"look into the other's upper layer", "ls /var/lib/left4me/runtime/other/upper"},
		{"look into the other's settings", "ls /var/lib/left4me/instances/other"},
		{"read the other's settings", "cat /var/lib/left4me/instances/other/instance.env"},
		{"look into its own settings", "ls /var/lib/left4me/instances/game"},
		{"change its upper layer from below", "touch /var/lib/left4me/runtime/game/upper/x"},
		{"look into the overlays", "ls /var/lib/left4me/overlays"},
		{"see the database", "ls /var/lib/left4med/state.db"},
		{"see the other's process", fmt.Sprintf("ls /proc/%d", other.MainPID)},
		{"enter the other's root", fmt.Sprintf("ls /proc/%d/root/", other.MainPID)},
		{"kill the other", fmt.Sprintf("kill -0 %d", other.MainPID)},
		{"kill PID 1", "kill -0 1"},
		{"write to /etc", "touch /etc/x"},
		{"write to /usr", "touch /usr/x"},
		{"write to the installation", "touch /var/lib/left4me/installation/x"},
		{"write beside its tree", "touch /var/lib/left4me/x"},
		{"make a device", "mknod x b 7 0"},
		{"see homes", "ls /root"},
		{"write to cgroups", "touch /sys/fs/cgroup/x"},
		{"set a kernel variable", "echo x >/proc/sys/kernel/hostname"},
		{"mount", "mount -t tmpfs tmpfs /tmp"},
	}
	for _, try := range tries {
		if out, err := l.tryAsGame(t, "game", try.command); err == nil {
			t.Errorf("a game can %s:\n%s", try.what, out)
		}
	}
	// The unit's own sandbox, as the kernel sees the real process.
	status := l.MustRun(t, "cat", fmt.Sprintf("/proc/%d/status", l.shown(t, "game").MainPID))
	var kernel []string
	for line := range strings.Lines(status) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp":
			kernel = append(kernel, key+" "+strings.TrimSpace(value))
		}
	}
	const none = " 0000000000000000"
	same(t, "the game's rights", []string{
		"CapInh" + none, "CapPrm" + none, "CapEff" + none, "CapBnd" + none, "CapAmb" + none, "NoNewPrivs 1", "Seccomp 2",
	}, kernel)
}

// curl asks for a path on the socket as a user, and returns the whole answer.
func (l *lab) curl(t *testing.T, user machine.User, method, path string) string {
	t.Helper()
	out, err := l.as(t.Context(), user, "curl", "--silent", "--show-error", "--include", "--unix-socket", host.Socket,
		"--request", method, "http://left4med"+path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// isolationDoor connects with uids of games: they are refused at the door, for
// whatever they ask, in whatever group they are.
func isolationDoor(t *testing.T, l *lab) {
	nobody, err := l.LookupUser(t.Context(), "nobody")
	if err != nil {
		t.Fatal(err)
	}
	gid := number(t, strings.TrimSpace(l.shell(t, "getent group left4med-operators | cut -d: -f3")))
	uid := number(t, strings.TrimSpace(l.shell(t, fmt.Sprintf("awk '/^Uid:/ {print $2}' /proc/%d/status", l.shown(t, "game").MainPID))))
	for _, user := range []machine.User{
		{Name: "game", UID: int(uid), GID: int(uid), Home: "/"},
		{Name: "game", UID: int(uid), GID: int(uid), Groups: []int{int(gid)}, Home: "/"},
		{Name: "first", UID: 61184, GID: 61184, Home: "/"},
		{Name: "last", UID: 65519, GID: 65519, Home: "/"},
	} {
		for _, request := range [][2]string{{"GET", "/v1/servers"}, {"GET", "/v1/health"}, {"POST", "/v1/servers/other/stop"}} {
			answer := l.curl(t, user, request[0], request[1])
			if !strings.HasPrefix(answer, "HTTP/1.1 403 ") || !strings.Contains(answer, `"code":"not-authorized"`) {
				t.Errorf("uid %d, %v: %s", user.UID, request, answer)
			}
		}
	}
	if answer := l.curl(t, nobody, "GET", "/v1/servers"); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Errorf("nobody may not list: %s", answer)
	}
}

// isolationUsers tries a stranger, who may see bare states, and an operator.
func isolationUsers(t *testing.T, l *lab) {
	l.shell(t, "useradd --create-home kim; useradd --create-home --groups left4med-operators op")
	as := func(user string, args ...string) host.Result {
		t.Helper()
		who, err := l.LookupUser(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		return result(t, l.CommandAs(t.Context(), who, "l4d2ctl", args...))
	}
	run := l.shown(t, "game")
	list := as("kim", "list")
	same(t, "a stranger's list", 0, list.Code)
	contains(t, list.Stdout, "game\trunning\trunning\tnone\t-\t-\t")
	if strings.Contains(list.Stdout, "27000") || strings.Contains(as("kim", "show", "game", "--json").Stdout, "27000") {
		t.Error("a stranger sees settings")
	}
	for _, args := range [][]string{
		{"start", "game"}, {"stop", "game"}, {"stop", "--all"}, {"start", "--restart", "game"}, {"delete", "--yes", "game"},
		{"initialize", "mine"}, {"initialize", "game", "--map", "x"}, {"logs", "game"}, {"jobs"}, {"jobs", "--cancel", "1"},
	} {
		r := as("kim", args...)
		same(t, fmt.Sprintf("a stranger's %q", args), 4, r.Code)
		contains(t, r.Stderr, "kim", "left4med-operators")
	}
	same(t, "the run", run, l.shown(t, "game"))

	same(t, "an operator's initialize", 0, as("op", "initialize", "theirs").Code)
	same(t, "an operator's start", 0, as("op", "start", "theirs").Code)
	contains(t, as("op", "list").Stdout, "theirs\trunning\trunning\tnone\t27002\tc1m1_hotel\t")
	contains(t, as("op", "jobs").Stdout, "\top\t")
	same(t, "an operator's delete", 0, as("op", "delete", "--yes", "theirs").Code)
}
