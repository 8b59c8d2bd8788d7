package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/asker"
)

// leaving kills clients whose questions are open. polkit is told that nobody
// waits for the answer any more, and so is the program that asks for the password.
func (g *gate) leaving(t *testing.T) {
	typist := g.user(t, "typist")
	g.MustCtl(t, "start", "versus-1")
	before := told(g.server(t, "versus-1"))
	const stay = "; read end" // keeps the terminal, and the prompt, when the client is gone
	for _, c := range []struct{ program, line string }{
		{"l4d2ctl", "l4d2ctl stop versus-1" + stay},
		{"busctl", "bus-ask StopServer s versus-1" + stay},
	} {
		bus := g.watchBus(t, "interface='"+polkitFace+"'", "interface='"+agentFace+"'")
		tm := g.onTerminal(t, typist, c.line)
		asked := bus.asked(t, 1) // with the person
		tm.shows(t, "Password: ")
		same(t, c.program+": what polkit is told", map[string]string{"server": "versus-1", "verb": "stop"}, withoutPolkits(asked.Details))
		g.shell(t, "kill -KILL $(pgrep --uid typist --exact "+c.program+")")
		bus.takenBack(t, asked)
		bus.next(within(t, "the end of the prompt"), t, "the end of the prompt", func(msg *dbus.Message) bool {
			return headerOf(msg, dbus.FieldInterface) == agentFace && headerOf(msg, dbus.FieldMember) == "CancelAuthentication"
		})
		tm.hangUp()
	}

	// The same for questions that polkit answers by itself, when it answers none.
	op := g.caller("op")
	for program, args := range map[string][]string{
		"curl":   {"--silent", "--request", "POST", "--unix-socket", client.DefaultSocket, "http://x/v1/servers/versus-1/stop"},
		"busctl": {"call", "org.left4me.left4med1", serverPath, "org.left4me.left4med1.Server", "Stop"},
	} {
		bus := g.watchBus(t, "interface='"+polkitFace+"'")
		g.polkitHangs(t, func() {
			cmd := g.CommandAs(t.Context(), op, program, args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			asked := bus.asked(t, 0)
			g.shell(t, "kill -KILL $(pgrep --uid op --exact "+program+")")
			bus.takenBack(t, asked)
			_ = cmd.Wait()
		})
	}
	same(t, "versus-1", before, told(g.server(t, "versus-1")))
}

// withoutPolkits drops what polkit's own programs add.
func withoutPolkits(details map[string]string) map[string]string {
	for key := range details {
		if strings.HasPrefix(key, "polkit.") {
			delete(details, key)
		}
	}
	return details
}

// polkitHangs does something while polkit answers nobody.
func (g *gate) polkitHangs(t *testing.T, do func()) {
	g.systemctl(t, "start", "polkit.service")
	g.systemctl(t, "kill", "--signal=SIGSTOP", "polkit.service")
	defer g.systemctl(t, "kill", "--signal=SIGCONT", "polkit.service")
	do()
}

// badUsers say what is not true.
func (g *gate) badUsers(t *testing.T) {
	g.MustCtl(t, "start", "versus-1")
	t.Run("OnBehalfOf", g.onBehalfOf)
	t.Run("ForgedSignals", g.forgedSignals)
	t.Run("TheName", g.stolenName)
}

// onBehalfOf: the web frontend alone is believed.
func (g *gate) onBehalfOf(t *testing.T) {
	got := map[string]string{}
	for _, name := range []string{"root", "op", "web", "kim"} {
		q := send("POST", "/v1/servers/versus-1/restart?wait=30s", "")
		q.Header = map[string]string{"X-On-Behalf-Of": "alice"}
		a := g.ask(t, g.caller(name), 1, q)[0]
		if a.Status != 200 {
			t.Errorf("%s: %+v", name, a)
		}
		by := g.history(t, "versus-1", 1)[0].By
		got[name] = fmt.Sprint(by.User, " for ", by.OnBehalfOf)
	}
	same(t, "who asked, on record", map[string]string{
		"root": "root for ", "op": "op for ", "web": "left4med-web for alice", "kim": "kim for ",
	}, got)
}

// forgedSignals sends left4med signals that are the bus daemon's and systemd's to
// send.
func (g *gate) forgedSignals(t *testing.T) {
	bus := g.watchBus(t, "interface='"+polkitFace+"'", "type='signal',member='NameOwnerChanged'", "type='signal',member='PropertiesChanged'")
	owner := strings.Fields(g.MustRun(t, "busctl", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetNameOwner", "s", "org.left4me.left4med1"))[1]
	owner = strings.Trim(owner, `"`)
	someone := g.caller("someone")
	forge := func(object, face, member string, args ...string) {
		t.Helper()
		if _, err := g.as(t.Context(), someone, "busctl", append([]string{"emit", "--destination=" + owner, object, face, member}, args...)...); err != nil {
			t.Fatal(err)
		}
		bus.next(within(t, "the forged signal"), t, "the forged signal", func(msg *dbus.Message) bool {
			return headerOf(msg, dbus.FieldMember) == member && headerOf(msg, dbus.FieldDestination) == owner &&
				headerOf(msg, dbus.FieldSender) != "org.freedesktop.DBus"
		})
		// left4med has it: what is sent after it has an answer.
		g.ask(t, someone, 1, asker.Question{Object: managerPath, Member: "org.left4me.left4med1.Manager.ListServers"})
	}

	before := told(g.server(t, "versus-1"))
	forge("/org/freedesktop/systemd1/unit/left4me_2dserver_40versus_2d1_2eservice", "org.freedesktop.DBus.Properties", "PropertiesChanged",
		"sa{sv}as", "org.freedesktop.systemd1.Unit", "2", "ActiveState", "s", "failed", "SubState", "s", "failed", "0")
	forge("/org/freedesktop/systemd1", "org.freedesktop.DBus.Properties", "PropertiesChanged") // without a body
	same(t, "versus-1 after forged signals of systemd", before, told(g.server(t, "versus-1")))

	// A caller's call is under way, and somebody says that it has left.
	op, ended := g.caller("op"), make(chan []asker.Answer, 1)
	g.polkitHangs(t, func() {
		go func() {
			ended <- g.ask(t, op, 1, asker.Question{Object: serverPath, Member: "org.left4me.left4med1.Server.Restart"})
		}()
		name, _ := bus.asked(t, 0).Subject.Details["name"].Value().(string)
		forge("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss", name, name, "")
	})
	if diff := cmp.Diff("", (<-ended)[0].Error); diff != "" {
		t.Errorf("the call of one who was said to have left (-want +got):\n%s", diff)
	}
	g.awaitMoment(t, "versus-1", up)
}

// stolenName: nobody but root can be left4med on the bus.
func (g *gate) stolenName(t *testing.T) {
	for _, name := range []string{"op", "web", "someone"} {
		got := result(t, g.CommandAs(t.Context(), g.caller(name), "busctl", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus",
			"RequestName", "su", "org.left4me.left4med1", "6")) // replacing who has it, and not in a queue
		if got.Code == 0 {
			t.Errorf("%s may own the name: %s", name, got.Stdout)
		}
		contains(t, got.Stderr, "Access denied")
	}
	contains(t, g.MustRun(t, "busctl", "status", "org.left4me.left4med1"), "PID="+strings.TrimSpace(g.systemctl(t, "show", "--value", "--property=MainPID", "left4med.service")))
}
