package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// TestWeb is about the frontend as the package runs it: what its unit lets it see
// and do, by whom left4med takes it to be, and that each may come and go.
func TestWeb(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		if err := l.WebStart(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.create(t, "a")
		l.logged(t, "left4med-web.service", "ready on http://127.0.0.1:8000", "http://127.0.0.1:8000/setup#", "left4med-web user add NAME --role admin")
		t.Run("Users", func(t *testing.T) { webUsers(t, l) })
		t.Run("Unit", func(t *testing.T) { webUnit(t, l) })
		t.Run("Acts", func(t *testing.T) { webActs(t, l) })
		t.Run("Outlives", func(t *testing.T) { webOutlives(t, l) })
	})
}

// webUsers has root manage users beside the frontend, whose files stay its own.
func webUsers(t *testing.T, l *lab) {
	l.shell(t, "echo correct-horse-7 | left4med-web user add kim --role operator")
	contains(t, l.shell(t, "left4med-web user list"), "kim   operator")
	same(t, "whose files they are", "left4med-web:left4med-web\n", l.shell(t, "stat --format=%U:%G /var/lib/left4med-web /var/lib/left4med-web/* | sort -u"))
	l.shell(t, "useradd someone")
	if out, err := l.as(t.Context(), l.user(t, "someone"), "left4med-web", "user", "list"); err == nil {
		t.Errorf("a user of the host sees the users of the page:\n%s", out)
	}
}

// webUnit looks at what the process sees, and has the kernel say what it may.
func webUnit(t *testing.T, l *lab) {
	pid := strings.TrimSpace(l.systemctl(t, "show", "--value", "--property=MainPID", "left4med-web.service"))
	// run/host, with os-release, is systemd's own from 256 on.
	same(t, "what it sees", "left4me\nweb.toml\nleft4med\nsystemd\nleft4med-web\n",
		l.shell(t, "cd /proc/"+pid+"/root; for d in etc etc/left4me run var/lib; do ls --ignore=host $d; done"))
	same(t, "its rights", "CapEff: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n",
		l.shell(t, "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/"+pid+"/status | tr '\\t' ' '"))
	// A name would be for games to find, which are in this network namespace.
	same(t, "abstract sockets", "", l.shell(t, `for n in $(ls -l /proc/`+pid+`/fd | sed -n 's/.*socket:.\([0-9]*\).*/\1/p'); do
		awk -v n=$n '$7 == n && $8 ~ /^@/' /proc/net/unix; done`))
}

// webActs starts a server through the frontend.
func webActs(t *testing.T, l *lab) {
	curl := func(args string) string {
		t.Helper()
		return l.shell(t, "curl --silent --show-error --cookie /tmp/jar --cookie-jar /tmp/jar --header 'Content-Type: application/json' "+args)
	}
	var session struct {
		CSRF string `json:"csrf"`
		User struct{ Name, Role string }
	}
	answer := curl(`--data '{"user":"kim","password":"correct-horse-7"}' http://127.0.0.1:8000/api/session`)
	if err := json.Unmarshal([]byte(answer), &session); err != nil || session.User.Name != "kim" || session.User.Role != "operator" {
		t.Fatalf("signing in: %v\n%s", err, answer)
	}
	token := "--header 'X-CSRF-Token: " + session.CSRF + "' --output /dev/null --write-out '%{http_code}' "
	same(t, "a start", "202", curl(token+`--data '{}' http://127.0.0.1:8000/api/v1/servers/a/start`))
	l.MustAwait(t, t.Context(), "a", host.InState(client.StateRunning))
	same(t, "a removal, which is an admin's", "403", curl(token+"--request DELETE http://127.0.0.1:8000/api/v1/servers/a"))

	var names []string
	for _, e := range l.history(t, "a", 100) {
		if e.By != nil && e.By.User == "left4med-web" {
			names = append(names, e.By.OnBehalfOf)
		}
	}
	if len(names) == 0 || names[0] != "kim" {
		t.Errorf("the history names %q", names)
	}
}

// webOutlives has left4med go and come back, and be killed.
func webOutlives(t *testing.T, l *lab) {
	const linkUp = `curl --silent --no-buffer --max-time 60 --cookie /tmp/jar http://127.0.0.1:8000/api/events | grep --max-count=1 '"up":true'`
	before := l.systemctl(t, "show", "--property=MainPID,InvocationID,NRestarts", "left4med-web.service")
	l.shell(t, linkUp)
	l.systemctl(t, "stop", "left4med.socket", "left4med.service")
	same(t, "its health without left4med", "ok", strings.TrimSpace(l.shell(t, "curl --silent http://127.0.0.1:8000/healthz")))
	same(t, "left4med, which was stopped", "inactive", strings.TrimSpace(l.shell(t, "systemctl is-active left4med.service || true")))
	l.systemctl(t, "start", "left4med.socket")
	l.shell(t, linkUp) // systemd started it for the frontend
	l.systemctl(t, "kill", "--signal=KILL", "left4med.service")
	l.shell(t, linkUp)
	same(t, "the frontend afterwards", before, l.systemctl(t, "show", "--property=MainPID,InvocationID,NRestarts", "left4med-web.service"))

	l.systemctl(t, "restart", "left4med-web.service")
	l.shell(t, linkUp) // with the session of before
}
