package api_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/server"
)

func problem(code server.Code, detail string, errs ...api.FieldError) api.Problem {
	p := *api.ProblemOf(code)
	p.Detail, p.Errors = detail, errs
	return p
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	const name = "may hold only lower-case letters, digits, '_' and '-'"
	field := func(field, detail string) api.Problem {
		return problem(server.CodeInvalidRequest, detail, api.FieldError{Field: field, Detail: strings.TrimPrefix(detail, field+": ")})
	}
	badName := func(detail string) api.Problem {
		return problem(server.CodeInvalidName, detail, api.FieldError{Field: "name", Detail: detail})
	}
	for _, c := range []struct {
		method, path, body string
		want               api.Problem
	}{
		{"GET", "/v1/servers/Up", "", badName(`the name "Up" must begin with a lower-case letter or a digit`)},
		{"GET", "/v1/servers/a@b", "", badName(`the name "a@b" ` + name)},
		{"POST", "/v1/servers/a.service/start", "", badName(`the name "a.service" ` + name)},
		{"DELETE", "/v1/servers/%2e%2e", "", badName(`the name ".." must begin with a lower-case letter or a digit`)},
		{"DELETE", "/v1/servers/..", "", badName(`the name ".." must begin with a lower-case letter or a digit`)},
		{"DELETE", "/v1/servers/a%2f..%2fb", "", badName(`the name "a/../b" ` + name)},
		{"DELETE", "/v1/servers/", "", badName("a server's name must not be empty")},
		{"POST", "/v1/servers//stop", "", badName("a server's name must not be empty")},
		{"GET", "/v1/servers/a%1b%5b31m", "", badName(`the name "a\x1b[31m" ` + name)},
		{"GET", "/v1/servers/" + strings.Repeat("x", 10_000), "", badName(`the name "` + strings.Repeat("x", 40) + `…" is 10000 bytes long; at most 24 are allowed`)},
		{"POST", "/v1/servers", `{"name":"` + strings.Repeat("x", 10_000) + `"}`, badName(`the name "` + strings.Repeat("x", 40) + `…" is 10000 bytes long; at most 24 are allowed`)},
		{"POST", "/v1/servers", `{"name":""}`, badName("a server's name must not be empty")},
		{"GET", "/v1/servers/ghost", "", problem(server.CodeServerNotFound, "there is no server ghost")},
		{"POST", "/v1/servers/ghost/start", "", problem(server.CodeServerNotFound, "there is no server ghost")},
		{"GET", "/v1/servers/ghost/logs", "", problem(server.CodeServerNotFound, "there is no server ghost")},
		{"POST", "/v1/servers", `{"name":"alpha"}`, problem(server.CodeNameTaken, "there is a server alpha already")},
		{"GET", "/v1/jobs/99", "", problem(server.CodeJobNotFound, "there is no job 99")},

		{"POST", "/v1/servers", `{`, field("body", "body: unexpected end of JSON input")},
		{"POST", "/v1/servers", `{"name":"a"} x`, field("body", "body: invalid character 'x' after top-level value")},
		{"POST", "/v1/servers", ``, problem(server.CodeInvalidRequest, "request body is required")},
		{"POST", "/v1/servers", `[]`, field("body", "body: expected object")},
		{"POST", "/v1/servers", `{"config":{}}`, field("body", "body: expected required property name to be present")},
		{"POST", "/v1/servers", `{"name":"a","color":1}`, field("color", "color: unexpected property")},
		{"POST", "/v1/servers", `{"name":"a","Name":"b"}`, field("body", `body: unexpected property "Name": names are in lower case`)},
		{"POST", "/v1/servers", `{"name":"a","config":{"rcon\u001b":1}}`, field(`config.rcon\x1b`, `config.rcon\x1b: unexpected property`)},
		{"POST", "/v1/servers", `{"name":"a","config":{"port":0}}`, field("config.port", "config.port: expected number >= 1")},
		{"POST", "/v1/servers", `{"name":"a","config":{"port":70000}}`, field("config.port", "config.port: expected number <= 65535")},
		{"POST", "/v1/servers", `{"name":"a","config":{"cvars":{"Sv_x":"1"}}}`, field("body", `body: unexpected property "Sv_x": names are in lower case`)},
		{"POST", "/v1/servers", `{"name":"a","config":{"max_players":1e300}}`, field("config.max_players", "config.max_players: number 1e300 does not fit here")},
		{"POST", "/v1/servers", `{"name":"a","config":{"heal":"maybe"}}`, field("config.heal", `config.heal: expected value to be one of "off, failed, always"`)},
		{"PATCH", "/v1/servers/alpha", `{"port":27016}`, problem(server.CodeInvalidRequest, "body: expected required property config to be present",
			api.FieldError{Field: "body", Detail: "expected required property config to be present"}, api.FieldError{Field: "port", Detail: "unexpected property"})},
		{"PATCH", "/v1/servers/alpha", `{"config":{"port":80}}`, field("config.port", "the port 80 lies outside the range 27000 to 27999")},

		{"POST", "/v1/servers/alpha/start?wait=1d", "", field("wait", `"1d" is no time to wait: a duration from 0s to 10m, like 30s`)},
		{"POST", "/v1/servers/alpha/start?wait=-1s", "", field("wait", `"-1s" is no time to wait: a duration from 0s to 10m, like 30s`)},
		{"POST", "/v1/servers/alpha/start?wait=11m", "", field("wait", `"11m" is no time to wait: a duration from 0s to 10m, like 30s`)},
		{"POST", "/v1/servers/alpha/start?when=empty", "", field("when", `there is no query parameter "when" here`)},
		{"GET", "/v1/servers?limit=1", "", field("limit", `there is no query parameter "limit" here`)},
		{"GET", "/v1/jobs?limit=1&limit=2", "", field("limit", "the query parameter limit stands there twice")},
		{"GET", "/v1/jobs?%zz", "", problem(server.CodeInvalidRequest, `the query "%zz" cannot be read; percent-encode its values`)},
		{"GET", "/v1/jobs?limit=0", "", field("limit", "limit: expected number >= 1")},
		{"GET", "/v1/jobs?limit=many", "", field("limit", "limit: invalid integer")},
		{"GET", "/v1/jobs?state=lost", "", field("state", `state: expected value to be one of "queued, running, succeeded, failed, canceled"`)},
		{"GET", "/v1/jobs?server=Up", "", badName(`the name "Up" must begin with a lower-case letter or a digit`)},
		{"GET", "/v1/history?server=Up", "", badName(`the name "Up" must begin with a lower-case letter or a digit`)},
		{"GET", "/v1/history?limit=1001", "", field("limit", "limit: expected number <= 1000")},
		{"GET", "/v1/jobs/x", "", field("id", "id: invalid integer")},
		{"GET", "/v1/jobs/0", "", field("id", "id: expected number >= 1")},
		{"GET", "/v1/events?last_event_id=x", "", field("last_event_id", `"x" is no event id: send the id of the last event, or the Event-Id of the list`)},
		{"GET", "/v1/servers/alpha/logs?lines=10001", "", field("lines", `"10001" is no number of lines: 0 to 10000`)},
		{"GET", "/v1/servers/alpha/logs?follow=yes", "", field("follow", `"yes" is neither 1 nor 0`)},
		{"GET", "/v1/servers/alpha/logs?since=-1h", "", field("since", `"-1h" is no moment: a duration back from now like 1h, or a time like 2006-01-02T15:04:05Z`)},
		{"POST", "/v1/actions", `{"action":"delete","servers":["alpha"]}`, field("action", `action: expected value to be one of "start, stop, restart"`)},
		{"POST", "/v1/actions", `{"action":"start","servers":[]}`, field("servers", "servers: expected array length >= 1")},
		{"POST", "/v1/actions", `{"action":"start","servers":["` + strings.Repeat(`a","`, 10_000) + `a"]}`, field("servers", "servers: expected array length <= 10000")},
		{"POST", "/v1/actions", `{"action":"start","servers":[1]}`, field("servers[0]", "servers[0]: expected string")},

		{"GET", "/", "", problem(server.CodeNotFound, `there is no "/"; /openapi.json lists what there is`)},
		{"GET", "/v1/servers/alpha/", "", problem(server.CodeNotFound, `there is no "/v1/servers/alpha/"; /openapi.json lists what there is`)},
		{"GET", "/v1//jobs", "", problem(server.CodeNotFound, `the path "/v1//jobs" is not plain: leave out empty, "." and ".." parts`)},
		{"GET", "/v1/jobs/../servers", "", problem(server.CodeNotFound, `the path "/v1/jobs/../servers" is not plain: leave out empty, "." and ".." parts`)},
		{"PUT", "/v1/servers/alpha", "", problem(server.CodeMethodNotAllowed, `"PUT" is not possible on "/v1/servers/alpha"; possible are GET, HEAD, PATCH, DELETE`)},
		{"GET", "/v1/servers/alpha/secrets/rcon", "", problem(server.CodeMethodNotAllowed, `"GET" is not possible on "/v1/servers/alpha/secrets/rcon"; possible are PUT`)},
		{"GET", "/v1/servers/alpha/start", "", problem(server.CodeMethodNotAllowed, `"GET" is not possible on "/v1/servers/alpha/start"; possible are POST`)},
	} {
		got := f.do(operator, c.method, c.path, c.body)
		if diff := cmp.Diff(c.want, into[api.Problem](t, got)); diff != "" || got.Status != c.want.Status || got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %.80s %.80s: %d %s\n%s", c.method, c.path, c.body, got.Status, got.Header, diff)
		}
	}
	if log := f.log.String(); log != "" {
		t.Errorf("logged %s", log)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	const frame = `{"name":"new","config":{"hostname":"` + `"}}`
	body := func(size int) string {
		return strings.Replace(frame, `"}}`, strings.Repeat("x", size-len(frame))+`"}}`, 1)
	}
	if got := f.do(root, "POST", "/v1/servers", body(1<<20)); got.Status != 202 {
		t.Errorf("1 MiB: %d %s", got.Status, got.Body)
	}
	got := f.do(root, "POST", "/v1/servers", body(1<<20+1))
	if diff := cmp.Diff(problem(server.CodeTooLarge, "the body is larger than 1 MiB; send less at once"), into[api.Problem](t, got)); diff != "" || got.Status != 413 {
		t.Errorf("more than 1 MiB: %d\n%s", got.Status, diff)
	}
	got = f.do(root, "POST", "/v1/servers", `{"name":"new"}`, "Content-Type", "text/plain")
	want := problem(server.CodeInvalidRequest, "the body's type is not known; send JSON with Content-Type: application/json")
	want.Status = 415
	if diff := cmp.Diff(want, into[api.Problem](t, got)); diff != "" || got.Status != 415 {
		t.Errorf("text: %d\n%s", got.Status, diff)
	}
}

func TestSlowBodyTimesOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	api.SetTimeouts(f.handler, 1, 1e9)
	body, _ := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://left4med/v1/servers", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := f.client(root).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestTimeout {
		t.Errorf("got %d", res.StatusCode)
	}
}

// deadlines is a response that records the deadlines set on its connection.
type deadlines struct {
	recorder
	set []bool
}

// TestBodyDeadlineIsTakenAway: left in place, it would end a request that
// waits for its job.
func TestBodyDeadlineIsTakenAway(t *testing.T) {
	t.Parallel()
	w := &deadlines{}
	r, err := http.NewRequest("POST", "/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	api.TimedBody(r, w)
	if _, err := io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bool{true, false}, w.set); diff != "" {
		t.Error(diff)
	}
}

func TestPlainErrorsDoNotLeak(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	f.backend.fail = errors.New("disk /secret is full")
	for _, c := range [][3]string{{"PATCH", "/v1/servers/alpha", `{"config":{}}`}, {"GET", "/v1/jobs", ""}, {"POST", "/v1/resync", ""}} {
		got := f.do(root, c[0], c[1], c[2])
		want := problem(server.CodeInternal, `left4med met an error it did not expect; "journalctl -u left4med.service" says which`)
		if diff := cmp.Diff(want, into[api.Problem](t, got)); diff != "" || got.Status != 500 {
			t.Errorf("%s: %d\n%s", c[1], got.Status, diff)
		}
	}
	if n := strings.Count(f.log.String(), "disk /secret is full"); n != 3 {
		t.Errorf("logged %d times: %s", n, f.log)
	}
}

func TestProblemNamesTheJobInTheWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	f.backend.refuse = map[server.Name]*server.Error{"alpha": {Code: server.CodeBusy, Detail: "a backup\x1b runs", Job: 17, Err: errors.New("hidden")}}
	want := problem(server.CodeBusy, `a backup\x1b runs`)
	want.Job = 17
	got := f.do(root, "POST", "/v1/servers/alpha/start", "")
	if diff := cmp.Diff(want, into[api.Problem](t, got)); diff != "" || got.Status != 409 {
		t.Errorf("%d\n%s", got.Status, diff)
	}
}

func TestAllowedMethods(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	if got := f.do(kim, "OPTIONS", "/v1/servers", "").Header.Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow is %q", got)
	}
	for _, path := range []string{"/v1/servers", "/v1/servers/alpha", "/v1/health", "/v1/events", "/openapi.json"} {
		if got := f.do(kim, "HEAD", path, ""); got.Status != 200 || got.Body != "" {
			t.Errorf("HEAD %s: %+v", path, got)
		}
	}
}

// TestEveryCodeHasAStatus reads the codes from the domain's source.
func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../server/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if p := api.ProblemOf(server.Code(value)); (p.Status == 500) != (value == "internal") {
			t.Errorf("%s has status %d", value, p.Status)
		}
		return true
	})
	if n < 20 {
		t.Errorf("found %d codes only", n)
	}
}
