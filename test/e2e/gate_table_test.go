package e2e_test

import (
	"strings"

	"github.com/left4med/left4med/test/asker"
)

// The doors of left4med, by hand from what was agreed on: what each route and
// method asks, and how each caller fares while polkit answers. The columns are the
// callers in this order:
//
//	root       uid 0
//	op         a member of left4med-operators
//	web        the user left4med-web
//	kim        who may restart versus-1 and nothing else, by the rule in left4med(8)
//	someone    a user without any rights
//	game       a process with the uid of a game that runs
//
// yes: the gate lets it pass; no: it does not; all: the answer has settings and
// jobs; bare: it has not.
var callers = []string{"root", "op", "web", "kim", "someone", "game"}

const (
	// How they fare without polkit: root as ever, games as ever, and the others see
	// what anyone may see.
	anyone   = "yes yes  yes  yes  yes  no"
	settings = "all all  all  bare bare no"
	granted  = "yes yes  yes  no   no   no"
	kimsOwn  = "yes yes  yes  yes  no   no"
	library  = "yes yes  yes  yes  yes  yes" // the D-Bus library answers it itself; it tells nothing
)

// door is one line of the table: a route or a method, what it asks, one try, and
// how the callers fare with it.
type door struct {
	name, asks string
	try        asker.Question
	fares      string
}

// fare is how a caller fares at the door, polkit answering or not.
func (d door) fare(caller int, polkit bool) string {
	fare := strings.Fields(d.fares)[caller]
	switch {
	case polkit || callers[caller] == "root" || d.asks == "" && fare != "all":
		return fare
	case fare == "all":
		return "bare"
	}
	return "no"
}

// get and send make tries on the socket.
func get(path string) asker.Question { return asker.Question{Method: "GET", Path: path} }

func send(method, path, body string) asker.Question {
	return asker.Question{Method: method, Path: path, Body: body}
}

// routes is the table of the socket. since is an event id to resume after. Tries
// that would do harm name a server or a job that is not there: what is not
// refused is found missing.
func routes(since string) []door {
	events := asker.Question{Method: "GET", Path: "/v1/events", Stream: true, Header: map[string]string{"Last-Event-ID": since}}
	act := func(verb, names string) asker.Question {
		return send("POST", "/v1/actions", `{"action":"`+verb+`","servers":[`+names+`]}`)
	}
	return []door{
		{"GET /v1/servers", "", get("/v1/servers"), settings},
		{"GET /v1/servers/{name}", "", get("/v1/servers/versus-1"), settings},
		{"POST /v1/servers", "configure", send("POST", "/v1/servers", `{"name":"versus-1"}`), granted},
		{"PATCH /v1/servers/{name}", "configure", send("PATCH", "/v1/servers/versus-1", `{"config":{"max_players":7}}`), granted},
		{"DELETE /v1/servers/{name}", "configure", send("DELETE", "/v1/servers/absent", ""), granted},
		{"PUT /v1/servers/{name}/secrets/{secret}", "configure", send("PUT", "/v1/servers/absent/secrets/password", `{"value":"x"}`), granted},
		{"POST /v1/servers/{name}/start", "control", send("POST", "/v1/servers/versus-1/start", ""), granted},
		{"POST /v1/servers/{name}/stop", "control", send("POST", "/v1/servers/versus-1/stop", ""), granted},
		{"POST /v1/servers/{name}/restart", "control", send("POST", "/v1/servers/versus-1/restart", ""), kimsOwn},
		{"POST /v1/servers/{name}/restart", "control", send("POST", "/v1/servers/absent/restart", ""), granted},
		{"POST /v1/servers/{name}/reset", "configure", send("POST", "/v1/servers/absent/reset", ""), granted},
		{"GET /v1/servers/{name}/logs", "inspect", get("/v1/servers/versus-1/logs?lines=1"), granted},
		{"POST /v1/actions", "control", act("restart", `"versus-1","absent"`), kimsOwn},
		{"POST /v1/actions", "control", act("stop", `"versus-1"`), granted},
		{"GET /v1/jobs", "inspect", get("/v1/jobs"), granted},
		{"GET /v1/jobs/{id}", "inspect", get("/v1/jobs/1"), granted}, // root's
		{"POST /v1/jobs/{id}/cancel", "control", send("POST", "/v1/jobs/1/cancel", ""), granted},
		{"GET /v1/history", "inspect", get("/v1/history"), granted},
		{"GET /v1/events", "", events, settings},
		{"POST /v1/resync", "control", send("POST", "/v1/resync", ""), granted},
		{"GET /v1/updates", "", get("/v1/updates"), anyone},
		{"GET /v1/orphans", "inspect", get("/v1/orphans"), granted},
		{"POST /v1/orphans/{unit}/adopt", "configure", send("POST", "/v1/orphans/left4me-server@absent.service/adopt", ""), granted},
		{"POST /v1/orphans/{unit}/disable", "configure", send("POST", "/v1/orphans/left4me-server@absent.service/disable", ""), granted},
		{"GET /v1/servers/{name}/availability", "inspect", get("/v1/servers/versus-1/availability"), granted},
		{"GET /v1/servers/{name}/series", "inspect", get("/v1/servers/versus-1/series"), granted},
		{"GET /v1/overlays", "inspect", get("/v1/overlays"), granted},
		{"DELETE /v1/overlays/{overlay}", "configure", send("DELETE", "/v1/overlays/absent", ""), granted},
		{"POST /v1/install", "install", send("POST", "/v1/install", `{"check":true}`), granted}, // its job fails, and does no harm
		{"GET /v1/servers/{name}/backups", "configure", get("/v1/servers/absent/backups"), granted},
		{"POST /v1/servers/{name}/backups", "configure", send("POST", "/v1/servers/absent/backups", ""), granted},
		{"POST /v1/servers/{name}/backups/{id}/restore", "configure", send("POST", "/v1/servers/absent/backups/1/restore", ""), granted},
		{"DELETE /v1/servers/{name}/backups/{id}", "configure", send("DELETE", "/v1/servers/absent/backups/1", ""), granted},
		{"GET /v1/servers/{name}/players", "inspect", get("/v1/servers/absent/players"), granted},
		{"POST /v1/servers/{name}/rcon", "rcon", send("POST", "/v1/servers/absent/rcon", `{"command":"status"}`), granted},
		{"POST /v1/alerts/test", "configure", send("POST", "/v1/alerts/test", ""), granted},
		{"GET /v1/health", "", get("/v1/health"), anyone},
		{"GET /metrics", "", get("/metrics"), anyone},
		{"GET /openapi.json", "", get("/openapi.json"), anyone},
	}
}

