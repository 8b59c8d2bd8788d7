package busapi_test

import (
	"encoding/xml"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/busapi"
	"github.com/left4med/left4med/internal/server"
)

// documented is what stands on the bus, as docs and manual page have it.
var documented = map[string][]string{
	managerFace: {
		"method GetServer(s) o", "method ListServers() a(ssssso)", "method RestartServer(s) t", "method Resync() ",
		"method StartServer(s) t", "method StopServer(s) t",
		"property LastResync t", "property ServerCount u", "property SystemdConnected b", "property Version s",
		"signal JobNew tss", "signal JobRemoved tsss",
	},
	serverFace: {
		"method Restart() t", "method Start() t", "method Stop() t",
		"property ActiveState s", "property Desired s", "property Drift s", "property DriftSince t", "property MainPID u",
		"property Name s", "property ObservedAt t", "property Stale b", "property State s", "property StateSince t",
		"property SubState s", "property Unit s", "property UnitFileState s",
	},
	standard + "ObjectManager": {
		"method GetManagedObjects() a{oa{sa{sv}}}", "signal InterfacesAdded oa{sa{sv}}", "signal InterfacesRemoved oas",
	},
	standard + "Properties": {
		"method Get(ss) v", "method GetAll(s) a{sv}", "method Set(ssv) ", "signal PropertiesChanged sa{sv}as",
	},
	standard + "Introspectable": {"method Introspect() s"},
	standard + "Peer":           {"method GetMachineId() s", "method Ping() "},
}

// open are the methods of our own that need no permission: they change nothing.
var open = []string{managerFace + ".ListServers", managerFace + ".GetServer"}

func TestEachMethodAsks(t *testing.T) {
	t.Parallel()
	var free []string
	for _, m := range busapi.Members() {
		if len(m.Doc) < 8 || !strings.HasSuffix(m.Doc, ".") {
			t.Errorf("%s.%s has no sentence that says what it is: %q", m.Interface, m.Name, m.Doc)
		}
		switch {
		case m.Kind != "method" || !strings.HasPrefix(m.Interface, name):
		case m.Asks == authz.None:
			free = append(free, m.Interface+"."+m.Name)
		case m.Asks != authz.Control || m.Verb == "":
			t.Errorf("%s.%s asks %q as %q", m.Interface, m.Name, m.Asks, m.Verb)
		}
	}
	same(t, "methods that ask nothing", open, free)
}

// describe reads an object's description as any client does.
func describe(t *testing.T, c *client, path dbus.ObjectPath) (members map[string][]string, children []string) {
	t.Helper()
	var node introspect.Node
	if err := xml.Unmarshal([]byte(got[string](t, c.call(path, standard+"Introspectable.Introspect"))), &node); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	members = map[string][]string{}
	for _, f := range node.Interfaces {
		var all []string
		for _, m := range f.Methods {
			in, out := "", ""
			for _, a := range m.Args {
				if a.Direction == "in" {
					in += a.Type
				} else {
					out += a.Type
				}
			}
			all = append(all, fmt.Sprintf("method %s(%s) %s", m.Name, in, out))
			annotated(t, f.Name+"."+m.Name, m.Annotations)
		}
		for _, p := range f.Properties {
			all = append(all, "property "+p.Name+" "+p.Type)
			annotated(t, f.Name+"."+p.Name, p.Annotations)
			if p.Access != "read" {
				t.Errorf("%s can be accessed to %s", p.Name, p.Access)
			}
		}
		for _, s := range f.Signals {
			sig := ""
			for _, a := range s.Args {
				sig += a.Type
			}
			all = append(all, "signal "+s.Name+" "+sig)
			annotated(t, f.Name+"."+s.Name, s.Annotations)
		}
		slices.Sort(all)
		members[f.Name] = all
	}
	for _, child := range node.Children {
		children = append(children, child.Name)
	}
	return members, children
}

