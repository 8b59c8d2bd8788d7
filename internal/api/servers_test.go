package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/quota"
	"github.com/left4med/left4med/internal/server"
)

func TestServersFromMemory(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	for _, c := range []struct {
		peer    authz.Peer
		inspect bool
	}{{root, true}, {operator, true}, {kim, false}} {
		var parts []string
		for _, e := range f.backend.List().Servers {
			parts = append(parts, string(e.JSON(c.inspect)))
		}
		got := f.do(c.peer, "GET", "/v1/servers", "")
		want := answer{200, http.Header{"Content-Type": {"application/json"}, "Event-Id": {"99"}}, `{"servers":[` + strings.Join(parts, ",") + "]}\n"}
		for _, h := range []string{"Date", "Content-Length"} {
			got.Header.Del(h)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		got = f.do(c.peer, "GET", "/v1/servers/beta", "")
		if got.Body != parts[1] || got.Header.Get("Event-Id") != "99" {
			t.Errorf("got %+v", got)
		}
		if shows := strings.Contains(got.Body, "c1m1_hotel"); shows != c.inspect {
			t.Errorf("uid %d sees settings: %t", c.peer.UID, shows)
		}
	}
}

func TestNoServers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	f.backend.servers = nil
	if got := f.do(kim, "GET", "/v1/servers", ""); got.Body != `{"servers":[]}`+"\n" {
		t.Errorf("got %q", got.Body)
	}
}

func TestCreateAndChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	got := f.do(root, "POST", "/v1/servers", `{"name":"new","config":{"port":27020,"args":["-nobots"],"heal":"always"}}`)
	job := into[server.Job](t, got)
	want := server.Job{ID: 1, Server: "new", Kind: "initialize", State: "queued", CreatedAt: past, RequestedBy: server.Requester{User: "root", Via: "http"}}
	if diff := cmp.Diff(want, job); diff != "" || got.Status != 202 || got.Header.Get("Location") != "/v1/jobs/1" {
		t.Errorf("%d %s\n%s", got.Status, got.Header, diff)
	}
	patch := server.ConfigPatch{Port: new(uint16(27020)), Args: &[]string{"-nobots"}, Heal: new(server.HealAlways)}
	if diff := cmp.Diff(patch, f.backend.patch); diff != "" {
		t.Error(diff)
	}

	got = f.do(root, "PATCH", "/v1/servers/alpha", `{"config":{"map":"c2m1_highway"}}`, "Content-Type", "application/merge-patch+json")
	changed := into[server.Server](t, got)
	config := *entry(1, "alpha").Config
	config.Map = "c2m1_highway"
	if diff := cmp.Diff(&config, changed.Config); diff != "" || got.Status != 200 {
		t.Errorf("%d\n%s", got.Status, diff)
	}
}

func TestWaitForAJob(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	go func() {
		<-f.backend.waiting
		f.backend.end(1)
	}()
	got := f.do(root, "POST", "/v1/servers/alpha/start?wait=10m", "")
	if job := into[server.Job](t, got); got.Status != 200 || job.State != server.JobSucceeded || got.Header.Get("Location") != "/v1/jobs/1" {
		t.Errorf("ended: %+v", got)
	}
	got = f.do(root, "POST", "/v1/servers/alpha/stop?wait=1ns", "")
	if job := into[server.Job](t, got); got.Status != 202 || job.State != server.JobQueued {
		t.Errorf("not ended: %+v", got)
	}
	<-f.backend.waiting
	got = f.do(root, "GET", "/v1/jobs/2?wait=1ns", "")
	if job := into[server.Job](t, got); got.Status != 200 || job.State != server.JobQueued {
		t.Errorf("reading: %+v", got)
	}
	if got = f.do(root, "GET", "/v1/jobs/1?wait=10m", ""); got.Status != 200 {
		t.Errorf("already ended: %+v", got)
	}
}

func TestClientThatLeavesEndsOnlyTheWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-f.backend.waiting
		cancel()
	}()
	if _, err := f.client(root).Do(f.request(ctx, "POST", "/v1/servers/alpha/start?wait=10m", "")); err == nil {
		t.Error("the request did not end")
	}
	<-f.backend.left
	if job, err := f.backend.Job(t.Context(), 1); err != nil || job.State != server.JobQueued {
		t.Errorf("the job is %+v, %v", job, err)
	}
}

