package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/test/machine"
)

// TestProbe asks left4med-probe as the daemon does: who may ask, whose socket is
// told a password, where it posts to, and what its end does to anything else.
func TestProbe(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.running(t, "a")
		p := &prober{lab: l, Client: probe.New(l.Path(probe.Socket)), port: l.server(t, "a").Config.Port}
		t.Cleanup(p.Close)
		p.password = l.secrets(t, "a")["rcon"]
		p.cgroup = p.cgroupOf(t, unit("a"))
		t.Run("Game", p.asksTheGame)
		t.Run("Others", p.servesNobodyElse)
		t.Run("Sandbox", p.seesNothing)
		t.Run("Webhooks", p.posts)
		t.Run("End", p.ends)
		t.Run("Neighbour", p.tellsNoNeighbour) // ends the game
	})
}

type prober struct {
	*lab
	*probe.Client
	port     uint16
	cgroup   uint64
	password string
}

func (p *prober) target() probe.Target { return probe.Target{Port: p.port, Cgroup: p.cgroup} }

func (p *prober) command(text string) probe.Command {
	return probe.Command{Target: p.target(), Password: p.password, Command: text}
}

// cgroupOf is the id of a unit's control group.
func (p *prober) cgroupOf(t *testing.T, unit string) uint64 {
	t.Helper()
	out := p.shell(t, "stat --format=%i /sys/fs/cgroup$(systemctl show --value --property=ControlGroup "+unit+")")
	id, err := strconv.ParseUint(strings.TrimSpace(out), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// run is a process that serves the test until its input ends; it says when it is
// ready. stop ends it and returns what it said since.
func (p *prober) run(t *testing.T, name string, args ...string) (stop func() string) {
	t.Helper()
	cmd := p.Command(within(t, "the end of "+name), name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	if line, err := said.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%s said %q, %v", name, line, err)
	}
	return func() string {
		_ = in.Close()
		rest, _ := io.ReadAll(said)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return string(rest)
	}
}

// fails fails the test unless an error is this kind of Fault.
func fails(t *testing.T, what string, err error, code probe.FaultCode) {
	t.Helper()
	var fault *probe.Fault
	if !errors.As(err, &fault) || fault.Code != code {
		t.Errorf("%s: %v, and not %s", what, err, code)
	}
}

func (p *prober) asksTheGame(t *testing.T) {
	answer, err := p.Query(t.Context(), probe.Query{Target: p.target(), Players: true, TimeoutMS: 5000})
	if err != nil {
		t.Fatal(err)
	}
	if answer.Map != p.server(t, "a").Config.Map || answer.Players != 0 || answer.ListFault != nil {
		t.Errorf("the game told %+v", answer)
	}
	output, err := p.RCON(t.Context(), p.command("echo hello"))
	if err != nil || !strings.Contains(output.Output, "hello") {
		t.Errorf("the game answered %+v, %v", output, err)
	}
	wrong := p.command("echo hello")
	wrong.Password = "falsch"
	_, err = p.RCON(t.Context(), wrong)
	fails(t, "a wrong password", err, probe.FaultPassword)
}

// servesNobodyElse has a user and the game itself try the probe's socket.
func (p *prober) servesNobodyElse(t *testing.T) {
	p.shell(t, "useradd --create-home --groups left4med-operators op")
	for _, who := range []string{"op", "nobody", "left4me", "left4med-web"} {
		out, err := p.as(t.Context(), p.user(t, who), "sh", "-c", connects(probe.Socket))
		if failed := new(machine.CommandError); !errors.As(err, &failed) || !strings.Contains(failed.Stderr, "Permission denied") {
			t.Errorf("%s connects to the probe: %v %s", who, err, out)
		}
	}
	if code, out := p.tryInUnit(t, "a", connects(probe.Socket, "/proc/1/root"+probe.Socket)); code == 0 {
		t.Errorf("a game connects to the probe:\n%s", out)
	}
}

// seesNothing looks around from where the probe is, and at its rights.
func (p *prober) seesNothing(t *testing.T) {
	pid := p.pid(t)
	root := "/proc/" + pid + "/root"
	p.shell(t, "test -e "+root+"/etc/resolv.conf || test ! -e /etc/resolv.conf")
	same(t, "what the probe sees of the host", "", strings.TrimSpace(p.shell(t, "cd "+root+`; ls -A root 2>/dev/null || true; ls -d boot home mnt opt srv 2>/dev/null || true; find var -mindepth 3
		ls -A run | grep -vxE 'host|systemd|credentials|resolvconf|NetworkManager|connman' || true; ls run/left4med run/systemd/private etc/left4me/* 2>/dev/null || true`)))
	var rights []string
	for line := range strings.Lines(p.shell(t, "cat /proc/"+pid+"/status")) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp":
			rights = append(rights, key+" "+strings.TrimSpace(value))
		}
	}
	const none = " 0000000000000000"
	same(t, "the probe's rights", []string{
		"CapInh" + none, "CapPrm" + none, "CapEff" + none, "CapBnd" + none, "CapAmb" + none, "NoNewPrivs 1", "Seccomp 2",
	}, rights)
	if uid := strings.TrimSpace(p.shell(t, "stat --format=%u /proc/"+pid)); uid == "0" {
		t.Error("the probe is root")
	}
}

