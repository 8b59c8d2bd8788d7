package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

// probe is a request that each route answers well when it is allowed.
type probe struct {
	path, body string
	status     int  // for those who may
	open       bool // anyone may
}

var probes = map[string]probe{
	"GET /v1/servers":                              {path: "/v1/servers", status: 200, open: true},
	"GET /v1/servers/{name}":                       {path: "/v1/servers/alpha", status: 200, open: true},
	"POST /v1/servers":                             {path: "/v1/servers", body: `{"name":"new"}`, status: 202},
	"PATCH /v1/servers/{name}":                     {path: "/v1/servers/alpha", body: `{"config":{"map":"c2m1_highway"}}`, status: 200},
	"DELETE /v1/servers/{name}":                    {path: "/v1/servers/alpha", status: 202},
	"PUT /v1/servers/{name}/secrets/{secret}":      {path: "/v1/servers/alpha/secrets/rcon", body: `{"value":""}`, status: 204},
	"POST /v1/servers/{name}/start":                {path: "/v1/servers/alpha/start", status: 202},
	"POST /v1/servers/{name}/stop":                 {path: "/v1/servers/alpha/stop", status: 202},
	"POST /v1/servers/{name}/restart":              {path: "/v1/servers/alpha/restart", status: 202},
	"POST /v1/servers/{name}/reset":                {path: "/v1/servers/alpha/reset", status: 202},
	"GET /v1/servers/{name}/backups":               {path: "/v1/servers/alpha/backups", status: 200},
	"POST /v1/servers/{name}/backups":              {path: "/v1/servers/alpha/backups", status: 202},
	"POST /v1/servers/{name}/backups/{id}/restore": {path: "/v1/servers/alpha/backups/7/restore", status: 202},
	"DELETE /v1/servers/{name}/backups/{id}":       {path: "/v1/servers/alpha/backups/7", status: 204},
	"GET /v1/servers/{name}/logs":                  {path: "/v1/servers/alpha/logs", status: 200},
	"GET /v1/servers/{name}/availability":          {path: "/v1/servers/alpha/availability", status: 200},
	"GET /v1/servers/{name}/series":                {path: "/v1/servers/alpha/series", status: 200},
	"POST /v1/actions":                             {path: "/v1/actions", body: `{"action":"stop","servers":["alpha"]}`, status: 202},
	"GET /v1/jobs":                                 {path: "/v1/jobs", status: 200},
	"GET /v1/jobs/{id}":                            {path: "/v1/jobs/1", status: 200},
	"POST /v1/jobs/{id}/cancel":                    {path: "/v1/jobs/1/cancel", status: 200},
	"GET /v1/history":                              {path: "/v1/history", status: 200},
	"GET /v1/orphans":                              {path: "/v1/orphans", status: 200},
	"POST /v1/orphans/{unit}/adopt":                {path: "/v1/orphans/left4me-server@lost.service/adopt", status: 202},
	"POST /v1/orphans/{unit}/disable":              {path: "/v1/orphans/left4me-server@Foo_1.service/disable", status: 202},
	"GET /v1/events":                               {path: "/v1/events", status: 200, open: true},
	"POST /v1/resync":                              {path: "/v1/resync", status: 204},
	"POST /v1/alerts/test":                         {path: "/v1/alerts/test", status: 200},
	"GET /v1/health":                               {path: "/v1/health", status: 200, open: true},
	"GET /metrics":                                 {path: "/metrics", status: 200, open: true},
	"GET /openapi.json":                            {path: "/openapi.json", status: 200, open: true},
	"POST /v1/install":                             {path: "/v1/install", body: `{"check":true}`, status: 202},
	"GET /v1/updates":                              {path: "/v1/updates", status: 200, open: true},
	"GET /v1/overlays":                             {path: "/v1/overlays", status: 200},
	"GET /v1/servers/{name}/players":               {path: "/v1/servers/alpha/players", status: 200},
	"POST /v1/servers/{name}/rcon":                 {path: "/v1/servers/alpha/rcon", body: `{"command":"status"}`, status: 200},
	"DELETE /v1/overlays/{overlay}":                {path: "/v1/overlays/maps", status: 204},
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	f.do(root, "POST", "/v1/servers/beta/start", "") // job 1
	close(f.logs.lines)
	for _, rt := range api.Routes() {
		pattern := rt.Method + " " + rt.Path
		p, ok := probes[pattern]
		if !ok {
			t.Errorf("%s is in the table and not tested", pattern)
			continue
		}
		if p.open != (rt.Action == "") {
			t.Errorf("%s asks %q", pattern, rt.Action)
		}
		if (rt.Action != "" && !rt.Each) != (rt.Verb != "") {
			t.Errorf("%s asks %q with the verb %q", pattern, rt.Action, rt.Verb)
		}
		for who, peer := range map[string]authz.Peer{"root": root, "operator": operator, "kim": kim, "game": game} {
			res, err := f.client(peer).Do(f.request(t.Context(), rt.Method, p.path, p.body))
			if err != nil {
				t.Errorf("%s as %s: %v", pattern, who, err)
				continue
			}
			want := p.status
			if who == "game" || who == "kim" && !p.open {
				want = http.StatusForbidden
				var got api.Problem
				if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Code != server.CodeNotAuthorized {
					t.Errorf("%s as %s: got %+v, %v", pattern, who, got, err)
				}
			}
			if res.StatusCode != want {
				t.Errorf("%s as %s: got %d, want %d", pattern, who, res.StatusCode, want)
			}
			res.Body.Close()
		}
	}
}

