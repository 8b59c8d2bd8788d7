package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// terminal runs the program on a pseudo-terminal, with answers typed into it,
// and returns its exit code and all that appeared there. env changes the
// environment.
func (f *fake) terminal(answers string, env map[string]string, args ...string) (int, string) {
	f.t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		f.t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	defer master.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 60}); err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	seen := make(chan string)
	go func() {
		var b bytes.Buffer
		io.Copy(&b, master) // ends with EIO when the other side is closed
		seen <- b.String()
	}()
	io.WriteString(master, answers)
	a := f.app(tty, tty, tty)
	inner := a.getenv
	a.getenv = func(k string) string {
		if v, ok := env[k]; ok {
			return v
		}
		return inner(k)
	}
	code := a.run(ctx, args)
	tty.Close()
	return code, strings.ReplaceAll(<-seen, "\r\n", "\n")
}

func TestListOnATerminal(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	_, got := f.terminal("", map[string]string{"NO_COLOR": "1"}, "list")
	want := `NAME      STATE           DESIRED  DRIFT  PORT   MAP         SINCE   JOB  NOTE
coop-1    running         running  -      27015  c1m1_hotel  3m ago  -    -
versus-1  failed (stale)  running  down   -      -           5h ago  -    down for 5h; last seen 5m ago
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	_, got = newFake(t, two()[0]).terminal("", map[string]string{"NO_COLOR": "1"}, "list")
	want = `NAME    STATE    DESIRED  DRIFT  PORT   MAP         SINCE   JOB
coop-1  running  running  -      27015  c1m1_hotel  3m ago  -
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("without anything to note (-want +got):\n%s", diff)
	}
	if _, got := f.terminal("", nil, "list"); !strings.Contains(got, "\x1b[31mversus-1\x1b[0m") {
		t.Errorf("drift is not highlighted: %q", got)
	}
	for name, run := range map[string]func() (int, string){
		"--no-color": func() (int, string) { return f.terminal("", nil, "list", "--no-color") },
		"TERM=dumb":  func() (int, string) { return f.terminal("", map[string]string{"TERM": "dumb"}, "list") },
	} {
		if _, got := run(); strings.Contains(got, "\x1b") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestJSONOnATerminalIsIndented(t *testing.T) {
	t.Parallel()
	_, got := newFake(t).terminal("", nil, "list", "--json")
	if diff := cmp.Diff("{\n  \"servers\": []\n}\n", got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// screen is what a terminal shows in the end, of the escapes that progress
// uses: up, clear to the end, and colours, which it drops.
func screen(out string) string {
	var lines []string
	current := ""
	for out != "" {
		var n int
		switch {
		case out[0] == '\n':
			lines, current, out = append(lines, current), "", out[1:]
		case out[0] == '\r':
			out = out[1:]
		case strings.HasPrefix(out, "\x1b["):
			end := strings.IndexAny(out, "AJm")
			if out[end] == 'A' {
				fmt.Sscanf(out, "\x1b[%dA", &n)
				lines = lines[:max(0, len(lines)-n)]
			}
			out = out[end+1:]
		default:
			current, out = current+out[:1], out[1:]
		}
	}
	return strings.Join(lines, "\n") + "\n" + current
}

func TestProgressOfFewServers(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.acts(func(job client.Job) client.Job {
		job.Progress = &client.Progress{Done: 1, Total: 2, Text: strings.Repeat("long ", 30)}
		if job.Server == "bad" {
			job.State, job.Error = client.JobFailed, &client.JobError{Detail: "oh \x1b]0;no", Logs: []string{"crash"}}
			return job
		}
		job.State = client.JobRunning
		f.job(job) // then it goes on
		return succeeds(job)
	})
	code, got := f.terminal("", nil, "start", "good", "bad")
	want := `good  started
bad   start failed
bad: start failed: oh \x1b]0;no
  its last log lines:
    crash
  look at: l4d2ctl logs bad
`
	if diff := cmp.Diff(want, screen(got)); diff != "" || code != exitJobFailed {
		t.Errorf("code %d, -want +got:\n%s", code, diff)
	}
}

func TestProgressOfManyServers(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	args := []string{"start"}
	for i := range 100 {
		args = append(args, fmt.Sprintf("s%d", i))
	}
	f.acts(func(job client.Job) client.Job {
		if job.Server == "s7" || job.Server == "s8" {
			job.State = client.JobFailed
			return job
		}
		return succeeds(job)
	})
	_, got := f.terminal("", nil, args...)
	want := `98/100 started, 2 failed
s7: start failed
  look at: l4d2ctl logs s7
s8: start failed
  look at: l4d2ctl logs s8
`
	if diff := cmp.Diff(want, screen(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLinesOfProgressNeverWrap(t *testing.T) {
	t.Parallel()
	l := &live{
		jobs: map[int64]client.Job{}, order: []int64{1}, width: func() int { return 40 },
	}
	l.update(client.Job{ID: 1, Server: "a", Kind: client.JobStart, State: client.JobRunning, Progress: &client.Progress{Text: strings.Repeat("日\x1b", 50)}})
	for _, row := range l.rows() {
		if length(row) >= 40 {
			t.Errorf("%d characters: %q", length(row), row)
		}
	}
}

func TestDeleteAsksOnATerminal(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]struct {
		code    int
		deletes int
	}{
		"coop-1\nversus-1\n": {0, 2},
		"coop-1\nyes\n":      {1, 0},
		"\n":                 {1, 0},
		"\x04":               {1, 0}, // Ctrl-D
	} {
		t.Run(fmt.Sprintf("%q", typed), func(t *testing.T) {
			t.Parallel()
			f := newFake(t, two()...)
			id := int64(0)
			f.mux.HandleFunc("DELETE /v1/servers/{name}", func(w http.ResponseWriter, r *http.Request) {
				id++
				job := f.job(client.Job{ID: id, Server: client.Name(r.PathValue("name")), Kind: client.JobDelete, State: client.JobQueued})
				w.WriteHeader(202)
				json.NewEncoder(w).Encode(job)
				f.job(succeeds(job))
			})
			code, got := f.terminal(typed, nil, "delete", "coop-1", "versus-1")
			deletes := 0
			for _, r := range f.requests() {
				if strings.HasPrefix(r, "DELETE ") {
					deletes++
				}
			}
			if code != want.code || deletes != want.deletes || !strings.Contains(got, "cannot be undone") {
				t.Errorf("code %d, %d deletes: %s", code, deletes, got)
			}
		})
	}
}
