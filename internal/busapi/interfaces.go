package busapi

import (
	"strings"
	"time"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

// iface is one interface: its methods, properties and signals.
type iface struct {
	name       string
	methods    []method
	properties []property
	signals    []signal
}

// method is one line of the table of methods.
type method struct {
	name    string
	in, out []arg
	asks    asks
	is      kind
	serve   func(*Bus, *call) error
	doc     string
}

// kind is what is particular about a method.
type kind int

const (
	plain kind = iota
	named      // the first argument is the name of the server it is about
	heavy      // the answer grows with the number of servers
)

// arg is an argument and its D-Bus signature.
type arg struct{ name, sig string }

// asks is what a method needs permission for: a polkit action, and the verb that
// polkit's rules are told.
type asks struct {
	action authz.Action
	verb   string
}

var nothing = asks{}

func control(verb string) asks { return asks{authz.Control, verb} }

// change says what PropertiesChanged tells of a property (the D-Bus
// specification, org.freedesktop.DBus.Property.EmitsChangedSignal).
type change string

const (
	tells   change = "true"
	silent  change = "false"
	forever change = "const"
)

// property is one line of a table of properties.
type property struct {
	name, sig string
	change    change
	of        func(*server.Server) any // of a server's
	here      func(*Bus) any           // of the manager's; the caller holds b.mu
	doc       string
}

type signal struct {
	name string
	args []arg
	doc  string
}

func signature(args []arg) string {
	var b strings.Builder
	for _, a := range args {
		b.WriteString(a.sig)
	}
	return b.String()
}

var (
	serverName = []arg{{"name", "s"}}
	jobID      = []arg{{"job", "t"}}
)

// The interfaces of left4med's own: one line a member, and beside each method what
// it asks.
var (
	manager = iface{name: managerFace,
		methods: []method{
			{"ListServers", nil, []arg{{"servers", "a(ssssso)"}}, nothing, heavy, (*Bus).listServers,
				"All servers by name: name, desired, state, drift, unit and object."},
			{"GetServer", serverName, []arg{{"server", "o"}}, nothing, named, (*Bus).getServer,
				"The object of a server."},
			{"StartServer", serverName, jobID, control("start"), named, request(server.JobStart),
				"Enables a server for every boot and starts it. Returns the job's id at once; JobRemoved tells how it ended."},
			{"StopServer", serverName, jobID, control("stop"), named, request(server.JobStop),
				"Disables a server and stops it. Returns the job's id."},
			{"RestartServer", serverName, jobID, control("restart"), named, request(server.JobRestart),
				"Enables a server for every boot and restarts it. Returns the job's id."},
			{"Resync", nil, nil, control("resync"), plain, (*Bus).resync,
				"Checks all servers against systemd now, and returns when that is done."},
		},
		properties: []property{
			{name: "Version", sig: "s", change: forever, here: func(b *Bus) any { return b.Version }, doc: "The daemon's version."},
			{name: "ServerCount", sig: "u", change: tells, here: func(b *Bus) any { return uint32(len(b.told.objects)) }, doc: "How many servers there are."},
			{name: "LastResync", sig: "t", change: silent, here: func(b *Bus) any { return b.lastResync() },
				doc: "When all servers were last checked against systemd, in µs since 1970; 0 before the first time."},
			{name: "SystemdConnected", sig: "b", change: tells, here: func(b *Bus) any { return b.told.connected },
				doc: "Whether the link to systemd stands. Without it what is told of servers may be old."},
		},
		signals: []signal{
			{"JobNew", []arg{{"job", "t"}, {"server", "s"}, {"kind", "s"}}, "A job was accepted."},
			{"JobRemoved", []arg{{"job", "t"}, {"server", "s"}, {"kind", "s"}, {"result", "s"}}, "A job has ended: succeeded, failed or canceled."},
		},
	}

	ofServer = iface{name: serverFace,
		methods: []method{
			{"Start", nil, jobID, control("start"), plain, request(server.JobStart), "Enables the server for every boot and starts it. Returns the job's id."},
			{"Stop", nil, jobID, control("stop"), plain, request(server.JobStop), "Disables the server and stops it. Returns the job's id."},
			{"Restart", nil, jobID, control("restart"), plain, request(server.JobRestart), "Enables the server for every boot and restarts it. Returns the job's id."},
		},
		properties: []property{
			{name: "Name", sig: "s", change: forever, of: func(s *server.Server) any { return string(s.Name) }, doc: "The server's name."},
			{name: "Unit", sig: "s", change: forever, of: func(s *server.Server) any { return s.Unit }, doc: "The systemd unit."},
			{name: "Desired", sig: "s", change: tells, of: func(s *server.Server) any { return string(s.Desired) },
				doc: "running or stopped: whether the server is enabled for the next boot."},
			{name: "State", sig: "s", change: tells, of: func(s *server.Server) any { return string(s.State) },
				doc: "running, starting, restarting, stopping, stopped, failed or unknown."},
			{name: "Drift", sig: "s", change: tells, of: func(s *server.Server) any { return string(s.Drift) },
				doc: "Where intent and truth disagree: none, down, flapping, not-enabled, masked or missing."},
			{name: "DriftSince", sig: "t", change: tells, of: func(s *server.Server) any { return micros(s.DriftSince) },
				doc: "Since when, in µs since 1970; 0 when there is none."},
			{name: "Stale", sig: "b", change: tells, of: func(s *server.Server) any { return s.Stale },
				doc: "Whether the last observation is older than two resync intervals, or the link to systemd has been down for 2 s."},
			{name: "ActiveState", sig: "s", change: tells, of: func(s *server.Server) any { return s.ActiveState }, doc: "systemd's active state; empty when not known."},
			{name: "SubState", sig: "s", change: tells, of: func(s *server.Server) any { return s.SubState }, doc: "systemd's sub state; empty when not known."},
			{name: "UnitFileState", sig: "s", change: tells, of: func(s *server.Server) any { return s.UnitFileState },
				doc: "enabled, disabled or masked, from the enablement links."},
			{name: "MainPID", sig: "u", change: tells, of: func(s *server.Server) any { return s.MainPID }, doc: "The game's main process; 0 when there is none."},
			{name: "StateSince", sig: "t", change: tells, of: func(s *server.Server) any { return micros(s.StateSince) },
				doc: "When the active state last changed, in µs since 1970; 0 when not known."},
			{name: "ObservedAt", sig: "t", change: silent, of: func(s *server.Server) any { return micros(s.ObservedAt) },
				doc: "When systemd was last heard of it, in µs since 1970; 0 when never."},
		},
	}
)

// The standard interfaces (the D-Bus specification, "Standard Interfaces").
var (
	peerFace = iface{name: "org.freedesktop.DBus.Peer", methods: []method{ // the library answers them
		{name: "Ping", doc: "Answers."},
		{name: "GetMachineId", out: []arg{{"machine_uuid", "s"}}, doc: "The machine's id."},
	}}
	introspectableFace = iface{name: "org.freedesktop.DBus.Introspectable", methods: []method{
		{"Introspect", nil, []arg{{"xml_data", "s"}}, nothing, plain, (*Bus).introspect, "This description."},
	}}
	propertiesFace = iface{name: "org.freedesktop.DBus.Properties",
		methods: []method{
			{"Get", []arg{{"interface_name", "s"}, {"property_name", "s"}}, []arg{{"value", "v"}}, nothing, plain, (*Bus).get, "One property."},
			{"GetAll", []arg{{"interface_name", "s"}}, []arg{{"properties", "a{sv}"}}, nothing, plain, (*Bus).getAll, "All properties of an interface."},
			{"Set", []arg{{"interface_name", "s"}, {"property_name", "s"}, {"value", "v"}}, nil, nothing, plain, (*Bus).set, "Fails: no property can be set."},
		},
		signals: []signal{{"PropertiesChanged", []arg{{"interface_name", "s"}, {"changed_properties", "a{sv}"}, {"invalidated_properties", "as"}}, "Properties have changed."}},
	}
	objectManagerFace = iface{name: "org.freedesktop.DBus.ObjectManager",
		methods: []method{
			{"GetManagedObjects", nil, []arg{{"objects", "a{oa{sa{sv}}}"}}, nothing, heavy, (*Bus).managedObjects, "All servers with all their properties."},
		},
		signals: []signal{
			{"InterfacesAdded", []arg{{"object", "o"}, {"interfaces", "a{sa{sv}}"}}, "There is a new server."},
			{"InterfacesRemoved", []arg{{"object", "o"}, {"interfaces", "as"}}, "A server is gone."},
		},
	}
)

// What stands at a path: left4med itself, a server, or a step on the way there.
var (
	managerObject = []iface{peerFace, introspectableFace, propertiesFace, objectManagerFace, manager}
	serverObject  = []iface{peerFace, introspectableFace, propertiesFace, ofServer}
	nodeObject    = []iface{peerFace, introspectableFace}
)

func micros(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMicro())
}
