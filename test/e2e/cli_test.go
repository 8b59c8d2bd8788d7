package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestCLI uses l4d2ctl as its users do.
func TestCLI(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		for _, c := range []struct {
			name string
			test func(*testing.T, *lab)
		}{
			{"MainJob", cliMainJob},
			{"ExitCodes", cliExitCodes},
			{"Follow", cliFollow},
			{"Watch", cliWatch},
			{"Completion", cliCompletion},
			{"Manual", cliManual},
			{"Unreachable", cliUnreachable},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, l) })
		}
	})
}

// varying is what of an output differs from run to run: times, process ids, run
// ids, versions and the machine's name.
var varying = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|s) ago\b|\bjust now\b|\bnow\b`), "AGO"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ms\b|\t\d+(\.\d+)?m?s\t`), "TOOK"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "RUN"},
	{regexp.MustCompile(`(?m)^(process +)\d+$`), "${1}PID"},
	{regexp.MustCompile(`\b(trixie|bookworm)-[0-9a-f]+`), "HOST"},
	{regexp.MustCompile(`\bsystemd 25\d[^ \n]*`), "systemd VERSION"},
	{regexp.MustCompile(`\bleft4med \d[^ \n]*`), "left4med VERSION"},
	{regexp.MustCompile(`confirmed .* by a \w+`), "confirmed"},
	{regexp.MustCompile(`/(usr/)?lib/systemd`), "/lib/systemd"},
	{regexp.MustCompile(`((memory|cpu time|tasks) |game {3,}).*\n`), ""},
	{regexp.MustCompile(`(\bc\dm\d_\w+\t)(\d+/\d+|no answer|-)\t`), "${1}WHO\t"}, // the game is asked at its own times
}

// steady takes what varies out of an output.
func steady(out string) string {
	for _, v := range varying {
		out = v.pattern.ReplaceAllString(out, v.name)
	}
	return out
}

