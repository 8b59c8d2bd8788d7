package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// TestSecrets gives a server its secrets, and looks for them everywhere else.
func TestSecrets(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		for _, c := range []struct {
			name string
			test func(*testing.T, *lab)
		}{
			{"Generated", secretsGenerated},
			{"Set", secretsSet},
			{"Refused", secretsRefused},
			{"Completed", secretsCompleted},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, l) })
		}
	})
}

// secrets are what is stored for a server.
func (l *lab) secrets(t *testing.T, name string) map[string]string {
	t.Helper()
	const file = "/var/lib/left4me/instances/%s/secrets"
	var kept map[string]string
	if err := json.Unmarshal([]byte(l.MustRun(t, "cat", fmt.Sprintf(file, name))), &kept); err != nil {
		t.Fatal(err)
	}
	same(t, "its mode and owner", "600 root:root", strings.TrimSpace(l.MustRun(t, "stat", "--format=%a %U:%G", fmt.Sprintf(file, name))))
	return kept
}

// setSecret runs l4d2ctl with the secret on its standard input.
func (l *lab) setSecret(t *testing.T, name, which, value string, args ...string) host.Result {
	t.Helper()
	cmd := l.Command(t.Context(), "l4d2ctl", append([]string{"initialize", name, "--secret", which}, args...)...)
	cmd.Stdin = strings.NewReader(value + "\n")
	return result(t, cmd)
}

// told is what a running game finds in a file of its configuration.
func (l *lab) told(t *testing.T, name, file string) []string {
	t.Helper()
	text := l.asGame(t, name, "cat left4dead2/cfg/"+file)
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool { return strings.HasPrefix(line, "//") })
}

func secretsGenerated(t *testing.T, l *lab) {
	l.running(t, "gen-1", "gen-2")
	kept := l.secrets(t, "gen-1")
	if !regexp.MustCompile(`^[A-Za-z0-9]{32}$`).MatchString(kept["rcon"]) || len(kept) != 1 {
		t.Errorf("made are %v", kept)
	}
	if l.secrets(t, "gen-2")["rcon"] == kept["rcon"] {
		t.Error("two servers have the same")
	}
	rcon := []string{`rcon_password "` + kept["rcon"] + `"`}
	same(t, "what the game is told", rcon, l.told(t, "gen-1", "left4med-secrets.cfg"))
	contains(t, l.asGame(t, "gen-1", "cat left4dead2/cfg/server.cfg"), "\nexec user.cfg\nexec left4med-secrets.cfg\n")

	l.systemctl(t, "restart", "left4med.service")
	l.MustCtl(t, "initialize", "gen-1", "--hostname", "other")
	l.MustCtl(t, "start", "--restart", "gen-1")
	same(t, "what is kept", kept, l.secrets(t, "gen-1"))
	same(t, "what the game is told later", rcon, l.told(t, "gen-1", "left4med-secrets.cfg"))
	l.MustCtl(t, "delete", "--yes", "gen-1", "gen-2")
}

func secretsSet(t *testing.T, l *lab) {
	token := strings.Repeat("A1B2C3D4", 4)
	first, err := l.api(t).Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.running(t, "a", "b")
	generated := l.secrets(t, "a")["rcon"]
	due := "; it applies at the next start: l4d2ctl start --restart a\n"
	same(t, "rcon", host.Result{Stderr: "a: the secret rcon is set" + due}, l.setSecret(t, "a", "rcon", "Hunter2-{rcon}//"))
	same(t, "a restart is due", true, *l.server(t, "a").RestartDue)
	same(t, "what the game is told before it", []string{`rcon_password "` + generated + `"`}, l.told(t, "a", "left4med-secrets.cfg"))
	same(t, "password", host.Result{Stderr: "a: the settings are changed; they apply at the next start: l4d2ctl start --restart a\na: the secret password is set" + due},
		l.setSecret(t, "a", "password", "Hunter2-friends", "--map", "c2m1_highway"))
	same(t, "gslt", 0, l.setSecret(t, "a", "gslt", token, "--json").Code)
	l.MustCtl(t, "start", "--restart", "a")
	same(t, "a restart is due", false, *l.server(t, "a").RestartDue)
	same(t, "what the game is told", []string{`rcon_password "Hunter2-{rcon}//"`, `sv_password "Hunter2-friends"`}, l.told(t, "a", "left4med-secrets.cfg"))
	same(t, "what it logs in with", []string{`sv_setsteamaccount "` + token + `"`}, l.told(t, "a", "left4med-account.cfg"))
	contains(t, l.MustCtl(t, "logs", "a"), "executed left4med-account.cfg, 1 commands")
	kept := map[string]string{"rcon": "Hunter2-{rcon}//", "password": "Hunter2-friends", "gslt": token}
	same(t, "what is stored", kept, l.secrets(t, "a"))

	values := []string{"Hunter2", token, generated}
	t.Run("nobody reads them", func(t *testing.T) { secretsUnreadable(t, l, values) })
	t.Run("nothing shows them", func(t *testing.T) { l.nowhere(t, values, first.EventID) })

	for _, which := range []string{"rcon", "password", "gslt"} {
		same(t, "taken away", 0, l.setSecret(t, "a", which, "").Code)
	}
	l.MustCtl(t, "stop", "a")
	l.MustCtl(t, "start", "a")
	left := l.secrets(t, "a")
	same(t, "what is told after that", []string{`rcon_password "` + left["rcon"] + `"`}, l.told(t, "a", "left4med-secrets.cfg"))
	if len(left) != 1 || left["rcon"] == generated || left["rcon"] == kept["rcon"] {
		t.Errorf("left are %v", left)
	}
	same(t, "the files that hold old ones", "", l.holders(t, values))
	l.MustCtl(t, "delete", "--yes", "a", "b")
	same(t, "the files that hold one", "", l.holders(t, append(values, left["rcon"])))
}