// The objects on the bus, by kind.
const (
	managerPath = "/org/left4me/left4med1"
	serverPath  = "/org/left4me/left4med1/server/versus_2d1"
	nodePath    = "/org"
)

// methods is the table of the bus.
func methods() []door {
	const (
		own   = "org.left4me.left4med1."
		dbus  = "org.freedesktop.DBus."
		props = dbus + "Properties."
	)
	var all []door
	add := func(object, member, asks, fares, signature string, args ...string) {
		try := asker.Question{Object: object, Member: member, Signature: signature, Args: args}
		all = append(all, door{object + " " + member, asks, try, fares})
	}
	add(managerPath, own+"Manager.ListServers", "", anyone, "")
	add(managerPath, own+"Manager.GetServer", "", anyone, "s", "versus-1")
	add(managerPath, own+"Manager.StartServer", "control", granted, "s", "versus-1")
	add(managerPath, own+"Manager.StopServer", "control", granted, "s", "versus-1")
	add(managerPath, own+"Manager.RestartServer", "control", kimsOwn, "s", "versus-1")
	add(managerPath, own+"Manager.RestartServer", "control", granted, "s", "absent")
	add(managerPath, own+"Manager.Resync", "control", granted, "")
	add(managerPath, dbus+"ObjectManager.GetManagedObjects", "", anyone, "")
	add(serverPath, own+"Server.Start", "control", granted, "")
	add(serverPath, own+"Server.Stop", "control", granted, "")
	add(serverPath, own+"Server.Restart", "control", kimsOwn, "")
	for _, object := range []string{managerPath, serverPath, nodePath} {
		add(object, dbus+"Peer.Ping", "", library, "")
		add(object, dbus+"Peer.GetMachineId", "", library, "")
		add(object, dbus+"Introspectable.Introspect", "", anyone, "")
	}
	for object, face := range map[string]string{managerPath: own + "Manager", serverPath: own + "Server"} {
		property := map[string]string{managerPath: "Version", serverPath: "State"}[object]
		add(object, props+"Get", "", anyone, "ss", face, property)
		add(object, props+"GetAll", "", anyone, "s", face)
		add(object, props+"Set", "", anyone, "ssv", face, property, "x") // none can be set
	}
	return all
}

// asked is what the doors ask, by name, as the daemon describes itself.
func asked(doors []door) map[string]string {
	all := map[string]string{}
	for _, d := range doors {
		all[d.name] = d.asks
	}
	return all
}
