package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/client"
)

// typed runs the program with this on standard input, which is no terminal.
func (f *fake) typed(stdin io.Reader, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := f.app(stdin, &stdout, &stderr).run(f.t.Context(), args)
	return result{code, stdout.String(), stderr.String()}
}

// keepsSecrets is a daemon that takes secrets and changes.
func keepsSecrets(t *testing.T, due bool) *fake {
	f := newFake(t, two()...)
	f.servers[0].RestartDue = &due
	f.mux.HandleFunc("PUT /v1/servers/coop-1/secrets/{secret}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	f.mux.HandleFunc("PATCH /v1/servers/coop-1", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, f.servers[0]) })
	return f
}

func TestSecretIsReadFromStandardInput(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("0123ABCD", 4)
	const get, put = "GET /v1/servers", "PUT /v1/servers/coop-1/secrets/"
	for name, tt := range map[string]struct {
		stdin string
		args  []string
		due   bool
		asked []string
		says  string
	}{
		"rcon": {"hunter2hunter2\n", []string{"--secret", "rcon"}, true, []string{get, put + `rcon {"value":"hunter2hunter2"}`, get + "/coop-1"},
			"coop-1: the secret rcon is set; it applies at the next start: l4d2ctl start --restart coop-1\n"},
		"without an end of line": {"friends", []string{"--secret", "password"}, false, []string{get, put + `password {"value":"friends"}`, get + "/coop-1"},
			"coop-1: the secret password is set.\n"},
		"from Windows": {token + "\r\n", []string{"--secret=gslt"}, false, []string{get, put + `gslt {"value":"` + token + `"}`, get + "/coop-1"},
			"coop-1: the secret gslt is set.\n"},
		"a random one": {"\n", []string{"--secret", "rcon"}, false, []string{get, put + `rcon {"value":""}`, get + "/coop-1"},
			"coop-1: a new random secret rcon is made.\n"},
		"taken away": {"\n", []string{"--secret", "password"}, true, []string{get, put + `password {"value":""}`, get + "/coop-1"},
			"coop-1: the secret password is taken away; it applies at the next start: l4d2ctl start --restart coop-1\n"},
		"settings first": {"friends\n", []string{"--secret", "password", "--map", "c2m1"}, false,
			[]string{get, `PATCH /v1/servers/coop-1 {"config":{"map":"c2m1"}}`, put + `password {"value":"friends"}`, get + "/coop-1"},
			"coop-1: the settings are changed.\ncoop-1: the secret password is set.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := keepsSecrets(t, tt.due)
			got := f.typed(strings.NewReader(tt.stdin), append([]string{"initialize", "coop-1"}, tt.args...)...)
			if diff := cmp.Diff(result{0, "", tt.says}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.asked, f.requests()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
	f := keepsSecrets(t, true)
	got := f.typed(strings.NewReader("friends\n"), "initialize", "coop-1", "--secret", "password", "--json")
	var b batch
	if err := json.Unmarshal([]byte(got.Stdout), &b); err != nil || b.Server == nil || !due(b.Server) || strings.Contains(got.Stdout, "friends") {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestBadSecretsChangeNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stdin string
		args  []string
		says  string
	}{
		"too short":      {"hunter2\n", []string{"--secret", "rcon"}, "l4d2ctl: this value cannot be the secret rcon: it is too short: at least 8 characters are needed\n"},
		"two lines":      {"hunter2hunter2\n\n", []string{"--secret", "rcon"}, ""},
		"far too much":   {strings.Repeat("hunter2", 10_000), []string{"--secret", "rcon"}, ""},
		"no token":       {"hunter2\n", []string{"--secret", "gslt"}, ""},
		"nothing at all": {"", []string{"--secret", "password"}, "l4d2ctl: no secret came on standard input; an empty line takes it away\n"},
		"no such secret": {"hunter2hunter2\n", []string{"--secret", "admin"}, "l4d2ctl: there is no secret \"admin\"; there are rcon, password and gslt\n"},
		"not waited for": {"hunter2hunter2\n", []string{"--secret", "rcon", "--no-wait"}, "l4d2ctl: a secret is set when the server is there: give --secret without --no-wait\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := keepsSecrets(t, false)
			got := f.typed(strings.NewReader(tt.stdin), append([]string{"initialize", "coop-1", "--map", "c2m1"}, tt.args...)...)
			if got.Code != exitUsage || got.Stdout != "" || tt.says != "" && got.Stderr != tt.says || strings.Contains(got.Stderr, "hunter2") {
				t.Errorf("got %+v", got)
			}
			for _, asked := range f.requests() {
				if asked != "GET /v1/servers" {
					t.Errorf("asked %q", asked)
				}
			}
		})
	}
}

func TestSecretOfANewServer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refused bool
		want    result
	}{
		"set":     {false, result{0, "", "coop-1: initialized\ncoop-1: the secret password is set.\ncoop-1 has the port 27015. Start it with: l4d2ctl start coop-1\n"}},
		"refused": {true, result{1, "", "coop-1: initialized\nl4d2ctl: another job\n"}},
	} {
		t.Run(name, func(t *testing.T) {
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
			f.mux.HandleFunc("PUT /v1/servers/coop-1/secrets/password", func(w http.ResponseWriter, _ *http.Request) {
				if tt.refused {
					problem(w, 409, client.CodeBusy, "another job")
					return
				}
				w.WriteHeader(204)
			})
			got := f.typed(strings.NewReader("friends\n"), "initialize", "coop-1", "--secret", "password")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if asked := f.requests(); !slices.Contains(asked, `PUT /v1/servers/coop-1/secrets/password {"value":"friends"}`) {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

// On a terminal the secret is asked for, and what is typed does not appear.
func TestSecretOnATerminal(t *testing.T) {
	t.Parallel()
	const prompt = "The secret rcon of coop-1 (an empty line makes a new random one): "
	for typed, want := range map[string]struct {
		code  int
		shows string
	}{
		"hunter2hunter2\n": {0, prompt + "\ncoop-1: the secret rcon is set.\n"},
		"\n":               {0, prompt + "\ncoop-1: a new random secret rcon is made.\n"},
		"\x04":             {1, prompt + "l4d2ctl: no answer: nothing was changed\n"}, // Ctrl-D
	} {
		f := keepsSecrets(t, false)
		master, tty, err := pty.Open()
		if err != nil {
			t.Skipf("there are no pseudo-terminals here: %v", err)
		}
		seen := make(chan string)
		go func() {
			var b bytes.Buffer
			for buf := make([]byte, 1024); ; {
				n, err := master.Read(buf)
				b.Write(buf[:n])
				if b.String() == prompt { // what is typed before is dropped
					io.WriteString(master, typed)
				}
				if err != nil { // the other side is closed
					seen <- strings.ReplaceAll(b.String(), "\r\n", "\n")
					return
				}
			}
		}()
		before := echoes(t, tty)
		code := f.app(tty, tty, tty).run(t.Context(), []string{"initialize", "coop-1", "--secret", "rcon"})
		if after := echoes(t, tty); !before || !after {
			t.Errorf("%q: the terminal shows what is typed: before %t, after %t", typed, before, after)
		}
		tty.Close()
		if got := <-seen; got != want.shows || code != want.code {
			t.Errorf("%q: code %d, %q", typed, code, got)
		}
		master.Close()
	}
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	term, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return term.Lflag&unix.ECHO != 0
}
