package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/server"
)

func TestSetSecret(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	token := strings.Repeat("0123abCD", 4)
	want := map[string]string{"rcon": "hunter2hunter2", "password": "x<&>", "gslt": token}
	for which, value := range want {
		got := f.do(operator, "PUT", "/v1/servers/alpha/secrets/"+which, `{"value":"`+value+`"}`)
		if got.Status != http.StatusNoContent || got.Body != "" {
			t.Errorf("%s: %+v", which, got)
		}
		if kept := f.backend.secrets[server.SecretName(which)]; kept.Reveal() != value {
			t.Errorf("%s is %q", which, kept.Reveal())
		}
	}
	for which := range want {
		got := f.do(root, "PUT", "/v1/servers/alpha/secrets/"+which, `{"value":""}`)
		if got.Status != http.StatusNoContent || f.backend.secrets[server.SecretName(which)].IsSet() {
			t.Errorf("%s: %+v", which, got)
		}
	}
	if log := f.log.String(); log != "" {
		t.Errorf("logged %s", log)
	}
}

// TestSecretsAreNotEchoed sends what is refused. No answer and no log repeats it.
func TestSecretsAreNotEchoed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	const rcon = "/v1/servers/alpha/secrets/rcon"
	bad := func(field, detail string) api.Problem {
		p := problem(server.CodeInvalidRequest, detail, api.FieldError{Field: field, Detail: detail})
		if field != "value" || strings.HasPrefix(detail, "expected") {
			p.Detail = field + ": " + detail
		}
		return p
	}
	why := func(why string) api.Problem { return bad("value", "this value cannot be the secret "+why) }
	const unclean = "rcon: it must be letters, digits and signs of ASCII, without spaces, quotation marks, backslashes and semicolons: the game's configuration cannot express others"
	for _, c := range []struct {
		path, body string
		want       api.Problem
	}{
		{rcon, `{"value":"hunter2"}`, why("rcon: it is too short: at least 8 characters are needed")},
		{rcon, `{"value":"hunter2 hunter2"}`, why(unclean)},
		{rcon, `{"value":"hunter2\nquit"}`, why(unclean)},
		{rcon, `{"value":"hunter2` + strings.Repeat("x", 100) + `"}`, why("rcon: it is too long: at most 64 characters are possible")},
		{"/v1/servers/alpha/secrets/password", `{"value":"hunter2\""}`, why(strings.Replace(unclean, "rcon", "password", 1))},
		{"/v1/servers/alpha/secrets/gslt", `{"value":"hunter2"}`, why("gslt: it is not what Steam gives out as a login token, 32 digits and letters from A to F")},
		{rcon, `{"value":["hunter2"]}`, bad("value", "expected string")},
		{rcon, `{"value":{"hunter2":"hunter2"}}`, bad("value", "expected string")},
		{rcon, `"hunter2"`, bad("body", "expected object")},
		{rcon, `{"value":"hunter2`, bad("body", "unexpected end of JSON input")},
		{rcon, `{"value":"hunter2hunter2","more":"hunter2"}`, bad("more", "unexpected property")},
		{rcon, `{"Value":"hunter2hunter2"}`, bad("body", `unexpected property "Value": names are in lower case`)},
		{rcon, ``, problem(server.CodeInvalidRequest, "request body is required")},
		{rcon, `{}`, bad("body", "expected required property value to be present")},
		{rcon + "?value=hunter2", `{"value":""}`, problem(server.CodeInvalidRequest, `there is no query parameter "value" here`,
			api.FieldError{Field: "value", Detail: `there is no query parameter "value" here`})},
		{"/v1/servers/alpha/secrets/rcon_password", `{"value":"hunter2hunter2"}`,
			problem(server.CodeNotFound, `there is no secret "rcon_password"; there are rcon, password and gslt`)},
		{"/v1/servers/ghost/secrets/rcon", `{"value":"hunter2hunter2"}`, problem(server.CodeServerNotFound, "there is no server ghost")},
	} {
		got := f.do(operator, "PUT", c.path, c.body)
		if diff := cmp.Diff(c.want, into[api.Problem](t, got)); diff != "" || got.Status != c.want.Status || strings.Contains(got.Body, "hunter2") {
			t.Errorf("%s %.60s: %d %s\n%s", c.path, c.body, got.Status, got.Body, diff)
		}
	}
	if got := f.do(kim, "PUT", rcon, `{"value":"hunter2hunter2"}`); got.Status != http.StatusForbidden || strings.Contains(got.Body, "hunter2") {
		t.Errorf("a user without rights: %+v", got)
	}
	f.backend.fail = errors.New("the disk is full")
	if got := f.do(root, "PUT", rcon, `{"value":"hunter2hunter2"}`); got.Status != 500 {
		t.Errorf("got %+v", got)
	}
	if log := f.log.String(); strings.Contains(log, "hunter2") || !strings.Contains(log, "the disk is full") {
		t.Errorf("logged %s", log)
	}
	if len(f.backend.secrets) != 0 {
		t.Errorf("set: %v", f.backend.secrets)
	}
}
