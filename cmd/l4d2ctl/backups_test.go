package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// backedUp answers requests about backups.
func (f *fake) backedUp() {
	job := func(kind client.JobKind) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			job := f.job(client.Job{ID: 5, Server: client.Name(r.PathValue("name")), Kind: kind, State: client.JobQueued})
			writeJSON(w, 202, job)
			f.job(succeeds(job))
		}
	}
	f.mux.HandleFunc("POST /v1/servers/{name}/backups", job(client.JobBackup))
	f.mux.HandleFunc("POST /v1/servers/{name}/backups/{id}/restore", job(client.JobRestore))
	f.mux.HandleFunc("DELETE /v1/servers/{name}/backups/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	f.mux.HandleFunc("GET /v1/servers/{name}/backups", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"backups": []client.Backup{
			{ID: 17, CreatedAt: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC), Reason: client.BackupBeforeReset, Size: 3 << 20},
			{ID: 4, CreatedAt: time.Date(2024, 4, 1, 12, 0, 0, 0, time.UTC), Reason: client.BackupAsked, Size: 4096},
		}})
	})
}

func TestBackups(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  string
		want  result
		asked string
	}{
		{"initialize coop-1 --backup", result{0, "", "coop-1: backed up\n"}, "POST /v1/servers/coop-1/backups"},
		{"initialize coop-1 --restore 17 --yes", result{0, "", "coop-1: restored\n"}, "POST /v1/servers/coop-1/backups/17/restore"},
		{"delete coop-1 --backup 17", result{0, "", "coop-1: backup 17 is deleted.\n"}, "DELETE /v1/servers/coop-1/backups/17"},
		{"show coop-1 --backups", result{0, "ID\tTAKEN\tREASON\tSIZE\n17\t2024-05-01T12:00:00Z\tbefore-reset\t3145728\n4\t2024-04-01T12:00:00Z\tasked\t4096\n", ""}, "GET /v1/servers/coop-1/backups"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, two()...)
			f.backedUp()
			if diff := cmp.Diff(c.want, f.l4d2ctl(strings.Fields(c.args)...)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !slices.ContainsFunc(f.requests(), func(r string) bool { return strings.HasPrefix(r, c.asked) }) {
				t.Errorf("asked for %q", f.requests())
			}
		})
	}
}

func TestBackupsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"initialize coop-1 --restore 17", "initialize coop-1 --restore 0 --yes", "initialize coop-1 --restore x --yes",
		"initialize coop-1 --backup --reset --yes", "initialize coop-1 --backup --restore 17 --yes", "initialize coop-1 --backup --port 27015",
		"delete coop-1 --backup 0", "delete coop-1 versus-1 --backup 17", "delete --backup 17",
	} {
		f := newFake(t, two()...)
		f.backedUp()
		r := f.l4d2ctl(strings.Fields(args)...)
		asked := slices.ContainsFunc(f.requests(), func(r string) bool { return !strings.HasPrefix(r, "GET ") })
		if r.Code != 2 || asked {
			t.Errorf("%s: %+v, asked for %q", args, r, f.requests())
		}
	}
}

func TestRestoreAsksOnATerminal(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]int{"coop-1\n": 0, "yes\n": 1} {
		f := newFake(t, two()...)
		f.backedUp()
		code, got := f.terminal(typed, nil, "initialize", "coop-1", "--restore", "17")
		asked := strings.Contains(strings.Join(f.requests(), "\n"), "POST ")
		if code != want || asked != (want == 0) || !strings.Contains(got, "puts its backup 17 in the place") {
			t.Errorf("after %q: code %d, asked for: %v: %s", typed, code, asked, got)
		}
	}
}