func TestShutdownEndsWaits(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	done := make(chan answer)
	go func() { done <- f.do(root, "POST", "/v1/servers/alpha/start?wait=10m", "") }()
	<-f.backend.waiting
	if err := f.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := <-done; got.Status != 202 {
		t.Errorf("got %+v", got)
	}
	if err := <-f.served; err != nil {
		t.Error(err)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	if got := f.do(root, "GET", "/v1/jobs", ""); got.Body != `{"jobs":[]}`+"\n" {
		t.Errorf("got %q", got.Body)
	}
	f.do(root, "DELETE", "/v1/servers/alpha", "")
	got := into[struct{ Jobs []server.Job }](t, f.do(root, "GET", "/v1/jobs?server=alpha&state=running&limit=5&before=9", ""))
	if len(got.Jobs) != 1 || got.Jobs[0].Kind != server.JobDelete {
		t.Errorf("got %+v", got)
	}
	want := orchestrator.JobFilter{Server: "alpha", State: "running", Limit: 5, Before: 9}
	if diff := cmp.Diff(want, f.backend.filter); diff != "" {
		t.Error(diff)
	}
}

type actions struct {
	Jobs    []server.Job
	Refused []struct {
		Server string
		Code   server.Code
		Detail string
		Job    int64
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	f.backend.add("gamma")
	f.backend.refuse = map[server.Name]*server.Error{"gamma": {Code: server.CodeBusy, Detail: "busy", Job: 4}}
	got := f.do(operator, "POST", "/v1/actions", `{"action":"restart","servers":["beta","ghost","Up","gamma","alpha","beta"]}`)
	answer := into[actions](t, got)
	var names []server.Name
	for _, j := range answer.Jobs {
		names = append(names, j.Server)
	}
	refused := map[string]server.Code{}
	for _, r := range answer.Refused {
		refused[r.Server] = r.Code
		if r.Code == server.CodeBusy && r.Job != 4 {
			t.Errorf("busy without its job: %+v", r)
		}
	}
	if diff := cmp.Diff([]server.Name{"beta", "alpha"}, names); diff != "" || got.Status != 202 {
		t.Errorf("%d\n%s", got.Status, diff)
	}
	want := map[string]server.Code{"ghost": "server-not-found", "Up": "invalid-name", "gamma": "busy"}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Error(diff)
	}
}

func TestRestartsWhenEmpty(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	type asked struct {
		Server server.Name
		Kind   server.JobKind
		Waits  bool
	}
	of := func(jobs ...server.Job) (all []asked) {
		for _, j := range jobs {
			all = append(all, asked{j.Server, j.Kind, j.Progress != nil && j.Progress.Text == server.WaitingForEmpty})
		}
		return all
	}
	got := of(into[server.Job](t, f.do(operator, "POST", "/v1/servers/alpha/restart?when=empty", "")), into[server.Job](t, f.do(operator, "POST", "/v1/servers/alpha/restart", "")))
	got = append(got, of(into[actions](t, f.do(operator, "POST", "/v1/actions", `{"action":"restart","servers":["beta","alpha"],"when":"empty"}`)).Jobs...)...)
	want := []asked{{"alpha", "restart", true}, {"alpha", "restart", false}, {"beta", "restart", true}, {"alpha", "restart", true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestWhenIsChecked(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	const (
		unknown = `there is no query parameter "when" here`
		other   = `expected value to be one of "empty"`
	)
	for _, c := range []struct{ path, body, detail string }{
		{"/v1/servers/alpha/stop?when=empty", "", unknown},
		{"/v1/install?when=empty", "", unknown},
		{"/v1/servers/alpha/restart?when=now", "", other},
		{"/v1/actions", `{"action":"restart","servers":["alpha"],"when":"later"}`, other},
		{"/v1/actions", `{"action":"stop","servers":["alpha"],"when":"empty"}`, "only a restart waits until nobody plays; leave out when, or ask for restart"},
		{"/v1/install", `{"when":"full","restart":true}`, other},
		{"/v1/install", `{"when":"empty"}`, "an install waits until nobody plays only where it may stop servers; ask for restart together with when"},
	} {
		got := into[api.Problem](t, f.do(operator, "POST", c.path, c.body))
		if diff := cmp.Diff([]api.FieldError{{Field: "when", Detail: c.detail}}, got.Errors); diff != "" || got.Code != server.CodeInvalidRequest {
			t.Errorf("%s %s: %s\n%s", c.path, c.body, got.Code, diff)
		}
	}
}

func TestActionsWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	go func() {
		<-f.backend.waiting
		f.backend.end(2) // the other way round
		f.backend.end(1)
	}()
	got := f.do(root, "POST", "/v1/actions?wait=10m", `{"action":"stop","servers":["alpha","beta"]}`)
	if a := into[actions](t, got); got.Status != 200 || a.Jobs[0].State != "succeeded" || a.Jobs[1].State != "succeeded" {
		t.Errorf("got %+v", got)
	}
	got = f.do(root, "POST", "/v1/actions?wait=1ns", `{"action":"stop","servers":["alpha","beta"]}`)
	if a := into[actions](t, got); got.Status != 202 || len(a.Jobs) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestActionsWithoutAnyRight(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	if got := f.do(kim, "POST", "/v1/actions", `{"action":"stop","servers":["alpha","beta"]}`); got.Status != 403 {
		t.Errorf("got %+v", got)
	}
	got := f.do(kim, "POST", "/v1/actions", `{"action":"stop","servers":["alpha","Up"]}`)
	if a := into[actions](t, got); got.Status != 202 || len(a.Jobs) != 0 || len(a.Refused) != 2 || len(f.backend.jobs) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{connections: quota.Limit{Total: 3, PerUID: 2}})
	ask := func(c *http.Client) int {
		t.Helper()
		res, err := c.Do(f.request(t.Context(), "GET", "/v1/health", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode == 429 && !res.Close {
			t.Error("a refused connection stays open")
		}
		drain(res)
		return res.StatusCode
	}
	first, second := f.client(kim), f.client(kim)
	got := []int{ask(first), ask(second), ask(f.client(kim)), ask(f.client(operator)), ask(f.client(web)), ask(f.client(root)), ask(first)}
	if diff := cmp.Diff([]int{200, 200, 429, 200, 429, 200, 200}, got); diff != "" {
		t.Error(diff)
	}
}
