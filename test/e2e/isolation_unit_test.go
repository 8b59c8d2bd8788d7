package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/left4med/left4med/test/host"
)

// unitIsShut has game a itself try what only the whole of its unit forbids, with
// the user namespace and the system calls that it really has. The scripts exit
// with 0 when they get what they want.
func unitIsShut(t *testing.T, l *lab) {
	const secret = "/var/lib/left4me/instances/b/secret"
	l.shell(t, "umask 077; echo geheim-b >"+secret)
	b, daemon := l.shown(t, "b").MainPID, number(t, strings.TrimSpace(l.systemctl(t, "show", "--value", "--property=MainPID", "left4med.service")))
	attempts := map[string]string{}
	for who, pid := range map[string]uint32{"its neighbour": b, "left4med": daemon, "systemd": 1} {
		p := fmt.Sprint(pid)
		for what, script := range map[string]string{
			"trace":                    syscalls("101, 16, PID, 0, 0", "101, 0x4206, PID, 0, 0"), // ptrace: ATTACH, SEIZE
			"read memory of":           syscalls(`310, PID, pack("QQ", unpack("Q", pack("P", $b)), 8), 1, pack("QQ", 0x400000, 8), 1, 0`),
			"open memory of":           "head -c 1 /proc/PID/mem",
			"signal":                   "kill -0 PID || kill -CONT PID || " + syscalls("424, 434, 18, 0, 0"), // pidfd_send_signal
			"take a descriptor of":     syscalls("438, $fd = syscall(434, PID, 0), 0, 0"),                    // pidfd_getfd of pidfd_open
			"look into the root of":    "ls /proc/PID/root/ || cat /proc/PID/root/etc/passwd || ls /proc/PID/cwd/",
			"read the environment of":  "cat /proc/PID/environ || cat /proc/PID/maps || ls /proc/PID/fd",
			"see the command line of":  "grep . /proc/PID/cmdline",
			"enter the namespaces of":  "nsenter -t PID -m true || nsenter -t PID -U true || nsenter -t PID -n true",
			"change the limits of":     "prlimit --pid PID --nofile=10",
			"read a secret through":    "cat /proc/PID/root" + secret + " || cat /proc/PID/cwd/../../../../../../.." + secret,
			"reach the sockets behind": connects("/proc/PID/root"+host.Socket, "/proc/PID/root/run/dbus/system_bus_socket", "/proc/PID/root/run/systemd/private"),
		} {
			attempts[what+" "+who] = strings.ReplaceAll(script, "PID", p)
		}
	}
	for what, script := range map[string]string{
		"read a secret":                    "cat " + secret + " || ls /var/lib/left4me/instances || grep -r geheim-b /var/lib/left4me /run /etc",
		"reach left4med":                   connects(host.Socket, "/var"+host.Socket, "/proc/self/root"+host.Socket, "/proc/1/root"+host.Socket),
		"reach the bus":                    connects("/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket", "/proc/self/root/run/dbus/system_bus_socket", "/proc/thread-self/root/run/dbus/system_bus_socket"),
		"reach systemd":                    connects("/run/systemd/private", "/run/systemd/notify", "/run/systemd/userdb/io.systemd.DynamicUser", "/run/systemd/io.system.ManagedOOM"),
		"reach journald":                   connects("/run/systemd/journal/socket", "/run/systemd/journal/stdout", "/run/systemd/journal/dev-log", "/dev/log"),
		"reach an abstract socket by name": connects(`\0`+host.Socket, `\0/run/dbus/system_bus_socket`, `\0/run/systemd/private`),
		"reach any abstract socket":        `for s in $(awk '$8 ~ /^@/ {print substr($8, 2)}' /proc/net/unix); do ` + strings.ReplaceAll(connects(`\0NAME`), "NAME", `'"$s"'`) + " && exit 0; done; exit 1",
		"make a namespace":                 "unshare -U true || unshare -m true || unshare -Ur mount -t tmpfs x /tmp",
		"mount":                            "mount -t tmpfs x /tmp || mount --bind / /tmp",
		"become root":                      "setpriv --reuid=0 true || chroot / true",
		"make a program of root's":         "cp /usr/bin/true mine && chmod 4755 mine && test -u mine",
		"load BPF or keys":                 syscalls("321, 5, 0, 0", `248, "user", "x", "y", 1, 0xfffffffc`),
		"open a raw socket":                `perl -e 'use Socket; socket(my $s, PF_INET, SOCK_RAW, 1) or socket($s, 17, SOCK_RAW, 3) or exit 1'`,
	} {
		attempts[what] = script
	}
	for what, script := range attempts {
		if code, out := l.tryInUnit(t, "a", "( "+script+" ) 2>&1"); code == 0 {
			t.Errorf("a game in its unit can %s:\n%s", what, out)
		} else if strings.Contains(out, "not found") || strings.Contains(out, "yntax error") {
			t.Errorf("the attempt to %s did not run: %s", what, out)
		}
	}
	// The means themselves work: what the attempts use is what a game can use.
	l.inUnit(t, "a", "kill -0 $$; grep . /proc/self/cmdline >/dev/null; test $(id -u) -ge 61184; "+syscalls("39"))
}

// syscalls is a script that makes system calls (of amd64) and succeeds when one of
// them does.
func syscalls(calls ...string) string {
	var tries []string
	for _, call := range calls {
		tries = append(tries, "syscall("+call+") != -1")
	}
	return `perl -e '$b = "x" x 8; exit 0 if ` + strings.Join(tries, " or ") + `; die "$!\n"'`
}

// connects is a script that connects to unix sockets, as a stream or as packets,
// and succeeds when one lets it. \0 begins an abstract name.
func connects(paths ...string) string {
	return `perl -e 'use Socket; for my $p (@ARGV) { $p =~ s/^\\0/\0/; for my $k (SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET) { socket(my $s, PF_UNIX, $k, 0) or die $!; exit 0 if connect($s, pack_sockaddr_un($p)) } } die "$!\n"' '` +
		strings.Join(paths, "' '") + "'"
}
