package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// resets answers requests for a reset.
func (f *fake) resets() {
	f.mux.HandleFunc("POST /v1/servers/{name}/reset", func(w http.ResponseWriter, r *http.Request) {
		job := f.job(client.Job{ID: 5, Server: client.Name(r.PathValue("name")), Kind: client.JobReset, State: client.JobQueued})
		writeJSON(w, 202, job)
		f.job(succeeds(job))
	})
}

func TestReset(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.resets()
	if diff := cmp.Diff(result{0, "", "coop-1: reset\n"}, f.l4d2ctl("initialize", "--reset", "--yes", "coop-1")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestResetAsksOnATerminal(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]int{"coop-1\n": 0, "yes\n": 1, "\x04": 1} {
		f := newFake(t, two()...)
		f.resets()
		code, got := f.terminal(typed, nil, "initialize", "--reset", "coop-1")
		asked := strings.Contains(strings.Join(f.requests(), "\n"), "POST ")
		if code != want || asked != (want == 0) || !strings.Contains(got, "after a backup") {
			t.Errorf("after %q: code %d, asked for: %v: %s", typed, code, asked, got)
		}
	}
}
