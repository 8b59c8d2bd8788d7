package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

const (
	busName = "org.left4me.left4med1"
	busRoot = "/org/left4me/left4med1"
)

// TestBus uses left4med as a program on the system bus does.
func TestBus(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.configure(t, "[start]\nsettle = \"0s\"\n")
		l.running(t, "versus-1")
		t.Run("Introspect", func(t *testing.T) { busIntrospect(t, l) })
		t.Run("Signals", func(t *testing.T) { busSignals(t, l) })
		t.Run("FullSpeed", func(t *testing.T) { busFullSpeed(t, l) })
		t.Run("BusDies", func(t *testing.T) { busDies(t, l) })
		t.Run("Activation", func(t *testing.T) { busActivation(t, l) })
	})
}

// onBus are the members that the manual page has, as busctl shows them.
var onBus = map[string][]string{
	busRoot: {
		".GetServer method s o", ".ListServers method - a(ssssso)", ".RestartServer method s t", ".Resync method - -",
		".StartServer method s t", ".StopServer method s t",
		".LastResync property t", ".ServerCount property u", ".SystemdConnected property b", ".Version property s",
		".JobNew signal tss -", ".JobRemoved signal tsss -",
		".GetManagedObjects method - a{oa{sa{sv}}}", ".InterfacesAdded signal oa{sa{sv}} -", ".InterfacesRemoved signal oas -",
	},
	busRoot + "/server/versus_2d1": {
		".Restart method - t", ".Start method - t", ".Stop method - t",
		".ActiveState property s", ".Desired property s", ".Drift property s", ".DriftSince property t", ".MainPID property u",
		".Name property s", ".ObservedAt property t", ".Stale property b", ".State property s", ".StateSince property t",
		".SubState property s", ".Unit property s", ".UnitFileState property s", ".PropertiesChanged signal sa{sv}as -",
	},
}

func busIntrospect(t *testing.T, l *lab) {
	tree := l.MustRun(t, "busctl", "--list", "tree", busName)
	contains(t, tree, busRoot+"\n", busRoot+"/server\n", busRoot+"/server/versus_2d1\n")
	for path, members := range onBus {
		shown := l.MustRun(t, "busctl", "introspect", busName, path)
		var lines []string
		for line := range strings.Lines(shown) {
			if f := strings.Fields(line); len(f) >= 4 {
				if n := 4; f[1] == "property" {
					lines = append(lines, strings.Join(f[:3], " "))
				} else {
					lines = append(lines, strings.Join(f[:n], " "))
				}
			}
		}
		for _, m := range members {
			if !slices.Contains(lines, m) {
				t.Errorf("busctl introspect does not show %q of %s:\n%s", m, path, shown)
			}
		}
	}
}

// listener hears the bus as root.
type listener struct {
	*dbus.Conn
	signals chan *dbus.Signal
}