// TestOneServerOnly: the server that a request is about reaches polkit's rules,
// wherever it stands.
func TestOneServerOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	for _, name := range []string{"alpha", "beta"} { // jobs 1 and 2
		f.do(root, "POST", "/v1/servers/"+name+"/start", "")
	}
	for request, want := range map[string]int{
		"POST /v1/servers/beta/restart":  202,
		"POST /v1/servers/alpha/restart": 403,
		"DELETE /v1/servers/beta":        403,
		"POST /v1/jobs/2/cancel":         200,
		"POST /v1/jobs/1/cancel":         403,
		"GET /v1/jobs/1":                 403,
		"GET /v1/jobs":                   403,
		"POST /v1/jobs/99/cancel":        403, // whether there is one is not hers to know
		"POST /v1/resync":                403,
		"GET /v1/servers/alpha":          200,
	} {
		method, path, _ := strings.Cut(request, " ")
		if a := f.do(ann, method, path, ""); a.Status != want {
			t.Errorf("%s: got %d %s, want %d", request, a.Status, a.Body, want)
		}
	}
	own := into[server.Job](t, f.do(ann, "POST", "/v1/servers/beta/restart", ""))
	if a := f.do(ann, "GET", fmt.Sprintf("/v1/jobs/%d", own.ID), ""); a.Status != 200 {
		t.Errorf("her own job: %d %s", a.Status, a.Body)
	}
	both := f.do(ann, "POST", "/v1/actions", `{"action":"restart","servers":["beta","alpha","beta"]}`)
	var act struct {
		Jobs    []server.Job
		Refused []struct{ Server, Code string }
	}
	if err := json.Unmarshal([]byte(both.Body), &act); err != nil {
		t.Fatal(err, both.Body)
	}
	if both.Status != 202 || len(act.Jobs) != 1 || act.Jobs[0].Server != "beta" ||
		!cmp.Equal(act.Refused, []struct{ Server, Code string }{{"alpha", "not-authorized"}}) {
		t.Errorf("an action on hers and another: %d %s", both.Status, both.Body)
	}
}

// TestPassword: a client learns that a password would do, and polkit whether it
// may ask for one; a person is asked once for a request over many servers.
func TestPassword(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	for _, allow := range []string{"", "false", "true"} {
		p := into[api.Problem](t, f.do(max, "POST", "/v1/servers/alpha/start", "", "X-Allow-Interaction", allow))
		if p.Code != server.CodeNotAuthorized || p.Challenge != (allow != "true") {
			t.Errorf("X-Allow-Interaction: %s: %+v", allow, p)
		}
	}
	a := f.do(max, "POST", "/v1/actions", `{"action":"restart","servers":["alpha","beta"]}`, "X-Allow-Interaction", "true")
	if p := into[api.Problem](t, a); a.Status != 403 || !p.Challenge { // the second was asked about without her
		t.Errorf("an action: %d %+v", a.Status, p)
	}
}