// annotated wants the sentence of the table.
func annotated(t *testing.T, member string, notes []introspect.Annotation) {
	t.Helper()
	for _, m := range busapi.Members() {
		if m.Interface+"."+m.Name == member && slices.Contains(notes, introspect.Annotation{Name: "org.gtk.GDBus.DocString", Value: m.Doc}) {
			return
		}
	}
	t.Errorf("%s is not documented: %v", member, notes)
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	b := newBackend()
	b.put("beta-1", nil)
	b.put("alpha", nil)
	c := newFixture(t, b).connect()
	faces := func(names ...string) map[string][]string {
		all := map[string][]string{}
		for _, n := range append(names, "Peer", "Introspectable") {
			if !strings.Contains(n, ".") {
				n = standard + n
			}
			all[n] = documented[n]
		}
		return all
	}
	for path, want := range map[dbus.ObjectPath]struct {
		faces    map[string][]string
		children []string
	}{
		"/":                           {faces(), []string{"org"}},
		"/org":                        {faces(), []string{"left4me"}},
		"/org/left4me":                {faces(), []string{"left4med1"}},
		rootPath:                      {faces("Properties", "ObjectManager", managerFace), []string{"server"}},
		rootPath + "/server":          {faces(), []string{"alpha", "beta_2d1"}},
		rootPath + "/server/beta_2d1": {faces("Properties", serverFace), nil},
	} {
		members, children := describe(t, c, path)
		same(t, string(path), want.faces, members)
		same(t, "below "+string(path), want.children, children)
	}
}

// TestErrorNames: each code of internal/server has a name of its own, of the
// letters that D-Bus allows.
func TestErrorNames(t *testing.T) {
	t.Parallel()
	codes := codes(t)
	if len(codes) < 20 {
		t.Fatalf("codes: %q", codes)
	}
	seen := map[string]server.Code{}
	for _, code := range codes {
		n := busapi.ErrorName(code)
		m := dbus.Message{Type: dbus.TypeError, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldErrorName: dbus.MakeVariant(n), dbus.FieldReplySerial: dbus.MakeVariant(uint32(1)),
		}}
		if err := m.IsValid(); err != nil || !strings.HasPrefix(n, name+".Error.") {
			t.Errorf("%s is %s on the bus: %v", code, n, err)
		}
		if other, ok := seen[n]; ok {
			t.Errorf("%s and %s are both %s", code, other, n)
		}
		seen[n] = code
	}
	for code, want := range map[server.Code]string{
		server.CodeServerNotFound: "NoSuchServer", server.CodeNotAuthorized: "NotAuthorized", server.CodeBusy: "Busy",
		server.CodeInvalidName: "InvalidName", server.CodeJobNotFound: "NoSuchJob", server.CodeSystemdUnavailable: "SystemdUnavailable",
	} {
		same(t, string(code), name+".Error."+want, busapi.ErrorName(code))
	}
}

// codes are those in the source.
func codes(t *testing.T) []server.Code {
	t.Helper()
	source, err := os.ReadFile("../server/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []server.Code
	for line := range strings.Lines(string(source)) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "Code" && f[2] == "=" {
			all = append(all, server.Code(strings.Trim(f[3], `"`)))
		}
	}
	return all
}

// FuzzPaths: a path is as systemd would write it, and says which server it is.
func FuzzPaths(f *testing.F) {
	for _, n := range []string{"a", "0", "9a-_", "a1", "versus-1", "0__", strings.Repeat("z", 24), "a-0"} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := server.ParseName(text)
		if err != nil {
			t.Skip()
		}
		path := busapi.PathOf(n)
		if !path.IsValid() {
			t.Errorf("%s is no path", path)
		}
		label := strings.TrimPrefix(string(path), string(rootPath)+"/server/")
		same(t, "escaped", escape(text), label)
		same(t, "and back", text, unescape(t, label))
	})
}

// escape is bus_label_escape of systemd's src/basic/bus-label.c.
func escape(s string) string {
	out := ""
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		digit := c >= '0' && c <= '9'
		if !letter && (i == 0 || !digit) {
			out += fmt.Sprintf("_%x%x", c>>4, c&15)
		} else {
			out += string(c)
		}
	}
	return out
}

func unescape(t *testing.T, label string) string {
	t.Helper()
	out := ""
	for i := 0; i < len(label); i++ {
		if label[i] != '_' {
			out += label[i : i+1]
			continue
		}
		var c byte
		if _, err := fmt.Sscanf(label[i+1:i+3], "%02x", &c); err != nil {
			t.Fatal(label, err)
		}
		out += string(rune(c))
		i += 2
	}
	return out
}
