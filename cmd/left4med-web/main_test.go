package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/account"
)

// place is where one test's settings and users are.
type place struct {
	t             *testing.T
	config, state string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{t: t, config: filepath.Join(dir, "web.toml"), state: filepath.Join(dir, "web.db")}
	text := fmt.Sprintf("[http]\nlisten = \"127.0.0.1:0\"\n[left4med]\nsocket = %q\n[log]\nlevel = \"error\"\n", filepath.Join(dir, "left4med.sock"))
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) app(stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, hash: account.HashCost{MemoryKiB: 8, Passes: 1, Threads: 1}}
}

func (p *place) args(args []string) []string {
	return append([]string{"--config", p.config, "--state", p.state}, args...)
}

// result is what became of a command.
type result struct {
	Code           int
	Stdout, Stderr string
}

func (p *place) run(stdin string, args ...string) result {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	code := p.app(strings.NewReader(stdin), &stdout, &stderr).run(p.t.Context(), p.args(args))
	return result{code, stdout.String(), stderr.String()}
}

// is runs a command and compares all that comes of it.
func (p *place) is(want result, stdin string, args ...string) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.run(stdin, args...)); diff != "" {
		p.t.Errorf("%q (-want +got):\n%s", args, diff)
	}
}

// on runs a command on a terminal, into which answers are typed.
func (p *place) on(answers string, args ...string) (int, string) {
	p.t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		p.t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	defer master.Close()
	seen := make(chan string)
	hidden := make(chan struct{})
	go func() {
		var all []byte
		chunk := make([]byte, 1024)
		for asked := false; ; {
			n, err := master.Read(chunk)
			all = append(all, chunk[:n]...)
			if !asked && bytes.Contains(all, []byte(": ")) {
				asked = true
				close(hidden)
			}
			if err != nil { // EIO when the other side is closed
				seen <- string(all)
				return
			}
		}
	}()
	go func() { // what is typed before the question is dropped
		<-hidden
		io.WriteString(master, answers)
	}()
	code := p.app(tty, tty, tty).run(p.t.Context(), p.args(args))
	if t, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err != nil || t.Lflag&unix.ECHO == 0 {
		p.t.Errorf("the terminal does not show what is typed afterwards (%v)", err)
	}
	tty.Close()
	return code, strings.ReplaceAll(<-seen, "\r\n", "\n")
}

func TestUsers(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.is(result{0, "", "There is no user yet; `left4med-web user add NAME --role admin` adds the first.\n"}, "", "user", "list")
	p.is(result{0, "kim is added, as admin\n", ""}, "correct-horse\n", "user", "add", "kim", "--role", "admin")
	p.is(result{0, "lee is added, as viewer\n", ""}, "battery-staple", "user", "add", "--role=viewer", "lee")
	p.is(result{0, "lee is now operator\n", ""}, "", "user", "role", "lee", "operator")
	p.is(result{0, "lee has a new password and must sign in again\n", ""}, "staple-battery\r\n", "user", "password", "lee")

	var listed struct{ Users []account.User }
	if err := json.Unmarshal([]byte(p.run("", "user", "list", "--json").Stdout), &listed); err != nil {
		t.Fatal(err)
	}
	for i := range listed.Users {
		if time.Since(listed.Users[i].CreatedAt) > time.Hour {
			t.Errorf("added at %s", listed.Users[i].CreatedAt)
		}
		listed.Users[i].CreatedAt = time.Time{}
	}
	want := []account.User{{ID: 1, Name: "kim", Role: account.RoleAdmin}, {ID: 2, Name: "lee", Role: account.RoleOperator}}
	if diff := cmp.Diff(want, listed.Users); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	table := strings.Split(p.run("", "user", "list").Stdout, "\n")
	if len(table) != 4 || strings.Join(strings.Fields(table[0]), " ") != "NAME ROLE SESSIONS LAST SIGN-IN ADDED" || !strings.HasPrefix(table[2], "lee   operator  0         -") {
		t.Errorf("the table is %q", table)
	}
	p.is(result{0, "lee is removed\n", ""}, "", "user", "remove", "lee")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if r := p.run("correct-horse", "user", "add", "kim", "--role", "admin"); r.Code != 0 {
		t.Fatal(r)
	}
	for _, c := range []struct {
		code  int
		says  string
		stdin string
		args  []string
	}{
		{2, "--role is missing", "correct-horse", []string{"user", "add", "lee"}},
		{2, `"boss" is no role`, "correct-horse", []string{"user", "add", "lee", "--role", "boss"}},
		{2, "a user's name has", "correct-horse", []string{"user", "add", "Lee\x1b", "--role", "viewer"}},
		{2, "no password came", "", []string{"user", "add", "lee", "--role", "viewer"}},
		{2, "more than one line", "a long one\nand another\n", []string{"user", "add", "lee", "--role", "viewer"}},
		{2, "password", "short", []string{"user", "add", "lee", "--role", "viewer"}},
		{2, "password", strings.Repeat("x", 5000), []string{"user", "add", "lee", "--role", "viewer"}},
		{1, "name already", "correct-horse", []string{"user", "add", "kim", "--role", "viewer"}},
		{1, `no user "lee"`, "", []string{"user", "role", "lee", "viewer"}},
		{2, `"boss" is no role`, "", []string{"user", "role", "kim", "boss"}},
		{1, "admin", "", []string{"user", "role", "kim", "viewer"}},
		{1, "admin", "", []string{"user", "remove", "kim"}},
		{1, `no user "lee"`, "correct-horse", []string{"user", "password", "lee"}},
		{2, "NAME is missing", "", []string{"user", "remove"}},
		{2, `unexpected argument "b"`, "", []string{"user", "remove", "a", "b"}},
		{2, "a command is missing", "", []string{"user"}},
		{2, `no command "frob"`, "", []string{"user", "frob"}},
		{2, `no command "frob\x1b"`, "", []string{"frob\x1b"}},
		{2, "unknown flag: --frob", "", []string{"--frob"}},
		{2, `no completion for "tcsh"`, "", []string{"completion", "tcsh"}},
		{1, "nothing", "", []string{"user", "list", "--state", filepath.Join(t.TempDir(), "nothing", "web.db")}},
		{1, "cannot read the settings", "", []string{"user", "list", "--config", t.TempDir()}},
	} {
		r := p.run(c.stdin, c.args...)
		if r.Code != c.code || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "left4med-web: ") || !strings.Contains(r.Stderr, c.says) {
			t.Errorf("%q: %+v; want exit %d, saying %q", c.args, r, c.code, c.says)
		}
	}
	if got := p.run("", "user", "list").Stdout; strings.Count(got, "\n") != 2 || !strings.Contains(got, "admin") {
		t.Errorf("the users afterwards:\n%s", got)
	}
}

