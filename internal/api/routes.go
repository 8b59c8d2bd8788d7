package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

// route is one line of the table.
type route struct {
	method, path string
	asks         asks
	id           string // of the operation in the OpenAPI document
	summary      string
	serve        endpoint
}

// asks is what a route needs permission for.
type asks struct {
	action authz.Action
	verb   string // what polkit's rules are told it is about to do
	each   bool   // the handler asks for each server that the body names
	own    bool   // who asked for the job may see it anyway
}

func (a asks) once() bool { return a.action != authz.None && !a.each }

// What the routes ask.
func nothing() asks              { return asks{} }
func inspect(verb string) asks   { return asks{action: authz.Inspect, verb: verb} }
func inspectOrOwn() asks         { return asks{action: authz.Inspect, verb: "jobs", own: true} }
func control(verb string) asks   { return asks{action: authz.Control, verb: verb} }
func controlEach() asks          { return asks{action: authz.Control, each: true} }
func configure(verb string) asks { return asks{action: authz.Configure, verb: verb} }
func rcon(verb string) asks      { return asks{action: authz.RCON, verb: verb} }
func install(verb string) asks   { return asks{action: authz.Install, verb: verb} }
func (rt route) pattern() string { return rt.method + " " + rt.path }

// routes is the table: what there is, what it asks, and who serves it.
func (h *handler) routes() []route {
	const (
		get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
		put                   = http.MethodPut

		servers = "/v1/servers"
		one     = "/v1/servers/{name}"
		jobs    = "/v1/jobs"
		job     = "/v1/jobs/{id}"
		orphans = "/v1/orphans"
		orphan  = "/v1/orphans/{unit}"

		overlays = "/v1/overlays"
	)
	return []route{
		{get, servers, nothing(), "list-servers", "All servers, from memory", raw(h.listServers, docListServers)},
		{get, one, nothing(), "get-server", "One server, from memory", raw(h.getServer, docGetServer)},
		{post, servers, configure("initialize"), "create-server", "Create a server", typed(h.createServer, docJob)},
		{patch, one, configure("change"), "change-server", "Change settings; they apply at the next start", typed(h.changeServer)},
		{del, one, configure("delete"), "delete-server", "Stop, disable and remove a server with its files", typed(h.verb(server.JobDelete), docJob)},
		{put, one + "/secrets/{secret}", configure("secret"), "set-secret", "Set a secret; it applies at the next start, and nothing reads it back", typed(h.setSecret)},
		{post, one + "/start", control("start"), "start-server", "Enable for every boot and start", typed(h.verb(server.JobStart), docJob)},
		{post, one + "/stop", control("stop"), "stop-server", "Disable and stop", typed(h.verb(server.JobStop), docJob)},
		{post, one + "/restart", control("restart"), "restart-server", "Enable for every boot and restart", typed(h.restart, docJob)},
		{post, one + "/reset", configure("reset"), "reset-server", "Stop, disable and remove all that the game wrote; settings stay", typed(h.verb(server.JobReset), docJob)},
		{get, one + "/backups", configure("backups"), "list-backups", "A server's backups, newest first", typed(h.listBackups)},
		{post, one + "/backups", configure("backup"), "backup-server", "Archive what the game wrote, the settings and the secrets; a game that runs stands still meanwhile", typed(h.verb(server.JobBackup), docJob)},
		{post, one + "/backups/{id}/restore", configure("restore"), "restore-backup", "Stop and disable, and give back what a backup holds; what is there now is backed up before", typed(h.restoreBackup, docJob)},
		{del, one + "/backups/{id}", configure("delete-backup"), "delete-backup", "Delete a backup", typed(h.deleteBackup)},
		{get, one + "/availability", inspect("availability"), "get-availability", "How much of the time that a server was meant to run it ran", typed(h.availability)},
		{get, one + "/series", inspect("series"), "get-series", "What a server took of the host and how many played, over time", typed(h.series)},
		{get, one + "/logs", inspect("logs"), "read-logs", "A server's log", raw(h.logs, docLogs)},
		{get, one + "/players", inspect("players"), "list-players", "Who plays on a server that runs", typed(h.players)},
		{post, one + "/rcon", rcon("rcon"), "rcon", "Run a command on the console of a game that runs", typed(h.rcon)},
		{post, "/v1/actions", controlEach(), "act", "Start, stop or restart many servers at once", typed(h.act, docAct)},
		{post, "/v1/install", install("install"), "install", "Install or update the game, or look for a newer build", typed(h.install, docJob)},
		{get, "/v1/updates", nothing(), "get-updates", "Which build of the game is installed, and which is the newest", typed(h.updates)},
		{get, jobs, inspect("jobs"), "list-jobs", "Jobs, newest first", typed(h.listJobs)},
		{get, job, inspectOrOwn(), "get-job", "One job", typed(h.getJob)},
		{post, job + "/cancel", control("cancel"), "cancel-job", "Cancel a job that has not ended", typed(h.cancelJob)},
		{get, "/v1/history", inspect("history"), "list-history", "What happened and who asked for it, newest first", typed(h.listHistory)},
		{get, orphans, inspect("orphans"), "list-orphans", "Units and files of our template that belong to no server", typed(h.listOrphans)},
		{post, orphan + "/adopt", configure("adopt"), "adopt-orphan", "Make a server of an orphan; its game goes on", typed(h.onOrphan(server.JobAdopt), docJob)},
		{post, orphan + "/disable", configure("disable-orphan"), "disable-orphan", "Disable and stop an orphan's unit; its files stay", typed(h.onOrphan(server.JobDisableOrphan), docJob)},
		{get, overlays, inspect("overlays"), "list-overlays", "Overlays, their sizes, and who uses them", typed(h.listOverlays)},
		{del, overlays + "/{overlay}", configure("delete-overlay"), "delete-overlay", "Remove an overlay that nobody uses", typed(h.deleteOverlay)},
		{get, "/v1/events", nothing(), "watch-events", "What changes, as it changes", raw(h.events, docEvents)},
		{post, "/v1/resync", control("resync"), "resync", "Check all servers against systemd now", typed(h.resync)},
		{post, "/v1/alerts/test", configure("test-alerts"), "test-alerts", "Send a test to every webhook and unit that the settings name for alerts", typed(h.testAlerts)},
		{get, "/v1/health", nothing(), "health", "How left4med itself is", typed(h.health)},
		{get, "/metrics", nothing(), "metrics", "Numbers for Prometheus, from memory", raw(h.scrape, docScrape)},
		{get, "/openapi.json", nothing(), "openapi", "This document", raw(h.openapi, docOpenAPI)},
	}
}