func cliMainJob(t *testing.T, l *lab) {
	r := l.ctl(t, "list")
	same(t, "an empty list", "There is no server yet. Create one with: l4d2ctl initialize NAME\n", r.Stdout+r.Stderr)
	r = l.ctl(t, "initialize", "versus-1", "--port", "27015", "--gamemode", "versus", "--set", "sv_alltalk=1")
	same(t, "initialize", "versus-1: initialized\nversus-1 has the port 27015. Start it with: l4d2ctl start versus-1\n", r.Stdout+r.Stderr)
	r = l.ctl(t, "start", "versus-1")
	same(t, "start", "versus-1: started\n", r.Stdout+r.Stderr)
	same(t, "list", "NAME\tSTATE\tDESIRED\tDRIFT\tPORT\tMAP\tPLAYERS\tSINCE\tJOB\tNOTE\n"+
		"versus-1\trunning\trunning\tnone\t27015\tc1m1_hotel\tWHO\tTIME\t-\t-\n", steady(l.MustCtl(t, "list")))
	same(t, "show", strings.TrimPrefix(`
name         versus-1
state        running since TIME (AGO)
             confirmed
desired      running (enabled: comes back at every boot)
drift        none
unit         left4me-server@versus-1.service
systemd      active, running, loaded, enabled, result success
process      PID
restarts     0 by systemd since the last start
invocation   RUN
port         27015
map          c1m1_hotel
game mode    versus
max players  8
hostname     versus-1
heal         off
cvars        sv_alltalk = 1
last job     2 start succeeded, AGO, asked for by root
`, "\n"), steady(l.MustCtl(t, "show", "versus-1")))
	same(t, "jobs", "ID\tSERVER\tKIND\tSTATE\tCREATED\tTOOK\tBY\tERROR\n"+
		"2\tversus-1\tstart\tsucceeded\tTIMETOOKroot\t-\n"+
		"1\tversus-1\tinitialize\tsucceeded\tTIMETOOKroot\t-\n", steady(l.MustCtl(t, "jobs")))
	r = l.ctl(t, "doctor")
	same(t, "doctor finds nothing", 0, r.Code)
	contains(t, r.Stdout, "left4med", "All is well.")
	contains(t, l.MustCtl(t, "version"), "l4d2ctl", "left4med")

	l.systemctl(t, "stop", unit("versus-1"))
	l.awaitMoment(t, "versus-1", lost)
	contains(t, l.MustCtl(t, "show", "versus-1"), "down since", "it should run, but it is stopped", "l4d2ctl start versus-1")
	same(t, "stop", "versus-1: stopped\n", l.ctl(t, "stop", "versus-1").Stderr)

	var got struct{ Servers []client.Server }
	if err := json.Unmarshal([]byte(l.MustCtl(t, "list", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	want := *l.server(t, "versus-1")
	want.ObservedAt, want.ObservedBy = got.Servers[0].ObservedAt, got.Servers[0].ObservedBy // a resync may come between
	same(t, "list --json", want, got.Servers[0])
}

func cliExitCodes(t *testing.T, l *lab) {
	l.create(t, "codes", "crashes", "hangs")
	l.dropIn(t, "crashes", "[Service]\nRestart=no\n")
	l.atStart(t, "crashes", "crash")
	l.dropIn(t, "hangs", hanging)
	for _, c := range []struct {
		want int
		args []string
	}{
		{0, []string{"start", "codes"}},
		{0, []string{"start", "codes"}},
		{0, []string{"stop", "codes", "codes"}},
		{1, []string{"initialize", "other", "--port", fmt.Sprint(l.server(t, "codes").Config.Port)}},
		{2, []string{"start", "No-Name"}},
		{2, []string{"start"}},
		{2, []string{"initialize", "codes", "--max-players", "99"}},
		{3, []string{"start", "absent"}},
		{3, []string{"show", "absent"}},
		{3, []string{"logs", "absent"}},
		{3, []string{"logs", "-f", "absent"}},
		{3, []string{"delete", "--yes", "absent"}},
		{3, []string{"stop", "codes", "absent"}},
		{5, []string{"--socket", "/run/nowhere.sock", "list"}},
		{6, []string{"start", "crashes"}},
		{6, []string{"start", "crashes", "codes", "absent"}}, // the highest of all
		{7, []string{"--timeout", "100ms", "start", "hangs"}},
		{0, []string{"start", "hangs", "--no-wait"}},
		{0, []string{"stop", "--all"}},
		{0, []string{"delete", "--yes", "codes", "crashes", "hangs"}},
	} {
		r := l.ctl(t, c.args...)
		if r.Code != c.want {
			t.Errorf("l4d2ctl %q ended with %d, want %d\n%s%s", c.args, r.Code, c.want, r.Stdout, r.Stderr)
		}
	}
}

// following starts an l4d2ctl that does not end, and returns the next of its
// lines that holds the text.
func (l *lab) following(t *testing.T, args ...string) (until func(text string) string) {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, "what l4d2ctl follows"))
	cmd := l.Command(ctx, "l4d2ctl", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return func(text string) string {
		t.Helper()
		var seen []string
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return lines.Text()
			}
			seen = append(seen, lines.Text())
		}
		t.Fatalf("l4d2ctl %q ended before %q:\n%s", args, text, strings.Join(seen, "\n"))
		return ""
	}
}

// cliFollow follows a log over a rotation of the journal, a restart of the
// daemon and one of the game.
func cliFollow(t *testing.T, l *lab) {
	l.running(t, "follow")
	until := l.following(t, "logs", "-f", "follow")
	until("VAC secure mode")
	l.now(t, "follow", "print before the rotation")
	until("before the rotation")
	l.MustRun(t, "journalctl", "--rotate", "--vacuum-files=1") // the file that was followed is gone
	l.now(t, "follow", "print after the rotation")
	until("after the rotation")
	l.leaveFollowing(t, "follow")
	l.systemctl(t, "restart", "left4med.service")
	l.now(t, "follow", "print after the daemon's restart")
	until("after the daemon's restart")
	l.MustCtl(t, "start", "--restart", "follow")
	until("VAC secure mode")
	l.MustCtl(t, "stop", "follow")
	until("Server shutting down")
}