func TestPasswordOnATerminal(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	code, got := p.on("correct-horse\ncorrect-horse\n", "user", "add", "kim", "--role", "admin")
	// Both lines are typed at once, so where their ends show is the terminal's affair.
	if want := "The new password of kim: Once more: kim is added, as admin"; code != 0 || strings.ReplaceAll(got, "\n", "") != want {
		t.Errorf("exit %d, %q; want %q", code, got, want)
	}
	code, got = p.on("correct-horse\ncorrect-house\n", "user", "password", "kim")
	if code != 1 || !strings.Contains(got, "not the same; nothing was changed") || strings.Contains(got, "correct-horse") {
		t.Errorf("exit %d, %q", code, got)
	}
	code, got = p.on("\x04", "user", "password", "kim")
	if code != 1 || !strings.Contains(got, "no password was given; nothing was changed") {
		t.Errorf("exit %d, %q", code, got)
	}
}

func TestVersionAndCompletion(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.is(result{0, "left4med-web 0.0.0-dev\n", ""}, "", "version")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if r := p.run("", "completion", shell); r.Code != 0 || !strings.Contains(r.Stdout, "left4med-web") {
			t.Errorf("completion %s: %+v", shell, r)
		}
	}
}

// TestServe has the whole program serve, without a daemon, and end when asked to.
func TestServe(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if r := p.run("correct-horse", "user", "add", "kim", "--role", "admin"); r.Code != 0 {
		t.Fatal(r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	at, code := make(chan string, 1), make(chan int, 1)
	var stderr bytes.Buffer
	a := p.app(strings.NewReader(""), io.Discard, &stderr)
	a.listening = func(address string) { at <- address }
	go func() { code <- a.run(ctx, p.args([]string{"serve"})) }()
	var base string
	select {
	case address := <-at:
		base = "http://" + address
	case c := <-code:
		t.Fatalf("it ended with %d: %s", c, &stderr)
	}

	send := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		transport := &http.Transport{DisableKeepAlives: true}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	if status, text := send("GET", "/healthz", ""); status != 200 || strings.TrimSpace(text) != "ok" {
		t.Errorf("/healthz: %d %q", status, text)
	}
	if status, text := send("POST", "/api/session", `{"user":"kim","password":"correct-horse"}`); status != 200 || !strings.Contains(text, `"role":"admin"`) {
		t.Errorf("signing in: %d %q", status, text)
	}
	if status, text := send("POST", "/api/session", `{"user":"kim","password":"wrong-horse"}`); status != 401 {
		t.Errorf("signing in with a wrong password: %d %q", status, text)
	}
	if r := p.run("", "user", "list"); !strings.HasPrefix(strings.Split(r.Stdout, "\n")[1], "kim   admin  1 ") {
		t.Errorf("beside the running frontend: %+v", r)
	}
	cancel()
	if c := <-code; c != 0 || stderr.Len() > 0 {
		t.Errorf("it ended with %d: %s", c, &stderr)
	}
}

func TestServeSaysWhyItCannotListen(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := os.WriteFile(p.config, fmt.Appendf(nil, "[http]\nlisten = %q\n", taken.Addr()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := p.run("")
	if r.Code != 1 || !strings.Contains(r.Stderr, "cannot listen on "+taken.Addr().String()+", the [http] listen of the settings") {
		t.Errorf("%+v", r)
	}
}

func TestSetupLink(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, at := range []string{"127.0.0.1:8000", "[::1]:80", "0.0.0.0:8000", "[::]:8000"} {
		addr, err := net.ResolveTCPAddr("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		got[at] = setupLink(addr, "T")
		if setupLink(addr, "") != "" {
			t.Errorf("%s: a link without a token", at)
		}
	}
	want := map[string]string{
		"127.0.0.1:8000": "http://127.0.0.1:8000/setup#T", "[::1]:80": "http://[::1]:80/setup#T",
		"0.0.0.0:8000": "http://127.0.0.1:8000/setup#T", "[::]:8000": "http://127.0.0.1:8000/setup#T",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
