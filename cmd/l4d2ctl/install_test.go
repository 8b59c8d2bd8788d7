package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// installs answers POST /v1/install with a job that goes the given way.
func (f *fake) installs(way ...client.Job) {
	f.mux.HandleFunc("POST /v1/install", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Check bool }
		json.NewDecoder(r.Body).Decode(&body)
		kind := client.JobInstall
		if body.Check {
			kind = client.JobCheck
		}
		writeJSON(w, 202, f.job(client.Job{ID: 7, Kind: kind, State: client.JobQueued}))
		go func() {
			for _, job := range way {
				job.ID, job.Kind = 7, kind
				f.job(job)
			}
		}()
	})
	yes := true
	f.mux.HandleFunc("GET /v1/updates", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, client.Updates{InstalledBuild: "1", LatestBuild: "2", UpdateAvailable: &yes})
	})
}

func working(done int64, text string) client.Job {
	return client.Job{State: client.JobRunning, Progress: &client.Progress{Done: done, Total: 9e9, Text: text}}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	failed := client.Job{State: client.JobFailed, Error: &client.JobError{Code: client.CodeNoNetwork, Detail: "Steam cannot be reached", Logs: []string{"no \x1b[31mroute"}}}
	for name, c := range map[string]struct {
		args []string
		way  []client.Job
		body string
		want result
	}{
		"succeeds": {
			args: []string{"--validate", "--restart"},
			way: []client.Job{
				{State: client.JobRunning, Progress: &client.Progress{Text: "stopping coop-1"}},
				working(0, "downloading 0.0 %"), working(1e8, "downloading 1.1 %, 10.0 MB/s, 15 min left"),
				working(41e8, "downloading 45.6 %, 12.3 MB/s, 6 min left"), {State: client.JobSucceeded},
			},
			body: `{"validate":true,"restart":true}`,
			want: result{0, "", `game: stopping coop-1
game: downloading 0.0 % (0 B of 9.0 GB)
game: downloading 45.6 %, 12.3 MB/s, 6 min left (4.1 GB of 9.0 GB)
game: installed
Build 1 is installed and build 2 is out. Update with: l4d2ctl install
`},
		},
		"fails": {
			way: []client.Job{failed}, body: `{}`,
			want: result{6, "", `game: install failed: Steam cannot be reached
  its last log lines:
    no \x1b[31mroute
  look at: journalctl -u left4me-install.service
`},
		},
		"checks": {
			args: []string{"--check"}, way: []client.Job{{State: client.JobSucceeded}}, body: `{"check":true}`,
			want: result{0, "", "game: checked for updates\nBuild 1 is installed and build 2 is out. Update with: l4d2ctl install\n"},
		},
		"when nobody plays": {
			args: []string{"--restart-when-empty"},
			way: []client.Job{
				{State: client.JobRunning, Progress: &client.Progress{Text: "waiting until nobody plays: 2 players on coop-1, gives up in 6 h"}},
				{State: client.JobFailed, Error: &client.JobError{Code: client.CodeNotEmpty, Detail: "the game was not updated"}},
			},
			body: `{"restart":true,"when":"empty"}`,
			want: result{6, "", `game: waiting until nobody plays: 2 players on coop-1, gives up in 6 h
game: install failed: the game was not updated
`},
		},
		"is not waited for": {
			args: []string{"--no-wait"}, body: `{}`,
			want: result{0, "", "game: install is job 7\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, two()...)
			f.installs(c.way...)
			if diff := cmp.Diff(c.want, f.l4d2ctl(append([]string{"install"}, c.args...)...)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if asked := strings.Join(f.requests(), "\n"); !strings.Contains(asked, "POST /v1/install "+c.body) {
				t.Errorf("asked for\n%s", asked)
			}
		})
	}
}

func TestInstallJSON(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.installs(client.Job{State: client.JobSucceeded})
	got := f.l4d2ctl("install", "--json")
	var printed struct {
		Jobs    []client.Job
		Updates client.Updates
	}
	if err := json.Unmarshal([]byte(got.Stdout), &printed); err != nil {
		t.Fatal(err)
	}
	if len(printed.Jobs) != 1 || printed.Jobs[0].State != client.JobSucceeded || printed.Updates.LatestBuild != "2" {
		t.Errorf("printed %s", got.Stdout)
	}
}

func TestInstallOnATerminal(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.installs(working(41e8, "downloading 45.6 %, 12.3 MB/s, 6 min left"))
	go func() {
		for range f.streams {
			f.job(client.Job{ID: 7, Kind: client.JobInstall, State: client.JobSucceeded})
		}
	}()
	code, got := f.terminal("", nil, "install")
	if code != 0 || !strings.Contains(got, "installed") {
		t.Errorf("code %d:\n%s", code, got)
	}
}

func TestInstallRefusals(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.mux.HandleFunc("POST /v1/install", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, 409, client.CodeInstallationInUse, "servers run on its files: coop-1")
	})
	for args, want := range map[string]int{"install": 1, "install --check --restart": 2, "install --check --restart-when-empty": 2, "install coop-1": 2, "install --restart-when": 2} {
		if got := f.l4d2ctl(strings.Fields(args)...); got.Code != want {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestStandingOfAnInstall(t *testing.T) {
	t.Parallel()
	job := working(41e8, "downloading 45.6 %, 12.3 MB/s, 6 min left")
	job.Kind = client.JobInstall
	const want = "install … downloading 45.6 %, 12.3 MB/s, 6 min left (4.1 GB of 9.0 GB)"
	if got := standing(job); got != want {
		t.Errorf("got %q", got)
	}
}
