package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/test/machine"
)

// webhookPerl prints the body of each request, and answers 500 while /root/broken
// is there.
const webhookPerl = `use IO::Socket::INET; $| = 1;
	my $s = IO::Socket::INET->new(Listen => 20, ReuseAddr => 1, LocalAddr => "127.0.0.1", LocalPort => 8098) or die $!;
	print "ready\n";
	while (my $c = $s->accept) { my $n = 0;
		while (defined(my $l = <$c>)) { $n = $1 if $l =~ /^Content-Length: (\d+)/i; last if $l eq "\r\n" }
		read($c, my $b, $n); print "$b\n";
		print $c (-e "/root/broken" ? "HTTP/1.1 500 Oh\r\n" : "HTTP/1.1 204 No Content\r\n") . "Content-Length: 0\r\nConnection: close\r\n\r\n"; close $c }`

const alertSettings = `[start]
settle = "100ms"
[[alerts]]
name = "ops"
url = "http://127.0.0.1:8098/T0KEN"
allow_http = true
allow_private = true
units = ["hook@%e-%i.service"]
`

// TestAlerts has a webhook and a unit told of what becomes of a server, while the
// daemon and the probe are killed.
func TestAlerts(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.write(t, "/etc/systemd/system/hook@.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo %i >>/root/hooked'\n")
		l.systemctl(t, "daemon-reload")
		l.configure(t, alertSettings)
		l.running(t, "a")
		contains(t, l.ctl(t, "doctor", "--alerts").Stdout, "nothing listens at the webhook's address")
		next := l.webhook(t)

		l.MustCtl(t, "doctor", "--alerts")
		if a := next(); !a.Test || a.Event != server.AlertTest || a.Rule != "ops" {
			t.Errorf("the test: %+v", a)
		}

		l.shell(t, "touch /root/broken")
		l.systemctl(t, "stop", unit("a"))
		first := next()
		l.shell(t, "systemctl kill --signal=KILL left4med.service; systemctl kill --signal=KILL left4med-probe.service || true")
		again := next()
		l.shell(t, "rm /root/broken")
		l.MustCtl(t, "start", "a")
		told := []string{alertWords(first), alertWords(again)}
		for a := again; a.State != server.AlertResolved; {
			if a = next(); !a.Repeated || a.State == server.AlertResolved {
				told = append(told, alertWords(a))
			}
		}
		down := "down firing 1 a: a should run, and is stopped"
		same(t, "what the webhook was told", []string{down, down + " (repeated)", "down resolved 3 a: a runs again"}, told)

		l.shell(t, "mkdir /var/lib/left4me/instances/lost")
		if err := l.api(t).Resync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a := next(); alertWords(a) != "orphan firing 5 lost: lost belongs to no server: an instance's directory" {
			t.Errorf("of the orphan: %+v", a)
		}
		l.hooked(t, "down-a", "orphan-lost", "recovered-a", "test-_test")
		l.keepsAddress(t)
		l.toldThroughKills(t, next)
	})
}

// toldThroughKills has a server go down and come back, over and over, and kills the
// daemon and the probe some moment later: each change is told of, and what comes a
// second time says so. LEFT4MED_CRASH_SEED repeats the moments. systemd is made to
// forget how often it started the server, or it would refuse to.
func (l *lab) toldThroughKills(t *testing.T, next func() server.Alert) {
	t.Helper()
	rng := seeded(t)
	came := map[int64]bool{}
	var last int64
	for i := range 10 {
		verb, want := "stop", server.AlertFiring
		if i%2 == 1 {
			verb, want = "start", server.AlertResolved
		}
		after := rng.IntN(250)
		l.shell(t, fmt.Sprintf("systemctl reset-failed %[2]s 2>/dev/null || true; systemctl %[1]s %[2]s; sleep 0.%03[3]d; for u in left4med left4med-probe; do systemctl kill --signal=KILL $u.service 2>/dev/null || true; done", verb, unit("a"), after))
		for told := false; !told; {
			a := next()
			if came[a.ID] && !a.Repeated {
				t.Errorf("alert %d came again and does not say so, after a kill %d ms after the %s", a.ID, after, verb)
			}
			came[a.ID] = true
			told = a.ID > last && a.Event == server.AlertDown && a.State == want
			if told {
				last = a.ID
			}
		}
	}
}

// alertWords are an alert in short.
func alertWords(a server.Alert) string {
	text := fmt.Sprintf("%s %s %d %s: %s", a.Event, a.State, a.ID, a.Server, a.Text)
	if a.Repeated {
		text += " (repeated)"
	}
	return text
}

// webhook listens on the machine's loopback; next waits for what it is sent.
func (l *lab) webhook(t *testing.T) (next func() server.Alert) {
	t.Helper()
	cmd := l.Command(within(t, "the end of the webhook"), "perl", "-e", webhookPerl)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	said := bufio.NewReader(out)
	if line, err := said.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the webhook said %q, %v", line, err)
	}
	return func() (a server.Alert) {
		t.Helper()
		line, err := said.ReadString('\n')
		if err != nil {
			t.Fatalf("nothing more is told: %v", err)
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("the webhook was told %q: %v", line, err)
		}
		return a
	}
}

// hooked waits until the unit of the alerts was started for these instances, each
// at least once, and for no others.
func (l *lab) hooked(t *testing.T, want ...string) {
	t.Helper()
	for _, instance := range want {
		l.shell(t, "until grep -qx -- '"+instance+"' /root/hooked; do sleep 0.05; done")
	}
	same(t, "what the unit was started for", want, strings.Fields(l.shell(t, "LC_ALL=C sort -u /root/hooked")))
}

// keepsAddress looks for the webhook's address wherever somebody could read it,
// and has doctor say that the settings can be.
func (l *lab) keepsAddress(t *testing.T) {
	t.Helper()
	seen := l.shell(t, `journalctl --no-pager --all -o export -u left4med.service -u left4med-probe.service | grep -c 'T0KE[N]' || true
		grep -l 'T0KE[N]' /proc/[0-9]*/cmdline 2>/dev/null | wc -l
		cat /var/lib/left4med/state.db* | grep -c 'T0KE[N]' || true
		l4d2ctl history --json | grep -c 'T0KE[N]' || true
		l4d2ctl doctor --json | grep -c 'T0KE[N]' || true`)
	same(t, "where the address is", "0 0 0 0 0", strings.Join(strings.Fields(seen), " "))
	settings := func() (ok bool) {
		h, err := l.api(t).Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range h.Checks {
			if c.Name == "settings" {
				if !c.OK {
					l.shell(t, c.Cure)
				}
				return c.OK
			}
		}
		t.Fatal("doctor does not look at the settings")
		return false
	}
	same(t, "the settings are root's alone, before and after the cure", []bool{false, true}, []bool{settings(), settings()})
	l.logged(t, "left4med.service", "others than root may read it")
}