// endpoint registers what serves a route.
type endpoint func(h *handler, rt route, op huma.Operation)

// typed serves a route by a function from a decoded and validated request to
// its answer.
func typed[I, O any](serve func(context.Context, *I) (*O, error), docs ...func(*huma.Operation, huma.Registry)) endpoint {
	return func(h *handler, rt route, op huma.Operation) {
		h.huma.Adapter().(*adapter).routes[op.OperationID] = rt
		describe(h, &op, docs)
		huma.Register(h.huma, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := serve(ctx, in)
			if err != nil {
				return nil, h.problem(ctx, err)
			}
			return out, nil
		})
	}
}

// raw serves a route by a handler that writes its answer itself: streams, and
// the answers that are put together from bytes kept ready.
func raw(serve guarded, docs ...func(*huma.Operation, huma.Registry)) endpoint {
	return func(h *handler, rt route, op huma.Operation) {
		describe(h, &op, docs)
		h.huma.OpenAPI().AddOperation(&op)
		h.mux.HandleFunc(rt.pattern(), h.guard(rt, queryParams(&op), serve))
	}
}

func describe(h *handler, op *huma.Operation, docs []func(*huma.Operation, huma.Registry)) {
	for _, doc := range docs {
		doc(op, h.huma.OpenAPI().Components.Schemas)
	}
}

func (h *handler) register(rt route) {
	rt.serve(h, rt, huma.Operation{
		Parameters:  rt.headers(),
		OperationID: rt.id, Method: rt.method, Path: rt.path, Summary: rt.summary,
		Description:     rt.asks.description(),
		MaxBodyBytes:    maxBody + 1, // huma refuses a body that reaches the limit
		BodyReadTimeout: -1,          // timedBody sees to it
		Responses:       map[string]*huma.Response{"default": problemResponse(h.huma.OpenAPI().Components.Schemas)},
	})
}

func (a asks) description() string {
	switch {
	case a.action == authz.None:
		return "Asks no permission."
	case a.each:
		return "Asks " + string(a.action) + " for each server."
	case a.own:
		return "Asks " + string(a.action) + ", unless it is the client's own job."
	}
	return "Asks " + string(a.action) + "."
}