func (l *lab) listen(t *testing.T, matches ...[]dbus.MatchOption) *listener {
	t.Helper()
	c := &listener{signals: make(chan *dbus.Signal, 1<<16)}
	conn, err := dbus.Connect("unix:path="+l.Path("/run/dbus/system_bus_socket"), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c.Conn = conn
	conn.Signal(c.signals)
	for _, m := range matches {
		if err := conn.AddMatchSignal(m...); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// busSignals compares when systemd and left4med tell that a server stops, both
// on the same bus, to the same listener.
func busSignals(t *testing.T, l *lab) {
	ctx := within(t, "the signals of twenty stops")
	c := l.listen(t, []dbus.MatchOption{dbus.WithMatchSender(busName)},
		[]dbus.MatchOption{dbus.WithMatchSender("org.freedesktop.systemd1"), dbus.WithMatchInterface("org.freedesktop.DBus.Properties")})
	if err := c.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1").Call("org.freedesktop.systemd1.Manager.Subscribe", 0).Err; err != nil {
		t.Fatal(err)
	}
	var bare, ours []float64
	for range 20 {
		l.awaitMoment(t, "versus-1", up)
		for len(c.signals) > 0 {
			<-c.signals
		}
		began := time.Now()
		l.systemctl(t, "stop", "--no-block", unit("versus-1"))
		var b, o time.Duration
		for b == 0 || o == 0 {
			select {
			case s := <-c.signals:
				switch {
				case b == 0 && strings.HasPrefix(string(s.Path), "/org/freedesktop/systemd1/unit/left4me_2dserver_40versus") && changed(s)["ActiveState"] != "":
					b = time.Since(began)
				case o == 0 && s.Path == busRoot+"/server/versus_2d1" && changed(s)["ActiveState"] != "":
					o = time.Since(began)
				}
			case <-ctx.Done():
				t.Fatal(context.Cause(ctx))
			}
		}
		bare, ours = append(bare, ms(b)), append(ours, ms(o))
		l.awaitMoment(t, "versus-1", lost)
		l.MustCtl(t, "start", "versus-1")
	}
	ratio := at(ours, 0.5) / at(bare, 0.5)
	t.Logf("from `systemctl stop` to the signal, median of %d: systemd's own %.2f ms, left4med's %.2f ms, ratio %.2f", len(ours), at(bare, 0.5), at(ours, 0.5), ratio)
	if ratio > 5 {
		t.Errorf("left4med's signal takes %.1f times as long as systemd's", ratio)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// changed are the properties that a signal tells of.
func changed(s *dbus.Signal) map[string]string {
	all := map[string]string{}
	if len(s.Body) == 3 {
		values, _ := s.Body[1].(map[string]dbus.Variant)
		for k, v := range values {
			all[k] = v.String()
		}
	}
	return all
}

// busFullSpeed follows servers that come and go, by signals alone, and arrives at
// what is.
func busFullSpeed(t *testing.T, l *lab) {
	c := l.listen(t, []dbus.MatchOption{dbus.WithMatchSender(busName)})
	var objects map[dbus.ObjectPath]map[string]map[string]dbus.Variant
	if err := c.Object(busName, busRoot).Call("org.freedesktop.DBus.ObjectManager.GetManagedObjects", 0).Store(&objects); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for _, o := range objects {
		known[o[busName+".Server"]["Name"].Value().(string)] = o[busName+".Server"]["State"].Value().(string)
	}
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			name := fmt.Sprintf("quick%d", i)
			for range 2 {
				for _, args := range [][]string{{"initialize", name}, {"start", name}, {"stop", name}, {"delete", "--yes", name}, {"initialize", name}} {
					if r := l.ctl(t, args...); r.Code != 0 && args[0] != "initialize" {
						t.Errorf("%v: %+v", args, r)
					}
				}
			}
			l.ctl(t, "start", name)
		})
	}
	all.Wait()
	var list struct{ Servers []client.Server }
	if err := json.Unmarshal([]byte(l.MustCtl(t, "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, s := range list.Servers {
		want[string(s.Name)] = string(s.State)
	}
	ctx := within(t, "what the signals say to be what is")
	names := map[dbus.ObjectPath]string{}
	for path, o := range objects {
		names[path] = o[busName+".Server"]["Name"].Value().(string)
	}
	for n := 0; ; n++ {
		if len(c.signals) == 0 && fmt.Sprint(known) == fmt.Sprint(want) {
			t.Logf("%d signals", n)
			break
		}
		select {
		case s := <-c.signals:
			follow(s, known, names)
		case <-ctx.Done():
			same(t, "what the signals say, in the end", want, known)
			return
		}
	}
	for i := range 5 {
		l.MustCtl(t, "delete", "--yes", fmt.Sprintf("quick%d", i))
	}
}

// follow adds a signal up.
func follow(s *dbus.Signal, known map[string]string, names map[dbus.ObjectPath]string) {
	switch {
	case strings.HasSuffix(s.Name, ".InterfacesAdded"):
		server := s.Body[1].(map[string]map[string]dbus.Variant)[busName+".Server"]
		name := server["Name"].Value().(string)
		names[s.Body[0].(dbus.ObjectPath)] = name
		known[name] = server["State"].Value().(string)
	case strings.HasSuffix(s.Name, ".InterfacesRemoved"):
		delete(known, names[s.Body[0].(dbus.ObjectPath)])
	case strings.HasSuffix(s.Name, ".PropertiesChanged") && s.Path != busRoot:
		if state := changed(s)["State"]; state != "" {
			known[names[s.Path]] = strings.Trim(state, `"`)
		}
	}
}

// busDies: without a bus all else goes on, and left4med is back with it.
func busDies(t *testing.T, l *lab) {
	l.MustCtl(t, "start", "versus-1")
	before := l.shown(t, "versus-1")
	l.systemctl(t, "kill", "--signal=KILL", "dbus.service")
	l.awaitMoment(t, "versus-1", up) // HTTP goes on
	ctx := within(t, "left4med to be back on the bus")
	list := []string{"call", busName, busRoot, busName + ".Manager", "ListServers"}
	for l.Run(ctx, "busctl", list...) != nil {
		if ctx.Err() != nil {
			t.Fatal(context.Cause(ctx))
		}
	}
	contains(t, l.MustRun(t, "busctl", list...), `"versus-1" "running" "running" "none"`)
	same(t, "the server", before, l.shown(t, "versus-1"))
	contains(t, l.ctl(t, "doctor").Stdout, "serving "+busName)
}

func busActivation(t *testing.T, l *lab) {
	list := []string{"call", busName, busRoot, busName + ".Manager", "ListServers"}
	active := func() string {
		out, _ := l.Output(t.Context(), "systemctl", "is-active", "left4med.service")
		return strings.TrimSpace(out)
	}
	l.systemctl(t, "stop", "left4med.service", "left4med.socket")
	same(t, "stopped", "inactive", active())
	contains(t, l.MustRun(t, "busctl", list...), `"versus-1"`)
	same(t, "after a call", "active", active())

	l.systemctl(t, "disable", "--now", "left4med.service", "left4med.socket")
	if out, err := l.Output(t.Context(), "busctl", list...); err == nil {
		t.Errorf("what the administrator switched off answered: %s", out)
	}
	same(t, "disabled", "inactive", active())
	same(t, "the server", "active", l.shown(t, "versus-1").Active)
}
