package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestInstall(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	type asked struct {
		Kind   server.JobKind
		How    string
		Status int
	}
	for body, want := range map[string]asked{
		``:                                 {server.JobInstall, "{Validate:false Restart:false When:}", http.StatusAccepted},
		`{}`:                               {server.JobInstall, "{Validate:false Restart:false When:}", http.StatusAccepted},
		`{"validate":true,"restart":true}`: {server.JobInstall, "{Validate:true Restart:true When:}", http.StatusAccepted},
		`{"restart":true,"when":"empty"}`:  {server.JobInstall, "{Validate:false Restart:true When:empty}", http.StatusAccepted},
		`{"check":true,"when":"empty"}`:    {Status: http.StatusBadRequest},
		`{"check":true}`:                   {server.JobCheck, "", http.StatusAccepted},
		`{"check":true,"validate":true}`:   {Status: http.StatusBadRequest},
		`{"restart":"yes"}`:                {Status: http.StatusBadRequest},
	} {
		answer := f.do(operator, "POST", "/v1/install", body)
		var job server.Job
		if err := json.Unmarshal([]byte(answer.Body), &job); err != nil {
			t.Fatal(err)
		}
		got := asked{Kind: job.Kind, Status: answer.Status}
		if job.Progress != nil {
			got.How = job.Progress.Text
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	if log := f.log.String(); log != "" {
		t.Errorf("logged %s", log)
	}
}

// TestInstallInUse is a conflict, not a mistake of ours.
func TestInstallInUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	f.backend.fail = server.Errorf(server.CodeInstallationInUse, "a runs")
	if got := f.do(root, "POST", "/v1/install", ""); got.Status != http.StatusConflict {
		t.Errorf("%+v", got)
	}
}

func TestUpdates(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	const want = `{"installed_build":"1","latest_build":"2","update_available":true,"checked_at":"2024-05-01T12:00:00Z"}` + "\n"
	if got := f.do(kim, "GET", "/v1/updates", ""); got.Body != want {
		t.Errorf("got %s", got.Body)
	}
}
