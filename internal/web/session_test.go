package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/left4med/left4med/internal/account"
)

type sessionDoc struct {
	User struct {
		ID   int64
		Name string
		Role account.Role
	}
	CSRF    string
	Expires time.Time `json:"expires_at"`
	Version string
}

// cookies takes over what an answer sets, as a browser does.
func (b *browser) cookies(t *testing.T, g got) []*http.Cookie {
	t.Helper()
	all := (&http.Response{Header: g.Header}).Cookies()
	for _, c := range all {
		switch c.Name {
		case "left4med_session":
			b.token = c.Value
		case "left4med_device":
			b.device = c.Value
		}
	}
	var doc sessionDoc
	json.Unmarshal([]byte(g.Body), &doc)
	b.csrf = doc.CSRF
	return all
}

func TestFirstSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	if got := b.do(http.MethodGet, "/api/session", ""); got.Status != http.StatusUnauthorized || got.code() != "not-signed-in" || !strings.Contains(got.Body, `"setup":true`) {
		t.Errorf("without users: %d %s", got.Status, got.Body)
	}
	if got := b.do(http.MethodPost, "/api/setup", `{"token":"guess","user":"alice","password":"correct horse"}`); got.Status != http.StatusForbidden || got.code() != "setup-refused" {
		t.Errorf("a guessed token: %d %s", got.Status, got.Body)
	}
	made := b.do(http.MethodPost, "/api/setup", `{"token":"`+s.book.SetupToken()+`","user":"alice","password":"correct horse"}`, "X-Forwarded-Proto", "https")
	if made.Status != http.StatusOK {
		t.Fatalf("setup: %d %s", made.Status, made.Body)
	}
	want := []*http.Cookie{
		{Name: "left4med_session", Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode},
		{Name: "left4med_device", Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode},
	}
	cookies := b.cookies(t, made)
	if diff := cmp.Diff(want, cookies, cmpopts.IgnoreFields(http.Cookie{}, "Value", "Raw", "MaxAge")); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	for _, c := range cookies {
		if c.Value == "" || c.MaxAge < 24*60*60 {
			t.Errorf("the cookie %s does not last: %v", c.Name, c)
		}
	}
	var first, again sessionDoc
	json.Unmarshal([]byte(made.Body), &first)
	read := b.do(http.MethodGet, "/api/session", "")
	json.Unmarshal([]byte(read.Body), &again)
	if diff := cmp.Diff(first, again, cmpopts.EquateApproxTime(time.Minute)); diff != "" || first.User.Name != "alice" || first.User.Role != account.RoleAdmin || first.CSRF == "" || first.Version != "1.2.3" {
		t.Errorf("the session is %s, and read again (-first +again):\n%s", made.Body, diff)
	}
	if got := s.browser().do(http.MethodGet, "/api/session", ""); strings.Contains(got.Body, "setup\":") {
		t.Errorf("with a user: %s", got.Body)
	}
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.as(account.RoleViewer)
	b := s.browser()
	for body, want := range map[string]string{
		`{"user":"viewer-1","password":"wrong horse"}`: "wrong-credentials",
		`{"user":"nobody-1","password":"wrong horse"}`: "wrong-credentials",
		`{"user":"viewer-1","passwort":"x"}`:           "invalid-request",
		`{"user":1}`:                                   "invalid-request",
		`[`:                                            "invalid-request",
		`{} {}`:                                        "invalid-request",
	} {
		if got := b.do(http.MethodPost, "/api/session", body); got.code() != want || len(got.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s = %d %s, want %s", body, got.Status, got.Body, want)
		}
	}
	if got := b.do(http.MethodPost, "/api/session", "user=viewer-1", "Content-Type", "application/x-www-form-urlencoded"); got.Status != http.StatusUnsupportedMediaType {
		t.Errorf("a form = %d %s", got.Status, got.Body)
	}
	good := `{"user":"viewer-1","password":"correct horse"}`
	b.cookies(t, b.do(http.MethodPost, "/api/session", good))
	old := *b
	for _, c := range b.cookies(t, b.do(http.MethodPost, "/api/session", good)) {
		if c.Secure {
			t.Errorf("without https: %v", c)
		}
	}
	if got := old.do(http.MethodGet, "/api/session", ""); got.Status != http.StatusUnauthorized {
		t.Errorf("the session before goes on: %d", got.Status)
	}
	if got := b.do(http.MethodDelete, "/api/session", ""); got.Status != http.StatusNoContent || !strings.Contains(got.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("sign out = %d %v", got.Status, got.Header)
	}
	if got := b.do(http.MethodGet, "/api/session", ""); got.code() != "not-signed-in" {
		t.Errorf("signed out: %d %s", got.Status, got.Body)
	}
}

func TestTooManyAttempts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	for range 100 {
		got := b.do(http.MethodPost, "/api/session", `{"user":"alice","password":"wrong horse"}`)
		if got.Status == http.StatusTooManyRequests {
			if got.Header.Get("Retry-After") == "" || got.code() != "too-many-attempts" {
				t.Errorf("refused with %v %s", got.Header, got.Body)
			}
			return
		}
	}
	t.Error("attempts are not bounded")
}