// holders lists the files of the machine that hold one of the values, the games'
// trees among them.
func (l *lab) holders(t *testing.T, values []string) string {
	t.Helper()
	cmd := l.Command(t.Context(), "sh", "-c", "grep --recursive --files-with-matches --no-messages --text --devices=skip --fixed-strings --file=- /etc /home /root /run /tmp /var | sort")
	cmd.Stdin = strings.NewReader(strings.Join(values, "\n"))
	return result(t, cmd).Stdout
}

func secretsUnreadable(t *testing.T, l *lab, values []string) {
	l.shell(t, "useradd curious")
	curious, err := l.LookupUser(t.Context(), "curious")
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(l.holders(t, values))
	for _, want := range []string{"instances/a/secrets", "runtime/a/merged/left4dead2/cfg/left4med-secrets.cfg", "runtime/a/merged/left4dead2/cfg/left4med-account.cfg"} {
		if !slices.Contains(files, "/var/lib/left4me/"+want) {
			t.Errorf("%s is not among the files that hold them: %s", want, files)
		}
	}
	for _, file := range files {
		if !regexp.MustCompile(`^/var/lib/left4me/(instances/a/(secrets|layers/\d+/left4dead2/cfg/left4med-(secrets|account)\.cfg)|runtime/a/merged/left4dead2/cfg/left4med-(secrets|account)\.cfg)$`).MatchString(file) {
			t.Errorf("%s holds one", file)
		}
		if out, err := l.as(t.Context(), curious, "cat", file); err == nil {
			t.Errorf("a user of the host reads %s:\n%s", file, out)
		}
		if out, err := l.tryAsGame(t, "b", "cat "+file); err == nil {
			t.Errorf("another game reads %s:\n%s", file, out)
		}
	}
	if out, err := l.as(t.Context(), curious, "curl", "--silent", "--fail", "--unix-socket", host.Socket, "--request", "PUT",
		"--header", "Content-Type: application/json", "--data", `{"value":""}`, "http://x/v1/servers/a/secrets/rcon"); err == nil {
		t.Errorf("a user of the host sets one: %s", out)
	}
}

// nowhere looks for the values in all that others can see, and in what is kept
// outside of the instance. after is an event from before they were set.
func (l *lab) nowhere(t *testing.T, values []string, after uint64) {
	t.Helper()
	type place struct{ name, holds, text string } // what it holds proves that the look saw something
	places := []place{
		{"the processes", "srcds_run", l.shell(t, `cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n'`)},
		{"the journal", "executed left4med-account.cfg", l.MustRun(t, "journalctl", "--output=json", "--all", "--no-pager")},
		{"systemctl", "l4d2-a", l.systemctl(t, "show", unit("a"), "left4me-overlay@a.service", "left4me-upper@a.service", "left4med.service")},
		{"the mounts", "runtime/a/merged", l.MustRun(t, "cat", "/proc/1/mountinfo")},
		{"the database", "c2m1_highway", l.shell(t, "ls /var/lib/left4med/state.db-wal >/dev/null; cat /var/lib/left4med/*")},
		{"the events", `"restart_due":true`, l.eventsSince(t, after)},
		{"the bus", "left4me-server@a.service", l.MustRun(t, "busctl", "call", "org.left4me.left4med1", "/org/left4me/left4med1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")},
		{"l4d2ctl show", "c2m1_highway", l.MustCtl(t, "show", "a")},
	}
	for path, holds := range map[string]string{
		"/v1/servers": "c2m1_highway", "/v1/servers/a": "c2m1_highway", "/v1/jobs": `"restart"`,
		"/v1/servers/a/logs?lines=1000": "executed left4med-account.cfg", "/v1/health": "status", "/openapi.json": "set-secret",
	} {
		places = append(places, place{path, holds, string(l.http(t, http.MethodGet, path, "").body)})
	}
	same(t, "reading it", 405, l.http(t, http.MethodGet, "/v1/servers/a/secrets/rcon", "").status)
	for _, p := range places {
		if !strings.Contains(p.text, p.holds) {
			t.Errorf("%s: there is not even %s in it", p.name, p.holds)
		}
		for _, value := range values {
			if strings.Contains(p.text, value) {
				t.Errorf("%s: there is %s", p.name, value)
			}
		}
	}
}