// TestEveryRouteIsInTheTable compares what is documented, which is what was
// registered, with the table.
func TestEveryRouteIsInTheTable(t *testing.T) {
	t.Parallel()
	var table, documented []string
	for _, rt := range api.Routes() {
		table = append(table, rt.Method+" "+rt.Path)
	}
	for path, methods := range document(t).Paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	if diff := cmp.Diff(sorted(table), sorted(documented)); diff != "" {
		t.Error(diff)
	}
}

func TestGamesAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	for _, path := range []string{"/", "/nothing", "/v1/servers/..", "/openapi.json"} {
		got := f.do(game, "GET", path, "")
		if got.Status != 403 || !strings.Contains(got.Body, "games are refused") {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
}

func TestNobodyVouchedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	w := &recorder{header: http.Header{}}
	f.handler.ServeHTTP(w, f.request(t.Context(), "GET", "/v1/servers", ""))
	if w.status != 403 {
		t.Errorf("got %d %s", w.status, w.body)
	}
}

func TestRequester(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	for name, c := range map[string]struct {
		peer   authz.Peer
		header string
		want   server.Requester
	}{
		"operator":             {operator, "", server.Requester{UID: 1001, User: "lee", Via: "http"}},
		"operator is no web":   {operator, "alice", server.Requester{UID: 1001, User: "lee", Via: "http"}},
		"root is no web":       {root, "alice", server.Requester{UID: 0, User: "root", Via: "http"}},
		"web for itself":       {web, "", server.Requester{UID: 980, User: "left4med-web", Via: "http"}},
		"web for alice":        {web, "alice", server.Requester{UID: 980, User: "left4med-web", Via: "http", OnBehalfOf: "alice"}},
		"a uid without a name": {authz.Peer{UID: 4000}, "", server.Requester{UID: 4000, Via: "http"}},
	} {
		got := into[server.Job](t, f.do(c.peer, "POST", "/v1/servers/alpha/start", "", "X-On-Behalf-Of", c.header))
		if diff := cmp.Diff(c.want, got.RequestedBy); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, bad := range []string{strings.Repeat("x", 65), "a\u202eb"} {
		got := f.do(web, "POST", "/v1/servers/alpha/start", "", "X-On-Behalf-Of", bad)
		if p := into[api.Problem](t, got); got.Status != 400 || p.Errors[0].Field != "X-On-Behalf-Of" {
			t.Errorf("%q: %+v", bad, p)
		}
	}
}

// TestRealPeers lets the kernel say who asks: a process of another uid.
func TestRealPeers(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can start a process of another uid")
	}
	f := newFixture(t, settings{realPeers: true})
	for name, c := range map[string]struct {
		cred syscall.Credential
		path string
		want string
	}{
		"root":                {syscall.Credential{}, "/v1/jobs", "200"},
		"operator":            {syscall.Credential{Uid: 1001, Gid: 1001}, "/v1/jobs", "200"},
		"kim":                 {syscall.Credential{Uid: 1000, Gid: 1000}, "/v1/jobs", "403"},
		"kim without a right": {syscall.Credential{Uid: 1000, Gid: 1000}, "/v1/servers", "200"},
		"game":                {syscall.Credential{Uid: 62000, Gid: 990, Groups: []uint32{0, 990}}, "/v1/servers", "403"},
	} {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
		cmd.Env = []string{"LEFT4MED_TEST_GET=" + f.socket + " " + c.path}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &c.cred}
		out, err := cmd.Output()
		if err != nil || string(out) != c.want {
			t.Errorf("%s: got %q, %v; want %s", name, out, err, c.want)
		}
	}
}

func TestMain(m *testing.M) {
	if socket, path, ok := strings.Cut(os.Getenv("LEFT4MED_TEST_GET"), " "); ok {
		os.Exit(get(socket, path))
	}
	os.Exit(m.Run())
}

// get is what the process of another uid does.
func get(socket, path string) int {
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	res, err := c.Get("http://left4med" + path)
	if err != nil {
		fmt.Print(err)
		return 1
	}
	fmt.Print(res.StatusCode)
	return 0
}
