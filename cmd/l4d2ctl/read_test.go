package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

func TestListForPrograms(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	want := result{0, `NAME	STATE	DESIRED	DRIFT	PORT	MAP	PLAYERS	SINCE	JOB	NOTE
coop-1	running	running	none	27015	c1m1_hotel	-	2026-05-01T11:57:00Z	-	-
versus-1	failed (stale)	running	down	-	-	-	2026-05-01T07:00:00Z	-	down since 2026-05-01T07:00:00Z; last seen 2026-05-01T11:55:00Z
`, ""}
	if diff := cmp.Diff(want, f.l4d2ctl("list")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestListAsJSON(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	got := f.l4d2ctl("list", "--json")
	var list struct{ Servers []client.Server }
	if err := json.Unmarshal([]byte(got.Stdout), &list); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(two(), list.Servers); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(result{0, "{\"servers\":[]}\n", ""}, newFake(t).l4d2ctl("list", "--json")); diff != "" {
		t.Errorf("an empty list (-want +got):\n%s", diff)
	}
}

func TestListOfNothingSaysHowToBegin(t *testing.T) {
	t.Parallel()
	want := result{0, "", "There is no server yet. Create one with: l4d2ctl initialize NAME\n"}
	if diff := cmp.Diff(want, newFake(t).l4d2ctl("list")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// withHealth gives a fake another state of health.
func withHealth(f *fake, change func(*client.Health)) *fake {
	h := healthy()
	change(&h)
	inner := f.mux
	f.mux = http.NewServeMux()
	f.mux.Handle("/", inner)
	f.mux.HandleFunc("GET /v1/health", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, h) })
	return f
}

func TestListWarnsWhenTheTruthMayBeOld(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*client.Health){
		"no link to systemd": func(h *client.Health) { h.Systemd.Connected = false },
		"switched off":       func(h *client.Health) { h.Resync.Enabled = false },
		"failed: oh\\x1b no": func(h *client.Health) { h.Resync.Error = "oh\x1b no" },
	} {
		got := withHealth(newFake(t, two()...), change).l4d2ctl("list")
		if got.Code != 0 || !strings.Contains(got.Stderr, want) {
			t.Errorf("want %q in %q", want, got.Stderr)
		}
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.mux.HandleFunc("GET /v1/jobs", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"jobs": []client.Job{{
			ID: 7, Server: "versus-1", ServerID: 2, Kind: client.JobStart, State: client.JobFailed, CreatedAt: noon.Add(-time.Hour),
			FinishedAt: noon.Add(-time.Minute), RequestedBy: client.Requester{UID: 1000, User: "kim", Via: "http"},
			Error: &client.JobError{Code: client.CodeJobFailed, Detail: "killed", Logs: []string{"one", "two"}},
		}}})
	})
	since := func(t time.Time) string { return t.Local().Format(time.DateTime) }
	want := result{0, `name         versus-1
state        failed since ` + since(noon.Add(-5*time.Hour)) + ` (5h ago)
             stale: last seen at ` + since(noon.Add(-5*time.Minute)) + ` (5m ago); what it is now is not known
desired      running (enabled: comes back at every boot)
drift        down since ` + since(noon.Add(-5*time.Hour)) + ` (5h ago): it should run, but it is failed; l4d2ctl logs versus-1 may say why
  cure       l4d2ctl start versus-1
  or         l4d2ctl stop versus-1, if it should stay down
unit         left4me-server@versus-1.service
systemd      failed, failed, loaded, enabled, result signal
restarts     2 by systemd since the last start
settings     not shown: you may not inspect servers
last job     7 start failed, 1m ago, asked for by kim
  error      job-failed: killed
  its log    one
             two
`, ""}
	if diff := cmp.Diff(want, f.l4d2ctl("show", "versus-1")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := f.l4d2ctl("show", "coop-1"); !strings.Contains(got.Stdout, `evil \x1b[2J host`) || strings.Contains(got.Stdout, "\x1b") {
		t.Errorf("a terminal escape came through: %q", got.Stdout)
	}
	if got := f.l4d2ctl("show", "none"); got.Code != exitNoServer {
		t.Errorf("got %+v", got)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	other := int64(9)
	f.mux.HandleFunc("GET /v1/jobs", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"jobs": []client.Job{
			{ID: 8, Server: "a", Kind: client.JobStart, State: client.JobCanceled, SupersededBy: &other, CreatedAt: noon,
				RequestedBy: client.Requester{UID: 7, User: "left4med-web", Via: "http", OnBehalfOf: "alice"}},
			{ID: 7, Kind: client.JobInstall, State: client.JobFailed, CreatedAt: noon, StartedAt: noon, FinishedAt: noon.Add(90 * time.Second),
				RequestedBy: client.Requester{UID: 1000, Via: "dbus"}, Error: &client.JobError{Code: "job-failed", Detail: "a\tb\nc"}},
		}})
	})
	want := result{0, "ID\tSERVER\tKIND\tSTATE\tCREATED\tTOOK\tBY\tERROR\n" +
		"8\ta\tstart\tcanceled\t2026-05-01T12:00:00Z\t-\talice through left4med-web\tjob 9 took its place\n" +
		"7\t-\tinstall\tfailed\t2026-05-01T12:00:00Z\t1m\tuid 1000\tjob-failed: a b\\x0ac\n", ""}
	if diff := cmp.Diff(want, f.l4d2ctl("jobs", "a", "--state", "failed", "-n", "5")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET /v1/jobs?limit=5&server=a&state=failed"}, f.requests()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestJobsPages(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("GET /v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		first := int64(5000)
		if r.URL.Query().Get("before") != "" {
			first = 4000
		}
		var jobs []client.Job
		for i := range int64(1000) {
			jobs = append(jobs, client.Job{ID: first - i})
		}
		if r.URL.Query().Get("limit") == "500" {
			jobs = jobs[:500]
		}
		writeJSON(w, 200, map[string]any{"jobs": jobs})
	})
	if got := f.l4d2ctl("jobs", "-n", "1500"); strings.Count(got.Stdout, "\n") != 1501 {
		t.Errorf("%d lines", strings.Count(got.Stdout, "\n"))
	}
	want := []string{"GET /v1/jobs?limit=1000", "GET /v1/jobs?before=4001&limit=500"}
	if diff := cmp.Diff(want, f.requests()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestCancelAJob(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("POST /v1/jobs/{id}/cancel", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, client.Job{ID: 17, Server: "a", Kind: client.JobStart, State: client.JobCanceled})
	})
	if diff := cmp.Diff(result{0, "", "Job 17 (start a): canceled.\n"}, f.l4d2ctl("jobs", "--cancel", "17")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.mux.HandleFunc("GET /v1/servers/coop-1/logs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		io.WriteString(w, `{"at":"2026-05-01T11:59:00.5Z","priority":6,"pid":1,"message":"hello","cursor":"a"}`+"\n")
		io.WriteString(w, `{"at":"2026-05-01T11:59:01Z","priority":3,"pid":1,"message":"\u001b[2J \u009b2J \u202etxt","cursor":"b"}`+"\n")
	})
	want := result{0, "2026-05-01T11:59:00.500Z hello\n2026-05-01T11:59:01.000Z \\x1b[2J \\u{009b}2J \\u{202e}txt\n", ""}
	if diff := cmp.Diff(want, f.l4d2ctl("logs", "coop-1", "-n", "7", "--since", "1h")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET /v1/servers/coop-1/logs?lines=7&since=2026-05-01T11%3A00%3A00Z"}, f.requests()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	got := f.l4d2ctl("logs", "coop-1", "--json")
	for line := range strings.Lines(got.Stdout) {
		var e client.LogEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil || strings.ContainsAny(line, "\x1b\u009b\u202e") {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestFollowedLogsOfNoServer(t *testing.T) {
	t.Parallel()
	if got := newFake(t).l4d2ctl("logs", "none", "-f"); got.Code != exitNoServer {
		t.Errorf("got %+v", got)
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("there", 2*60*60)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"90s": now.Add(-90 * time.Second), "-2h": now.Add(-2 * time.Hour), "3d": now.AddDate(0, 0, -3),
		"2026-04-30T10:00:00Z": time.Date(2026, 4, 30, 10, 0, 0, 0, time.UTC),
		"2026-04-30 10:00":     time.Date(2026, 4, 30, 10, 0, 0, 0, zone),
		"2026-04-30":           time.Date(2026, 4, 30, 0, 0, 0, 0, zone),
		"09:30":                time.Date(2026, 5, 1, 9, 30, 0, 0, zone),
	} {
		if got, err := moment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "3 d", "3dd", "2026-13-01"} {
		if got, err := moment(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	good := `left4med 1.2.3 on host, 2 servers

✓ template: the package's own (the unit path)

All is well.
`
	if diff := cmp.Diff(result{0, good, ""}, newFake(t).l4d2ctl("doctor")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	f := withHealth(newFake(t), func(h *client.Health) {
		h.Checks = append(h.Checks,
			client.Check{Name: "drift", LookedAt: "\x1b[2J2 servers", Found: "1 not as it should be: a\x1b", Cure: "l4d2ctl start a"},
			client.Check{Name: "game", LookedAt: "/var/lib", Found: "it is not there: put it there"})
	})
	bad := `left4med 1.2.3 on host, 2 servers

✗ drift: 1 not as it should be: a\x1b
    looked at  \x1b[2J2 servers
    cure       l4d2ctl start a

✗ game: it is not there: put it there
    looked at  /var/lib

✓ template: the package's own (the unit path)

2 things are wrong.
`
	if diff := cmp.Diff(result{1, bad, ""}, f.l4d2ctl("doctor")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDoctorWithoutADaemon(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.kill()
	check := func(prepare func(root string)) []client.Check {
		t.Helper()
		var stdout strings.Builder
		a := f.app(strings.NewReader(""), &stdout, io.Discard)
		prepare(a.root)
		if code := a.run(t.Context(), []string{"doctor", "--json"}); code != exitUnreachable {
			t.Errorf("code %d", code)
		}
		var d diagnosis
		if err := json.Unmarshal([]byte(stdout.String()), &d); err != nil || d.Reachable {
			t.Fatal(err, d)
		}
		return d.Checks
	}
	put := func(root, path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range check(func(string) {}) {
		if c.OK || c.LookedAt == "" || c.Cure == "" && c.Name != "systemd" { // which no command brings
			t.Errorf("on a bare host, check %d: %+v", i, c)
		}
	}
	installed := func(root string) {
		put(root, "/usr/sbin/left4med", "")
		put(root, "/usr/lib/systemd/system/"+template, "[Unit]")
		if err := os.MkdirAll(filepath.Join(root, "/run/systemd/system"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var wrong []string
	for _, c := range check(installed) {
		if !c.OK {
			wrong = append(wrong, c.Name)
		}
	}
	if diff := cmp.Diff([]string{"socket"}, wrong); diff != "" {
		t.Errorf("installed, not running (-want +got):\n%s", diff)
	}
	shadowed := check(func(root string) {
		installed(root)
		put(root, "/etc/systemd/system/"+template, "[Unit]")
	})
	masked := check(func(root string) {
		installed(root)
		if err := os.Symlink("/dev/null", filepath.Join(root, "/run/systemd/system", template)); err != nil {
			t.Fatal(err)
		}
	})
	for _, checks := range [][]client.Check{shadowed, masked} {
		if last := checks[len(checks)-1]; last.OK || last.Cure == "" {
			t.Errorf("got %+v", last)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	if diff := cmp.Diff(result{0, "l4d2ctl devel\nleft4med 1.2.3\n", ""}, f.l4d2ctl("version")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	f.kill()
	if diff := cmp.Diff(result{0, `{"l4d2ctl":"devel","left4med":null}` + "\n", ""}, f.l4d2ctl("version", "--json")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"start", ""}, []string{"coop-1\trunning", "versus-1\tfailed"}},
		{[]string{"start", "coop-1", ""}, []string{"versus-1\tfailed"}},
		{[]string{"show", "coop-1", ""}, nil},
		{[]string{"list", ""}, nil},
		{[]string{"initialize", "a", "--heal", ""}, []string{"off", "failed", "always"}},
		{[]string{"jobs", "--state", ""}, []string{"queued", "running", "succeeded", "failed", "canceled"}},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish"}},
	}
	for _, tt := range tests {
		got := f.l4d2ctl(append([]string{"__complete"}, tt.args...)...)
		lines := strings.Split(strings.TrimSpace(got.Stdout), "\n")
		if diff := cmp.Diff(tt.want, slices.Clip(lines[:len(lines)-1]), cmp.Transformer("empty", func(s []string) []string {
			return append([]string{}, s...)
		})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.args, diff)
		}
	}
	f.kill()
	if got := f.l4d2ctl("__complete", "start", ""); got.Code != 0 {
		t.Errorf("without a daemon: %+v", got)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := f.l4d2ctl("completion", shell); got.Code != 0 || !strings.Contains(got.Stdout, "l4d2ctl") {
			t.Errorf("%s: code %d", shell, got.Code)
		}
	}
}

func TestManual(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	dir := t.TempDir()
	if got := f.l4d2ctl("man", dir); got.Code != 0 {
		t.Fatalf("got %+v", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, e := range entries {
		pages = append(pages, e.Name())
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, title := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"} {
			if !strings.Contains(string(text), "\n.SH "+title+"\n") {
				t.Errorf("%s has no section %s", e.Name(), title)
			}
		}
	}
	want := []string{
		"l4d2ctl-completion.1", "l4d2ctl-delete.1", "l4d2ctl-doctor.1", "l4d2ctl-history.1", "l4d2ctl-initialize.1", "l4d2ctl-install.1", "l4d2ctl-jobs.1", "l4d2ctl-list.1",
		"l4d2ctl-logs.1", "l4d2ctl-orphans.1", "l4d2ctl-show.1", "l4d2ctl-start.1", "l4d2ctl-stop.1", "l4d2ctl-version.1", "l4d2ctl-watch.1", "l4d2ctl.1",
	}
	if diff := cmp.Diff(want, pages); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzEscapedJSONMeansTheSame(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[2J", "\u009b2J", "\u202e", "\x7f", "\U000e0001", "日本", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc, err := json.Marshal(map[string]string{s: s})
		if err != nil {
			t.Fatal(err)
		}
		escaped := escapeJSON(slices.Clone(doc))
		var want, got map[string]string
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escaped, &got); err != nil {
			t.Fatalf("%q is no JSON: %v", escaped, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if text := string(escaped); utf8.ValidString(s) && client.Visible(text) != text {
			t.Errorf("%q is not safe to show", text)
		}
	})
}