// pid is the probe's process, which a request has started.
func (p *prober) pid(t *testing.T) string {
	t.Helper()
	pid := strings.TrimSpace(p.systemctl(t, "show", "--value", "--property=MainPID", "left4med-probe.service"))
	if pid == "0" {
		t.Fatal("the probe does not run")
	}
	return pid
}

// hookPerl is a webhook for one request.
const hookPerl = `use IO::Socket::INET; $| = 1; my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", LocalPort => 8099) or die $!;
	print "ready\n"; my $c = $s->accept; while (defined(my $l = <$c>)) { print $l =~ s/\r//r; last if $l eq "\r\n" }
	read($c, my $b, 15); print "$b\n"; print $c "HTTP/1.1 204 No Content\r\n\r\n"; close $c; <STDIN>`

func (p *prober) posts(t *testing.T) {
	stop := p.run(t, "perl", "-e", hookPerl)
	d := probe.Delivery{URL: "http://localhost:8099/geheim", Body: json.RawMessage(`{"content":"a"}`), AllowHTTP: true}
	_, err := p.Deliver(t.Context(), d)
	fails(t, "posting to loopback", err, probe.FaultAddress)
	d.AllowHTTP, d.AllowPrivate = false, true
	_, err = p.Deliver(t.Context(), d)
	fails(t, "posting over http", err, probe.FaultAddress)
	d.AllowHTTP = true
	done, err := p.Deliver(t.Context(), d)
	if err != nil || done.Status != 204 {
		t.Errorf("posting: %+v, %v", done, err)
	}
	version := strings.Fields(p.shell(t, "/usr/libexec/left4me/left4med-probe -version"))[1]
	posted := strings.Split(strings.TrimSpace(stop()), "\n")
	slices.Sort(posted[1 : len(posted)-2])
	same(t, "what was posted", []string{
		"POST /geheim HTTP/1.1", "Connection: close", "Content-Length: 15", "Content-Type: application/json", "Host: localhost:8099",
		"User-Agent: left4med/" + version, "", `{"content":"a"}`,
	}, posted)
	if journal := p.MustRun(t, "journalctl", "--no-pager", "-u", "left4med-probe.service"); strings.Contains(journal, "geheim") || strings.Contains(journal, p.password) {
		t.Errorf("the journal tells a secret:\n%s", journal)
	}
}

// ends kills the probe, has it hang, and stops it: each is a Fault of a request,
// and of nothing else.
func (p *prober) ends(t *testing.T) {
	others := func() string {
		return p.systemctl(t, "show", "--property=MainPID,InvocationID,NRestarts,ActiveState", "left4med.service", unit("a"), "left4med-probe.socket")
	}
	before := others()
	q := probe.Query{Target: p.target(), TimeoutMS: 5000}
	answers := func(when string) {
		t.Helper()
		if _, err := p.Query(t.Context(), q); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	p.shell(t, "kill -9 "+p.pid(t))
	answers("after a kill")
	// One thread takes the signal and then tells the others, which may answer until then.
	p.shell(t, "pid="+p.pid(t)+"; kill -STOP $pid; while grep -L '^State:.T' /proc/$pid/task/*/status | grep -q .; do sleep 0.01; done")
	_, err := p.Query(t.Context(), probe.Query{Target: p.target(), TimeoutMS: 1})
	fails(t, "asking one that hangs", err, probe.FaultGone)
	p.shell(t, "kill -9 "+p.pid(t))
	answers("after it hung")
	p.systemctl(t, "stop", "left4med-probe.service")
	answers("after a stop")
	same(t, "how often it may be started", "TriggerLimitIntervalUSec=0\nStartLimitIntervalUSec=0\n",
		p.systemctl(t, "show", "--property=TriggerLimitIntervalUSec", "left4med-probe.socket")+
			p.systemctl(t, "show", "--property=StartLimitIntervalUSec", "left4med-probe.service"))
	same(t, "the others", before, others())
}

// neighbourPerl holds a port, UDP and TCP, and says what it is sent.
const neighbourPerl = `use IO::Socket::INET; use IO::Select; $| = 1;
	my $u = IO::Socket::INET->new(Proto => "udp", LocalPort => $ARGV[0]) or die $!;
	my $l = IO::Socket::INET->new(Listen => 5, LocalPort => $ARGV[0]) or die $!;
	print "ready\n"; my $s = IO::Select->new($u, $l, \*STDIN);
	while (1) { my @ready = $s->can_read; for my $h (@ready) {
		if ($h == $l) { print "connected\n"; $s->add($l->accept) }
		elsif ($h == \*STDIN) { exit if @ready == 1 }
		else { my $n = sysread($h, my $b, 4096); print "told $b\n" if $n; $s->remove($h) if !$n } } }`

// tellsNoNeighbour has another process take the port of a server that stopped.
func (p *prober) tellsNoNeighbour(t *testing.T) {
	p.MustCtl(t, "stop", "a")
	stop := p.run(t, "setpriv", "--reuid=nobody", "--clear-groups", "perl", "-e", neighbourPerl, fmt.Sprint(p.port))
	_, err := p.RCON(t.Context(), p.command("status"))
	fails(t, "a command", err, probe.FaultStranger)
	_, err = p.Query(t.Context(), probe.Query{Target: p.target()})
	fails(t, "a query", err, probe.FaultStranger)
	same(t, "what the neighbour heard", "connected\n", stop())
	_, err = p.RCON(t.Context(), p.command("status"))
	fails(t, "a command to nobody", err, probe.FaultRefused)
}
