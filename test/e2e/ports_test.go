package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/left4med/left4med/test/machine"
)

// bindPerl binds ports from within a game's unit and prints what came of each:
// "udp 27000 ok" or the kernel's word.
const bindPerl = `use Socket; for (@ARGV) { my ($p, $n) = split /:/;
	socket(my $s, PF_INET, $p eq "tcp" ? SOCK_STREAM : SOCK_DGRAM, 0) or die $!;
	print "$p $n ", (bind($s, sockaddr_in($n, INADDR_ANY)) ? "ok" : "$!"), "\n" }`

// binds tries to bind ports as the game.
func (l *lab) binds(t *testing.T, name string, ports ...string) string {
	t.Helper()
	return l.inUnit(t, name, "perl -e '"+bindPerl+"' "+strings.Join(ports, " "))
}

// TestPorts lets a game bind what is its own and no other port, where systemd can
// forbid it, over a change of the port, a reboot, and an upgrade from a version
// that allowed all games' ports to each.
func TestPorts(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		const dropIn = "/etc/systemd/system.control/left4me-server@a.service.d/50-SocketBindAllow.conf"
		l.MustCtl(t, "initialize", "a", "--port", "27100")
		l.MustCtl(t, "initialize", "b", "--port", "27101")
		l.MustCtl(t, "start", "a")
		contains(t, l.shell(t, "cat /proc/"+fmt.Sprint(l.shown(t, "a").MainPID)+"/cmdline | tr '\\0' ' '"), "+hostport 27100", "+clientport 28100 +tv_port 29100")
		others := []string{"udp:27101", "tcp:27101", "udp:28101", "udp:29101", "udp:27500", "tcp:27500", "udp:27005", "tcp:8080", "udp:26899", "tcp:26900"}
		if release == machine.Bookworm {
			if l.Run(t.Context(), "test", "-e", dropIn) == nil {
				t.Error("a systemd that cannot forbid ports was asked to")
			}
			return
		}
		own := func(t *testing.T, port int) {
			t.Helper()
			rest := port % 1000
			// The game listens there for RCON, which it could not were it forbidden.
			ask, want := []string{fmt.Sprint("tcp:", port)}, []string{fmt.Sprint("tcp ", port, " Address already in use")}
			for _, p := range []string{fmt.Sprint("udp:", 28000+rest), fmt.Sprint("udp:", 29000+rest), "udp:26900", "udp:26999"} {
				ask, want = append(ask, p), append(want, strings.Replace(p, ":", " ", 1)+" ok")
			}
			same(t, "binding what is its own", strings.Join(want, "\n")+"\n", l.binds(t, "a", ask...))
			// systemd lets go of it at a reload until left4med sees to it, which
			// nobody tells.
			l.inUnit(t, "a", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do perl -e '"+bindPerl+"' "+others[0]+" | grep -q ok || exit 0; sleep 0.2; done")
			want = nil
			for _, p := range others {
				want = append(want, strings.Replace(p, ":", " ", 1)+" Operation not permitted")
			}
			same(t, "binding what is not its own", strings.Join(want, "\n")+"\n", l.binds(t, "a", others...))
		}
		t.Run("Own", func(t *testing.T) { own(t, 27100) })
		t.Run("AfterReloads", func(t *testing.T) {
			for _, verb := range []string{"daemon-reload", "daemon-reexec"} {
				l.systemctl(t, verb)
				own(t, 27100)
			}
		})
		t.Run("ByASystemThatHasNoLeft4med", func(t *testing.T) {
			l.systemctl(t, "mask", "left4med.service", "left4med.socket")
			if err := l.Reboot(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.systemctl(t, "start", unit("a")) // waits for the start at boot
			l.systemctl(t, "unmask", "left4med.service", "left4med.socket")
			l.systemctl(t, "start", "left4med.socket", "left4med.service")
			l.awaitMoment(t, "a", up)
			own(t, 27100)
		})
		t.Run("Changed", func(t *testing.T) {
			l.MustCtl(t, "initialize", "a", "--port", "27200")
			others = append(others, "udp:27100", "tcp:27100")
			l.systemctl(t, "restart", unit("a")) // also without a job of left4med's
			own(t, 27200)
		})
		t.Run("OfAnOlderVersion", func(t *testing.T) {
			l.systemctl(t, "stop", "left4med.service")
			l.shell(t, `rm -r `+dropIn+`; sed -i 's/ +clientport 28200 +tv_port 29200//' /var/lib/left4me/instances/a/instance.env; systemctl daemon-reload; systemctl start left4med.service; `+
				// The daemon mends what it finds after it has said that it is ready.
				`for i in $(seq 600); do if test -e `+dropIn+` && grep -q 'tv_port 29200' /var/lib/left4me/instances/a/instance.env; then break; fi; sleep 0.1; done`)
			l.systemctl(t, "restart", unit("a"))
			own(t, 27200)
		})
		t.Run("Deleted", func(t *testing.T) {
			l.MustCtl(t, "delete", "--yes", "a")
			if l.Run(t.Context(), "test", "-e", dropIn) == nil {
				t.Error("the drop-in is there after the deletion")
			}
		})
	})
}
