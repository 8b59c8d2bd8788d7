package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

func TestStartWaitsAndSaysSo(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.acts(succeeds)
	got := f.l4d2ctl("start", "coop-1", "versus-1", "coop-1")
	want := result{0, "", "coop-1: started\nversus-1: started\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	asked := f.requests()
	if !slices.Contains(asked, `POST /v1/actions {"action":"start","servers":["coop-1","versus-1"]}`) {
		t.Errorf("asked %q", asked)
	}
}

func TestAllOfManyServersTakeOneStream(t *testing.T) {
	t.Parallel()
	var servers []client.Server
	for i := range 1000 {
		servers = append(servers, client.Server{ID: int64(i + 1), Name: client.Name(fmt.Sprintf("s%04d", i)), Phase: client.PhaseReady})
	}
	f := newFake(t, servers...)
	f.acts(succeeds)
	got := f.l4d2ctl("start", "--all", "--json")
	var b batch
	if err := json.Unmarshal([]byte(got.Stdout), &b); err != nil {
		t.Fatalf("%v: %s", err, got.Stderr)
	}
	if got.Code != 0 || len(b.Jobs) != 1000 || len(b.Refused) != 0 || strings.Count(got.Stderr, "started\n") != 1000 {
		t.Errorf("code %d, %d jobs, %d refused", got.Code, len(b.Jobs), len(b.Refused))
	}
	for _, job := range b.Jobs {
		if job.State != client.JobSucceeded {
			t.Errorf("%s is %s", job.Server, job.State)
		}
	}
	if n := len(f.requests()); n != 3 {
		t.Errorf("%d requests; the list, the action and one stream are enough", n)
	}
}

func TestRestartOfAllLeavesStoppedServersAlone(t *testing.T) {
	t.Parallel()
	servers := append(two(), client.Server{ID: 3, Name: "quiet", Desired: client.DesiredStopped, State: client.StateStopped, Phase: client.PhaseReady})
	f := newFake(t, servers...)
	f.acts(succeeds)
	f.l4d2ctl("start", "--restart", "--all")
	if asked := f.requests(); !slices.Contains(asked, `POST /v1/actions {"action":"restart","servers":["coop-1","versus-1"]}`) {
		t.Errorf("asked %q", asked)
	}
}

func TestFailuresAreExplained(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.acts(func(job client.Job) client.Job {
		switch job.Server {
		case "bad":
			job.State = client.JobFailed
			job.Error = &client.JobError{Code: client.CodeJobFailed, Detail: "its process ended at once (exit-code)", Logs: []string{"no map \x1b[31m"}}
		case "late":
			other := int64(9)
			job.State, job.SupersededBy = client.JobCanceled, &other
		default:
			job.State = client.JobSucceeded
		}
		return job
	}, client.Refusal{Server: "none", Code: client.CodeServerNotFound, Detail: "there is no server none"})
	got := f.l4d2ctl("start", "good", "bad", "late", "none")
	want := result{6, "", `none: refused (server-not-found): there is no server none
good: started
bad: start failed: its process ended at once (exit-code)
  its last log lines:
    no map \x1b[31m
  look at: l4d2ctl logs bad
late: start was canceled, job 9 took its place
`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestExitCodesOfRefusals(t *testing.T) {
	t.Parallel()
	tests := map[client.Code]int{
		client.CodeServerNotFound: 3, client.CodeNotAuthorized: 4, client.CodeBusy: 1,
		client.CodeInvalidRequest: 2, client.CodeSystemdUnavailable: 1, client.CodeJobFailed: 6,
	}
	for code, want := range tests {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.acts(succeeds, client.Refusal{Server: "b", Code: code, Detail: "why"})
			if got := f.l4d2ctl("stop", "a", "b"); got.Code != want {
				t.Errorf("one refused of two: %d, want %d", got.Code, want)
			}
			g := newFake(t)
			g.mux.HandleFunc("POST /v1/actions", func(w http.ResponseWriter, _ *http.Request) { problem(w, 400, code, "why") })
			if got := g.l4d2ctl("stop", "a"); got.Code != want || got.Stdout != "" {
				t.Errorf("all refused: %+v, want %d", got, want)
			}
		})
	}
}

func TestBadCommandLinesAreNeverSent(t *testing.T) {
	t.Parallel()
	lines := [][]string{
		{"bogus"}, {"start"}, {"start", "a", "--all"}, {"start", "a", "--when-empty"}, {"start", "../x"}, {"start", "a", "b@c"}, {"start", ""},
		{"stop", strings.Repeat("a", 10000)}, {"delete", "a"}, {"delete"}, {"initialize"}, {"initialize", "A"}, {"initialize", "--reset", "a"}, {"initialize", "--reset", "--yes", "a", "--map", "m"},
		{"initialize", "a", "--port", "99999"}, {"initialize", "a", "--set", "novalue"}, {"initialize", "a", "--set", "a=1", "--unset", "a"},
		{"list", "x"}, {"list", "--timeout", "soon"}, {"list", "--timeout=-1s"}, {"jobs", "a", "--cancel", "1"}, {"jobs", "-n", "0"}, {"history", "-n", "0"}, {"history", "--before", "0"},
		{"logs", "a", "--since", "whenever"}, {"logs", "a", "-n", "0"}, {"completion", "tcsh"}, {"show"}, {"show", ".."}, {"watch", "a/b"},
	}
	for _, line := range lines {
		t.Run(fmt.Sprintf("%.40q", line), func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			got := f.l4d2ctl(line...)
			if got.Code != exitUsage || got.Stdout != "" || !strings.HasPrefix(got.Stderr, "l4d2ctl: ") {
				t.Errorf("got %+v", got)
			}
			if asked := f.requests(); len(asked) != 0 {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

func TestUnreachableDaemon(t *testing.T) {
	t.Parallel()
	for _, line := range [][]string{
		{"list"}, {"show", "a"}, {"watch"}, {"jobs"}, {"history"}, {"logs", "a"}, {"logs", "a", "-f"}, {"doctor"},
		{"start", "a"}, {"stop", "--all"}, {"delete", "-y", "a"}, {"initialize", "a"},
	} {
		t.Run(fmt.Sprint(line), func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.kill()
			if got := f.l4d2ctl(line...); got.Code != exitUnreachable {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestJobsAreFollowedOverARestart(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("POST /v1/actions", func(w http.ResponseWriter, _ *http.Request) {
		job := f.job(client.Job{ID: 1, Server: "a", Kind: client.JobStart, State: client.JobRunning})
		writeJSON(w, 202, client.ActionResult{Jobs: []client.Job{job}})
	})
	first := make(chan bool, 1)
	first <- true
	events := f.mux
	f.mux = http.NewServeMux()
	f.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/events" {
			select {
			case <-first:
				go func() {
					f.kill()
					f.start()
					f.job(client.Job{ID: 1, Server: "a", Kind: client.JobStart, State: client.JobSucceeded})
				}()
			default:
			}
		}
		events.ServeHTTP(w, r)
	})
	got := f.l4d2ctl("start", "a")
	if got.Code != 0 || !strings.HasSuffix(got.Stderr, "a: started\n") {
		t.Errorf("got %+v", got)
	}
}

func TestMissedEventsAreMadeUpFor(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("POST /v1/actions", func(w http.ResponseWriter, _ *http.Request) {
		job := client.Job{ID: 1, Server: "a", Kind: client.JobStop, State: client.JobRunning}
		f.mu.Lock()
		f.jobs[1] = succeeds(job) // it ends, and nobody hears of it
		f.mu.Unlock()
		writeJSON(w, 202, client.ActionResult{Jobs: []client.Job{job}})
		f.publish("reset", struct{}{})
	})
	if diff := cmp.Diff(result{0, "", "a: stopped\n"}, f.l4d2ctl("stop", "a")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDaemonThatNeverComesBack(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("POST /v1/actions", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 202, client.ActionResult{Jobs: []client.Job{{ID: 1, Server: "a", Kind: client.JobStart, State: client.JobRunning}}})
		go f.kill()
	})
	a := f.app(strings.NewReader(""), io.Discard, io.Discard)
	a.patience = time.Nanosecond
	if code := a.run(t.Context(), []string{"start", "a"}); code != exitUnreachable {
		t.Errorf("code %d", code)
	}
}

// hanging is a daemon whose jobs never end; following is told when somebody
// waits for them.
func hanging(t *testing.T) (f *fake, following chan struct{}) {
	f = newFake(t)
	f.acts(func(job client.Job) client.Job { job.State = client.JobRunning; return job })
	following = make(chan struct{})
	inner := f.mux
	f.mux = http.NewServeMux()
	f.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/events" {
			close(following)
		}
		inner.ServeHTTP(w, r)
	})
	return f, following
}

func TestInterruptedWaiting(t *testing.T) {
	t.Parallel()
	f, following := hanging(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-following
		cancel()
	}()
	want := result{130, "", "l4d2ctl: interrupted\nJob 1 (start a) goes on. See it with: l4d2ctl jobs\n"}
	if diff := cmp.Diff(want, f.run(ctx, "start", "a")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWaitingTimesOut(t *testing.T) {
	t.Parallel()
	f, _ := hanging(t)
	got := f.l4d2ctl("stop", "a", "b", "--timeout", "200ms")
	want := result{7, "", "l4d2ctl: timed out; --timeout sets another limit\n2 jobs go on. See them with: l4d2ctl jobs\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNoWait(t *testing.T) {
	t.Parallel()
	f, _ := hanging(t)
	if diff := cmp.Diff(result{0, "", "a: stop is job 1\nb: stop is job 2\n"}, f.l4d2ctl("stop", "a", "b", "--no-wait")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestJobsOneMayNotSee(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("POST /v1/actions", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 202, client.ActionResult{Jobs: []client.Job{{ID: 1, Server: "a", Kind: client.JobStart, State: client.JobQueued}}})
	})
	inner := f.mux
	f.mux = http.NewServeMux()
	f.mux.Handle("/", inner)
	f.mux.HandleFunc("GET /v1/jobs/{id}", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, 403, client.CodeNotAuthorized, "you may not inspect")
	})
	if got := f.l4d2ctl("start", "a"); got.Code != exitNotAuthorized {
		t.Errorf("got %+v", got)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.mux.HandleFunc("DELETE /v1/servers/{name}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") == "gone" {
			problem(w, 404, client.CodeServerNotFound, "there is no server gone")
			return
		}
		job := f.job(client.Job{ID: 5, Server: client.Name(r.PathValue("name")), Kind: client.JobDelete, State: client.JobQueued})
		writeJSON(w, 202, job)
		f.job(succeeds(job))
	})
	got := f.l4d2ctl("delete", "--yes", "coop-1", "gone")
	want := result{3, "", "gone: refused (server-not-found): there is no server gone\ncoop-1: deleted\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestInitializeCreates(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("POST /v1/servers", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		f.servers = two()[:1]
		f.mu.Unlock()
		job := f.job(client.Job{ID: 5, Server: "coop-1", Kind: client.JobInitialize, State: client.JobQueued})
		writeJSON(w, 202, job)
		f.job(succeeds(job))
	})
	got := f.l4d2ctl("initialize", "coop-1", "--port", "27015", "--map", "c2m1", "--gamemode", "versus", "--max-players", "10",
		"--hostname", "a b", "--set", "sv_a=1", "--set", "sv_b=x=y", "--arg", "-tickrate 100", "--arg=-insecure", "--overlay", "maps", "--heal", "failed")
	want := result{0, "", "coop-1: initialized\ncoop-1 has the port 27015. Start it with: l4d2ctl start coop-1\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	post := `POST /v1/servers {"name":"coop-1","config":{"port":27015,"map":"c2m1","gamemode":"versus","max_players":10,"hostname":"a b",` +
		`"args":["-tickrate","100","-insecure"],"overlays":["maps"],"cvars":{"sv_a":"1","sv_b":"x=y"},"heal":"failed"}}`
	if asked := f.requests(); !slices.Contains(asked, post) {
		t.Errorf("asked %q", asked)
	}
}

func TestInitializeChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		args  []string
		due   bool
		patch string
		says  string
	}{
		{"a setting of a running server", []string{"--map", "c2m1"}, true, `{"config":{"map":"c2m1"}}`,
			"coop-1: the settings are changed; they apply at the next start: l4d2ctl start --restart coop-1\n"},
		{"a setting of a stopped one", []string{"--heal", "always"}, false, `{"config":{"heal":"always"}}`, "coop-1: the settings are changed.\n"},
		{"cvars one by one", []string{"--set", "sv_b=2"}, false, `{"config":{"cvars":{"sv_alltalk":"1","sv_b":"2"}}}`, "coop-1: the settings are changed.\n"},
		{"a cvar less", []string{"--unset", "sv_alltalk"}, false, `{"config":{"cvars":{}}}`, "coop-1: the settings are changed.\n"},
		{"no arguments", []string{"--arg", ""}, false, `{"config":{"args":[]}}`, "coop-1: the settings are changed.\n"},
		{"nothing, which mends lost files", nil, false, `{"config":{}}`, "coop-1 exists already, and no setting was given: its files are written anew, with the settings they had.\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, two()...)
			f.mux.HandleFunc("PATCH /v1/servers/coop-1", func(w http.ResponseWriter, _ *http.Request) {
				s := two()[0]
				s.RestartDue = &tt.due
				writeJSON(w, 200, s)
			})
			got := f.l4d2ctl(append([]string{"initialize", "coop-1"}, tt.args...)...)
			if diff := cmp.Diff(result{0, "", tt.says}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			want := []string{"GET /v1/servers", "PATCH /v1/servers/coop-1 " + tt.patch}
			if diff := cmp.Diff(want, f.requests()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusedSettings(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("POST /v1/servers", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, 409, client.CodePortTaken, "the port 27015 is taken by coop-1")
	})
	want := result{1, "", "l4d2ctl: the port 27015 is taken by coop-1\n"}
	if diff := cmp.Diff(want, f.l4d2ctl("initialize", "b", "--port", "27015")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A daemon that cannot start leaves a socket on which nobody ever answers.
func TestWriteCommandsDoNotWaitForASilentDaemon(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"start", "a"}, {"stop", "a"}, {"initialize", "a"}, {"delete", "--yes", "a"}, {"watch"}} {
		f := newFake(t)
		f.mux = http.NewServeMux()
		f.mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		var stderr strings.Builder
		a := f.app(strings.NewReader(""), io.Discard, &stderr)
		a.silence = time.Nanosecond
		want := "l4d2ctl: left4med cannot be reached at " + f.socket + ": it did not answer within 1ns\nRun 'l4d2ctl doctor' to find out why.\n"
		if code := a.run(t.Context(), args); code != exitUnreachable || stderr.String() != want {
			t.Errorf("%v: %d, %q", args, code, stderr.String())
		}
	}
}
