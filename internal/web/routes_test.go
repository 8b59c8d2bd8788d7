package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/api"
)

// notRelayed is what the frontend has of its own instead.
var notRelayed = map[string]bool{"GET /v1/events": true, "GET /metrics": true, "GET /openapi.json": true}

// needs is the least role for what the daemon asks of a client.
var needs = map[string]account.Role{
	"Asks no permission.":                  account.RoleViewer,
	"Asks org.left4me.left4med1.inspect":   account.RoleViewer,
	"Asks org.left4me.left4med1.control":   account.RoleOperator,
	"Asks org.left4me.left4med1.rcon":      account.RoleOperator,
	"Asks org.left4me.left4med1.configure": account.RoleAdmin,
	"Asks org.left4me.left4med1.install":   account.RoleAdmin,
}

type operation struct {
	method, path string
	need         account.Role
}

// operations is what the daemon has, from its own description.
func operations(t *testing.T) []operation {
	t.Helper()
	spec, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct{ Description string }
	}
	if err := json.Unmarshal(spec, &doc); err != nil {
		t.Fatal(err)
	}
	var all []operation
	for path, methods := range doc.Paths {
		for method, op := range methods {
			method = strings.ToUpper(method)
			if notRelayed[method+" "+path] {
				continue
			}
			var need account.Role
			for asks, role := range needs {
				if strings.HasPrefix(op.Description, asks) {
					need = role
				}
			}
			if need == "" {
				t.Fatalf("%s %s asks something new: %q", method, path, op.Description)
			}
			path = strings.NewReplacer("{name}", "versus-1", "{id}", "7", "{unit}", "left4me-server@Old_1.service", "{overlay}", "maps", "{secret}", "rcon").Replace(path)
			all = append(all, operation{method, path, need})
		}
	}
	return all
}

// Every operation of the daemon is there for the roles that may have it, and for
// nobody else: it does not even reach the daemon.
func TestEachRoleReachesItsRoutes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	browsers := []struct {
		role account.Role
		*browser
	}{
		{"", s.browser()}, {account.RoleViewer, s.as(account.RoleViewer)}, {account.RoleOperator, s.as(account.RoleOperator)}, {account.RoleAdmin, s.as(account.RoleAdmin)},
	}
	ops := operations(t)
	if len(ops) < 30 {
		t.Fatalf("the daemon has but %d operations", len(ops))
	}
	for _, op := range ops {
		body := ""
		if op.method != http.MethodGet && op.method != http.MethodDelete {
			body = `{}`
		}
		for _, b := range browsers {
			answer := b.do(op.method, "/api"+op.path, body)
			status, code, reached := answer.Status, answer.code(), s.daemon.asked()
			wantStatus, wantCode, wantReached := http.StatusOK, "", []string{op.method + " " + op.path}
			switch {
			case b.role == "":
				wantStatus, wantCode, wantReached = http.StatusUnauthorized, "not-signed-in", []string{}
			case !b.role.Has(op.need):
				wantStatus, wantCode, wantReached = http.StatusForbidden, "not-authorized", []string{}
			}
			if status != wantStatus || code != wantCode || !cmp.Equal(wantReached, reached) {
				t.Errorf("%q: %s %s = %d %s and reached %q, want %d %s and %q", b.role, op.method, op.path, status, code, reached, wantStatus, wantCode, wantReached)
			}
		}
	}
}

// The frontend's own routes.
func TestUsersAreForAdmins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, role := range []account.Role{account.RoleViewer, account.RoleOperator} {
		b := s.as(role)
		for _, rt := range [][2]string{{"GET", "/api/users"}, {"POST", "/api/users"}, {"PATCH", "/api/users/viewer-1"}, {"DELETE", "/api/users/viewer-1"}} {
			if answer := b.do(rt[0], rt[1], `{"name":"x1","role":"admin","password":"correct horse"}`); answer.Status != http.StatusForbidden || !strings.Contains(answer.Body, "needs admin") {
				t.Errorf("%s: %s %s = %d %s", role, rt[0], rt[1], answer.Status, answer.Body)
			}
		}
	}
	users, err := s.book.Users(t.Context())
	if err != nil || len(users) != 2 {
		t.Errorf("users = %v, %v", users, err)
	}
}

// No spelling of a path, and no header, leads a viewer to what a viewer may not.
func TestTricksLeadNowhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	viewer, admin := s.as(account.RoleViewer), s.as(account.RoleAdmin)
	for _, path := range []string{
		"/api/v1/servers/../install", "/api/v1/servers/%2e%2e/install", "/api/v1/servers/..%2finstall", "/api/v1/servers/a%2fstart", "/api/v1/servers/a/%2e%2e/b/start",
		"//api/v1/install", "/api//v1/install", "/api/v1//install", "/api/v1/install/", "/api/v1/./install", "/api/../api/v1/install",
		"/api/v1/events", "/api/v1/events/", "/v1/install", "/api/v1/servers/a%00/start", "/api/v1/servers/A/start", "/api/v1/servers/a%3fb/start",
		"/api/v1/servers/a/secrets/..", "/api/v1/servers/a/secrets/gslt%2f..", "/api/v1/jobs/1%2f..%2f..%2finstall/cancel", "/api/v1/jobs/+1/cancel",
		"/api/v1/orphans/..%2f..%2finstall/adopt", "/api/v1/orphans/ssh.service/disable", "/api/v1/overlays/%2e%2e", "/api/v1/overlays/a%2fb",
		"/API/v1/install", "/api/metrics", "/api/v1/metrics", "/api/v1", "/api",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			for _, b := range []*browser{viewer, admin} {
				r := b.request(method, "/", `{}`)
				r.URL.Opaque = "//" + s.host + path // as it is
				answer := b.send(r)
				thePage := strings.Contains(answer.Body, "<title>")
				if reached := s.daemon.asked(); len(reached) > 0 || answer.Status < 400 && !thePage {
					t.Errorf("%s %s = %d and reached %q", method, path, answer.Status, reached)
				}
			}
		}
	}
	for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"} {
		for _, value := range []string{"POST", "/api/v1/install"} {
			viewer.do(http.MethodGet, "/api/v1/servers/versus-1", "", header, value)
			for _, saw := range s.daemon.take() {
				if saw.Request != "GET /v1/servers/versus-1" || saw.Header.Get(header) != "" {
					t.Errorf("%s: %s reached the daemon as %v", header, value, saw)
				}
			}
		}
	}
	// An encoded letter is the letter: the route is found, and with it its role.
	if answer := viewer.do(http.MethodPost, "/api/v1/%69nstall", `{}`); answer.Status != http.StatusForbidden {
		t.Errorf("an encoded install = %d %s", answer.Status, answer.Body)
	}
}