// eventsSince is the stream of events up to now, as it came.
func (l *lab) eventsSince(t *testing.T, after uint64) string {
	t.Helper()
	now, err := l.api(t).Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", l.Path(host.Socket))
	}}
	req, err := http.NewRequestWithContext(within(t, "the events up to now"), http.MethodGet, fmt.Sprintf("http://left4med/v1/events?last_event_id=%d", after), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	last := false
	for r := bufio.NewReader(resp.Body); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(line)
		last = last || strings.TrimSpace(line) == fmt.Sprintf("id: %d", now.EventID)
		if last && line == "\n" {
			return text.String()
		}
	}
}

func secretsRefused(t *testing.T, l *lab) {
	l.create(t, "no")
	before := l.secrets(t, "no")
	const path = "/v1/servers/no/secrets/"
	for _, c := range []struct {
		path, body string
		want       answer
	}{
		{path + "rcon", `{"value":"Hunter2"}`, answer{400, "invalid-request", "value"}},
		{path + "password", `{"value":"Hunter2\nquit"}`, answer{400, "invalid-request", "value"}},
		{path + "gslt", `{"value":"Hunter2"}`, answer{400, "invalid-request", "value"}},
		{path + "rcon", `{"value":12345678}`, answer{400, "invalid-request", "value"}},
		{path + "admin", `{"value":"Hunter2Hunter2"}`, answer{404, "not-found", ""}},
		{"/v1/servers/absent/secrets/rcon", `{"value":"Hunter2Hunter2"}`, answer{404, "server-not-found", ""}},
	} {
		a := l.http(t, http.MethodPut, c.path, c.body)
		same(t, c.path+" "+c.body, c.want, a.brief())
		if strings.Contains(string(a.body), "Hunter2") || strings.Contains(string(a.body), "12345678") {
			t.Errorf("%s repeats it: %s", c.path, a.body)
		}
	}
	r := l.setSecret(t, "no", "rcon", "Hunter2")
	same(t, "l4d2ctl", 2, r.Code)
	r = l.ctl(t, "initialize", "no", "--set", "rcon_password=Hunter2Hunter2")
	same(t, "among the settings", 2, r.Code)
	contains(t, r.Stderr, "l4d2ctl initialize NAME --secret rcon")
	same(t, "what is stored", before, l.secrets(t, "no"))
	if journal := l.MustRun(t, "journalctl", "--output=json", "--all", "--no-pager"); strings.Contains(journal, "Hunter2Hunter2") {
		t.Error("the journal has what was refused")
	}

	l.shell(t, "echo broken >/var/lib/left4me/instances/no/secrets")
	r = l.ctl(t, "start", "no")
	same(t, "a start with broken secrets", 6, r.Code)
	contains(t, r.Stderr, "/var/lib/left4me/instances/no/secrets is not readable as secrets", "remove it")
	l.MustRun(t, "rm", "/var/lib/left4me/instances/no/secrets")
	l.MustCtl(t, "start", "no")
	l.MustCtl(t, "delete", "--yes", "no")
}

// secretsCompleted makes a server as an older version left it.
func secretsCompleted(t *testing.T, l *lab) {
	l.running(t, "old")
	older := func() {
		l.shell(t, `cd /var/lib/left4me/instances/old; rm secrets layers/*/left4dead2/cfg/left4med-*.cfg
			for f in layers/*/left4dead2/cfg/server.cfg; do grep -v left4med-secrets "$f" >/tmp/cfg; cat /tmp/cfg >"$f"; done`)
	}
	complete := func() {
		t.Helper()
		same(t, "what the game is told", []string{`rcon_password "` + l.secrets(t, "old")["rcon"] + `"`}, l.told(t, "old", "left4med-secrets.cfg"))
	}
	l.MustCtl(t, "stop", "old")
	older()
	l.MustCtl(t, "start", "old")
	complete()

	// A restart of the running game, also by systemctl after an upgrade.
	older()
	l.MustCtl(t, "start", "--restart", "old")
	complete()
	older()
	before := l.shown(t, "old")
	l.systemctl(t, "restart", "left4med.service")
	l.await(t, "old", "seen by the new daemon", func(s *client.Server) bool { return s.State == client.StateRunning })
	kept := l.secrets(t, "old")
	same(t, "the game meanwhile", before, l.shown(t, "old"))
	l.systemctl(t, "restart", unit("old"))
	complete()
	l.systemctl(t, "restart", "left4med.service")
	l.awaitMoment(t, "old", up)
	same(t, "what is kept", kept, l.secrets(t, "old"))

	// Those of a backup are put back.
	l.MustCtl(t, "stop", "old")
	l.shell(t, `echo '{"rcon":"from-a-backup"}' >/var/lib/left4me/instances/old/secrets`)
	l.MustCtl(t, "start", "old")
	same(t, "what the game is told of a backup", []string{`rcon_password "from-a-backup"`}, l.told(t, "old", "left4med-secrets.cfg"))
	l.MustCtl(t, "delete", "--yes", "old")
}
