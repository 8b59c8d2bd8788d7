package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/server"
)

func TestRCON(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	got := f.do(operator, "POST", "/v1/servers/alpha/rcon", `{"command":"say hello; status"}`)
	if got.Status != 200 || got.Body != `{"output":"done\n","truncated":false}`+"\n" {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]string{"say hello; status"}, f.backend.commands); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if log := f.log.String(); log != "" {
		t.Errorf("logged %s", log)
	}
}

// TestCommandsAreNotEchoed sends what is refused. No answer and no log repeats
// it: it may hold a password.
func TestCommandsAreNotEchoed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	for _, body := range []string{
		`{"command":"sv_password hunter2\nquit"}`, `{"command":"hunter2` + strings.Repeat("x", 510) + `"}`,
		`{"command":["hunter2"]}`, `"hunter2"`, `{"command":"hunter2`, `{"command":"status","more":"hunter2"}`, `{"Command":"hunter2"}`,
		`{"command":""}`, `{}`, ``,
	} {
		got := f.do(operator, "POST", "/v1/servers/alpha/rcon", body)
		if p := into[api.Problem](t, got); got.Status != 400 || p.Code != server.CodeInvalidRequest || strings.Contains(got.Body, "hunter2") {
			t.Errorf("%.40s: %d %s", body, got.Status, got.Body)
		}
	}
	if len(f.backend.commands) > 0 || strings.Contains(f.log.String(), "hunter2") {
		t.Errorf("sent %q, logged %s", f.backend.commands, f.log.String())
	}
}

// TestGameProblems are what a client is told of a game that cannot be asked.
func TestGameProblems(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	got := map[server.Code]int{}
	want := map[server.Code]int{
		server.CodeNotRunning: 409, server.CodeGameUnreachable: 502, server.CodeGameStranger: 502,
		server.CodeRCONRefused: 502, server.CodeProbeUnavailable: 503,
	}
	for code := range want {
		f.backend.fail = server.Errorf(code, "because")
		answer := f.do(operator, "GET", "/v1/servers/alpha/players", "")
		got[into[api.Problem](t, answer).Code] = answer.Status
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
