package e2e_test

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/left4med/left4med/test/machine"
)

// typistRule lets the user typist act with an administrator's password: what the
// policy does for those who sit at the machine, which nobody does here.
const typistRule = `polkit.addRule(function(action, subject) {
    if (subject.user === "typist" && action.id === "org.left4me.left4med1.control") {
        return polkit.Result.AUTH_ADMIN_KEEP;
    }
});
`

const password = "secret" // of boss, who is an administrator

// terminal is a command on a terminal in the machine.
type terminal struct {
	cmd  *exec.Cmd
	keys io.Writer
	out  io.Reader
	text strings.Builder // read so far

	kill context.CancelFunc
}

// onTerminal starts a command line on a terminal of its own.
func (g *gate) onTerminal(t *testing.T, user machine.User, line string) *terminal {
	t.Helper()
	ctx, kill := context.WithCancel(within(t, "the end of "+line))
	t.Cleanup(kill)
	cmd := g.CommandAs(ctx, user, "script", "--quiet", "--return", "--flush", "--command", line, "/dev/null")
	keys, err := cmd.StdinPipe()
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
	return &terminal{cmd: cmd, keys: keys, out: out, kill: kill}
}

// shows reads until the text stands on the terminal.
func (tm *terminal) shows(t *testing.T, text string) {
	t.Helper()
	tm.read(t, text, func(shown string) bool { return strings.Contains(shown, text) })
}

func (tm *terminal) read(t *testing.T, what string, until func(shown string) bool) {
	t.Helper()
	for b := make([]byte, 4096); !until(tm.text.String()); {
		n, err := tm.out.Read(b)
		tm.text.Write(b[:n])
		if err != nil {
			t.Fatalf("%v, and the terminal never showed %s:\n%s", err, what, &tm.text)
		}
	}
}

// answers types a password when it is asked for. pkttyagent asks before it turns
// the echo off, and throws away what was typed in between: what the terminal
// shows of the password must be typed once more.
func (tm *terminal) answers(t *testing.T, password string) {
	t.Helper()
	tm.shows(t, "Password: ")
	for echoed := true; echoed; {
		before := tm.text.Len()
		if _, err := io.WriteString(tm.keys, password+"\n"); err != nil {
			t.Fatal(err)
		}
		tm.read(t, "what came of the password", func(shown string) bool {
			echoed = strings.Contains(shown[before:], password)
			return echoed || strings.Contains(shown[before:], "AUTHENTICATION")
		})
	}
}

// exit reads to the end and returns the status.
func (tm *terminal) exit(t *testing.T) int {
	t.Helper()
	if _, err := io.Copy(&tm.text, tm.out); err != nil {
		t.Fatal(err)
	}
	_ = tm.cmd.Wait() // the status says more
	return tm.cmd.ProcessState.ExitCode()
}

// hangUp takes the terminal away.
func (tm *terminal) hangUp() {
	tm.kill()
	_ = tm.cmd.Wait()
}

// busAsk calls left4med's manager on the bus, with somebody on this terminal who
// asks for passwords.
const busAsk = `#!/bin/sh -eu
ready=$(mktemp --dry-run)
mkfifo "$ready"
pkttyagent --process $$ --notify-fd 3 3>"$ready" &
cat "$ready" # it ends when the agent has registered
exec busctl call --timeout=60 org.left4me.left4med1 /org/left4me/left4med1 org.left4me.left4med1.Manager "$@"
`

// password lets the typist act with the administrator's password.
func (g *gate) password(t *testing.T) {
	t.Run("Policy", g.policy)
	typist := g.user(t, "typist")
	g.MustCtl(t, "start", "versus-1")
	before := told(g.server(t, "versus-1"))

	nobody := result(t, g.CommandAs(t.Context(), typist, "l4d2ctl", "stop", "versus-1"))
	same(t, "exit without a terminal", 4, nobody.Code)
	contains(t, nobody.Stderr, "administrator's password", "terminal")

	for what, line := range map[string]string{"HTTP": "l4d2ctl stop versus-1", "bus": "bus-ask StopServer s versus-1"} {
		wrong := g.onTerminal(t, typist, line)
		wrong.answers(t, "not "+password)
		want := map[string]int{"HTTP": 4, "bus": 1}[what]
		same(t, what+": exit after a wrong password", want, wrong.exit(t))
		contains(t, wrong.text.String(), "Authentication is required to start, stop or restart Left 4 Dead 2 servers", "password, which was not given")
		same(t, what+": versus-1 after a wrong password", before, told(g.server(t, "versus-1")))
	}

	for what, line := range map[string]string{"HTTP": "l4d2ctl stop versus-1", "bus": "bus-ask StopServer s versus-1"} {
		g.MustCtl(t, "start", "versus-1")
		right := g.onTerminal(t, typist, line)
		right.answers(t, password)
		if code := right.exit(t); code != 0 {
			t.Errorf("%s: exit %d after the right password:\n%s", what, code, &right.text)
		}
		g.awaitMoment(t, "versus-1", down)
		by := g.history(t, "versus-1", 1)[0].By
		want := "typist by " + map[string]string{"HTTP": "http", "bus": "dbus"}[what]
		same(t, what+": who stopped it", want, fmt.Sprint(by.User, " by ", by.Via))
	}
}

// policy is what polkit has read of ours.
func (g *gate) policy(t *testing.T) {
	for action, message := range map[string]string{
		"inspect":   "Authentication is required to see the settings and logs of Left 4 Dead 2 servers",
		"control":   "Authentication is required to start, stop or restart Left 4 Dead 2 servers",
		"rcon":      "Authentication is required to use the remote console of Left 4 Dead 2 servers",
		"configure": "Authentication is required to create, change or delete Left 4 Dead 2 servers",
		"install":   "Authentication is required to install or update the Left 4 Dead 2 dedicated server",
	} {
		shown := map[string]string{}
		for line := range strings.Lines(g.MustRun(t, "pkaction", "--verbose", "--action-id", "org.left4me.left4med1."+action)) {
			key, value, _ := strings.Cut(line, ":")
			shown[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
		got := fmt.Sprintf("%s: %s, %s, %s", shown["message"], shown["implicit any"], shown["implicit inactive"], shown["implicit active"])
		same(t, action, message+": no, no, auth_admin_keep", got)
		if shown["description"] == "" {
			t.Errorf("%s has no description", action)
		}
	}
	list := g.MustRun(t, "sh", "-c", "pkaction | grep -c left4me")
	same(t, "how many actions there are", "5\n", list)
}