// leaveFollowing follows a log beside l4d2ctl and goes: the daemon's journalctl
// for it goes, too, and the other stays.
func (l *lab) leaveFollowing(t *testing.T, name string) {
	t.Helper()
	followers := func() string {
		daemon := strings.TrimSpace(l.systemctl(t, "show", "--value", "--property=MainPID", "left4med.service"))
		out, _ := l.Output(t.Context(), "pgrep", "--count", "--parent", daemon, "journalctl") // it fails when there is none
		return strings.TrimSpace(out)
	}
	for _, err := range l.api(t).Logs(within(t, "a line"), name, client.LogsOptions{Follow: true, Lines: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		same(t, "while it follows, children of the daemon", "2", followers())
		break
	}
	for ctx := within(t, "its journalctl ends"); followers() != "1" && ctx.Err() == nil; {
		pause(ctx)
	}
	same(t, "when it has gone, children of the daemon", "1", followers())
}

func cliWatch(t *testing.T, l *lab) {
	l.create(t, "watched")
	until := l.following(t, "watch", "--json")
	l.MustCtl(t, "start", "watched")
	until(`"state":"running"`)
	l.systemctl(t, "stop", unit("watched"))
	until(`"drift":"down"`)
	l.MustCtl(t, "delete", "--yes", "watched")
}

func cliCompletion(t *testing.T, l *lab) {
	l.create(t, "tab-1", "tab-2")
	names := func(args ...string) []string {
		var found []string
		for line := range strings.Lines(l.MustCtl(t, append([]string{"__complete"}, args...)...)) {
			if name, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); strings.HasPrefix(name, "tab-") {
				found = append(found, name)
			}
		}
		slices.Sort(found)
		return found
	}
	same(t, "start", []string{"tab-1", "tab-2"}, names("start", ""))
	same(t, "start tab-1", []string{"tab-2"}, names("start", "tab-1", ""))
	same(t, "show takes one", []string(nil), names("show", "tab-1", ""))
	for _, file := range []string{
		"/usr/share/bash-completion/completions/l4d2ctl", "/usr/share/zsh/vendor-completions/_l4d2ctl", "/usr/share/fish/vendor_completions.d/l4d2ctl.fish",
	} {
		l.MustRun(t, "test", "-s", file)
	}
	l.MustCtl(t, "delete", "--yes", "tab-1", "tab-2")
}

func cliManual(t *testing.T, l *lab) {
	var missing []string
	pages := []string{"l4d2ctl.1", "left4med.toml.5", "left4med.8"}
	for _, command := range []string{"install", "initialize", "start", "stop", "delete", "list", "show", "logs", "watch", "jobs", "doctor", "version", "completion"} {
		pages = append(pages, "l4d2ctl-"+command+".1")
	}
	for _, page := range pages {
		if l.Run(t.Context(), "man", "--where", page) != nil {
			missing = append(missing, page)
		}
	}
	same(t, "missing manual pages", nil, missing)
}

func cliUnreachable(t *testing.T, l *lab) {
	l.systemctl(t, "stop", "left4med.service", "left4med.socket")
	for _, args := range [][]string{{"list"}, {"start", "versus-1"}, {"doctor"}} {
		r := l.ctl(t, args...)
		same(t, fmt.Sprintf("exit code of %q", args), 5, r.Code)
		contains(t, r.Stdout+r.Stderr, "left4med.socket")
	}
	// The socket alone starts the daemon.
	l.systemctl(t, "start", "left4med.socket")
	contains(t, l.MustCtl(t, "list"), "versus-1")
}
