package web

import (
	"net/http"

	"github.com/left4med/left4med/internal/account"
)

// The roles, as the tables say them. Anyone is also who is not signed in.
const (
	anyone   = account.Role("")
	viewer   = account.RoleViewer
	operator = account.RoleOperator
	admin    = account.RoleAdmin
)

const (
	get, post, put = http.MethodGet, http.MethodPost, http.MethodPut
	patch, del     = http.MethodPatch, http.MethodDelete
)

// route is one line of the tables. What answers GET also answers HEAD.
type route struct {
	method, path string
	need         account.Role
	serve        func(w http.ResponseWriter, r *http.Request, c *call)
}

// routes is all that there is, but for the page's files.
func (s *Server) routes() []route {
	own := []route{
		{get, "/api/session", viewer, s.readSession},
		{post, "/api/session", anyone, s.signIn},
		{del, "/api/session", viewer, s.signOut},
		{post, "/api/setup", anyone, s.setUp},

		{post, "/api/account/password", viewer, s.changePassword},
		{get, "/api/account/sessions", viewer, s.listSessions},
		{del, "/api/account/sessions/{id}", viewer, s.endSession},

		{get, "/api/users", admin, s.listUsers},
		{post, "/api/users", admin, s.addUser},
		{patch, "/api/users/{user}", admin, s.changeUser},
		{del, "/api/users/{user}", admin, s.removeUser},

		{get, "/api/state", viewer, s.state},
		{get, "/api/events", viewer, s.events},
		{get, "/api/v1/servers/{name}/logs", viewer, s.readLogs},
		{get, "/api/openapi.json", viewer, s.openapi},

		{get, "/metrics", anyone, s.metrics},
		{get, "/healthz", anyone, s.healthz},
	}
	for _, d := range daemonRoutes() {
		own = append(own, route{d.method, "/api" + d.path, d.need, func(w http.ResponseWriter, r *http.Request, c *call) { s.relay(w, r, c, d) }})
	}
	return own
}

// daemonRoute is one route of the daemon's that browsers may use.
type daemonRoute struct {
	method, path string
	need         account.Role
}

// daemonRoutes is which role may use what of the daemon. A viewer reads what
// changes nothing. An operator runs servers. An admin also changes what they are.
// Streams (/v1/events, followed logs) are shared and not relayed.
func daemonRoutes() []daemonRoute {
	const one, orphan = "/v1/servers/{name}", "/v1/orphans/{unit}"
	return []daemonRoute{
		{get, "/v1/servers", viewer},
		{get, one, viewer},
		{get, one + "/availability", viewer},
		{get, one + "/series", viewer},
		{get, one + "/players", viewer},
		{get, "/v1/updates", viewer},
		{get, "/v1/jobs", viewer},
		{get, "/v1/jobs/{id}", viewer},
		{get, "/v1/history", viewer},
		{get, "/v1/orphans", viewer},
		{get, "/v1/overlays", viewer},
		{get, "/v1/health", viewer},

		{post, one + "/start", operator},
		{post, one + "/stop", operator},
		{post, one + "/restart", operator},
		{post, one + "/rcon", operator},
		{post, "/v1/actions", operator},
		{post, "/v1/jobs/{id}/cancel", operator},
		{post, "/v1/resync", operator},

		{post, "/v1/servers", admin},
		{patch, one, admin},
		{del, one, admin},
		{put, one + "/secrets/{secret}", admin},
		{post, one + "/reset", admin},
		{get, one + "/backups", admin},
		{post, one + "/backups", admin},
		{post, one + "/backups/{id}/restore", admin},
		{del, one + "/backups/{id}", admin},
		{post, orphan + "/adopt", admin},
		{post, orphan + "/disable", admin},
		{del, "/v1/overlays/{overlay}", admin},
		{post, "/v1/install", admin},
		{post, "/v1/alerts/test", admin},
	}
}