// Neither another page's request nor one without the session's token does
// anything.
func TestOtherPagesDoNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.as(account.RoleAdmin)
	for _, header := range [][]string{
		{"X-CSRF-Token", ""}, {"X-CSRF-Token", "guess"},
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "x"},
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "http://127.0.0.1:1"}, {"Origin", "http://" + s.host + ".evil.example"}, {"Origin", "file://"},
	} {
		for _, rt := range [][2]string{{"POST", "/api/v1/servers/a/stop"}, {"DELETE", "/api/session"}, {"POST", "/api/users"}, {"PUT", "/api/v1/servers/a/secrets/rcon"}} {
			if got := b.do(rt[0], rt[1], `{}`, header...); got.Status != http.StatusForbidden || got.code() != "cross-site" {
				t.Errorf("%q: %v = %d %s", header, rt, got.Status, got.Body)
			}
		}
		if header[0] != "X-CSRF-Token" {
			if got := b.do("POST", "/api/session", `{"user":"admin-1","password":"correct horse"}`, header...); got.code() != "cross-site" || len(got.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%q: sign in = %d %s", header, got.Status, got.Body)
			}
		}
	}
	if asked := s.daemon.asked(); len(asked) > 0 {
		t.Errorf("the daemon was asked %q", asked)
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "same-origin", "Origin", s.url}, {"Sec-Fetch-Site", "none"}, {"Origin", s.url}, {}} {
		if got := b.do(http.MethodPost, "/api/v1/servers/a/stop", "", header...); got.Status != http.StatusOK {
			t.Errorf("%q = %d %s", header, got.Status, got.Body)
		}
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.as(account.RoleViewer)
	here, other := *b, *b
	other.enter("viewer-1")
	third := *b
	third.enter("viewer-1")

	var list struct {
		Sessions []struct {
			ID      string
			Current bool
		}
	}
	json.Unmarshal([]byte(here.do(http.MethodGet, "/api/account/sessions", "").Body), &list)
	current := map[string]bool{}
	for _, o := range list.Sessions {
		current[o.ID] = o.Current
	}
	if diff := cmp.Diff(map[string]bool{here.id: true, other.id: false, third.id: false}, current); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if got := here.do(http.MethodDelete, "/api/account/sessions/"+third.id, ""); got.Status != http.StatusNoContent {
		t.Errorf("end a session = %d %s", got.Status, got.Body)
	}
	stranger := s.as(account.RoleAdmin)
	if got := stranger.do(http.MethodDelete, "/api/account/sessions/"+other.id, ""); got.Status != http.StatusNotFound {
		t.Errorf("end another's session = %d %s", got.Status, got.Body)
	}
	alive := func(b *browser) int { return b.do(http.MethodGet, "/api/session", "").Status }
	if diff := cmp.Diff([]int{200, 200, 401}, []int{alive(&here), alive(&other), alive(&third)}); diff != "" {
		t.Errorf("sessions alive (-want +got):\n%s", diff)
	}
	if got := here.do(http.MethodPost, "/api/account/password", `{"current":"wrong horse","new":"battery staple"}`); got.Status != http.StatusForbidden || got.code() != "wrong-credentials" {
		t.Errorf("a wrong password = %d %s", got.Status, got.Body)
	}
	if got := here.do(http.MethodPost, "/api/account/password", `{"current":"correct horse","new":"battery staple"}`); got.Status != http.StatusNoContent {
		t.Errorf("change = %d %s", got.Status, got.Body)
	}
	if diff := cmp.Diff([]int{200, 401}, []int{alive(&here), alive(&other)}); diff != "" {
		t.Errorf("sessions alive (-want +got):\n%s", diff)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.as(account.RoleAdmin)
	for _, c := range []struct {
		method, path, body string
		status             int
		code, field        string
	}{
		{"POST", "/api/users", `{"name":"kim","role":"viewer","password":"correct horse"}`, 201, "", ""},
		{"POST", "/api/users", `{"name":"kim","role":"viewer","password":"correct horse"}`, 409, "name-taken", "name"},
		{"POST", "/api/users", `{"name":"Kim!","role":"viewer","password":"correct horse"}`, 422, "invalid-request", "name"},
		{"POST", "/api/users", `{"name":"lee","role":"root","password":"correct horse"}`, 422, "invalid-request", "role"},
		{"POST", "/api/users", `{"name":"lee","role":"viewer","password":"short"}`, 422, "invalid-request", "password"},
		{"PATCH", "/api/users/kim", `{}`, 422, "invalid-request", ""},
		{"PATCH", "/api/users/kim", `{"role":"admin","password":"short"}`, 422, "invalid-request", "password"},
		{"PATCH", "/api/users/nobody", `{"role":"admin"}`, 404, "user-not-found", ""},
		{"PATCH", "/api/users/admin-1", `{"role":"viewer","password":"battery staple"}`, 409, "last-admin", ""},
		{"DELETE", "/api/users/admin-1", "", 409, "last-admin", ""},
		{"PATCH", "/api/users/kim", `{"role":"operator","password":"battery staple"}`, 204, "", ""},
	} {
		got := b.do(c.method, c.path, c.body)
		var p struct {
			Errors []struct{ Field string }
		}
		json.Unmarshal([]byte(got.Body), &p)
		field := ""
		if len(p.Errors) > 0 {
			field = p.Errors[0].Field
		}
		if got.Status != c.status || got.code() != c.code || field != c.field {
			t.Errorf("%s %s %s = %d %s", c.method, c.path, c.body, got.Status, got.Body)
		}
	}
	type user struct {
		Name     string
		Role     account.Role
		Sessions int
	}
	var list struct{ Users []user }
	json.Unmarshal([]byte(b.do("GET", "/api/users", "").Body), &list)
	if diff := cmp.Diff([]user{{"admin-1", account.RoleAdmin, 1}, {"kim", account.RoleOperator, 0}}, list.Users); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if got := b.do("DELETE", "/api/users/kim", ""); got.Status != http.StatusNoContent {
		t.Errorf("remove = %d %s", got.Status, got.Body)
	}
}
