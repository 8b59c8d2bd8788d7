package web_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/web"
)

// The log tells who signed in, who failed to and who changed users, from where,
// and no secret. What strangers typed is escaped, and cannot fill it.
func TestAudit(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer // one browser asks, one request after the other
	s := newSite(t, func(o *web.Options, _ *daemon) {
		o.Log = zerolog.New(zerolog.SyncWriter(&log)).Level(zerolog.InfoLevel)
	})
	s.as(account.RoleAdmin)
	b := s.browser()
	from := []string{"X-Forwarded-For", "198.51.100.7"}
	b.do(http.MethodPost, "/api/session", `{"user":"\u001b[2Jadmin","password":"wrong horse"}`, from...)
	b.cookies(t, b.do(http.MethodPost, "/api/session", `{"user":"admin-1","password":"correct horse"}`, from...))
	b.do(http.MethodPost, "/api/users", `{"name":"kim","role":"viewer","password":"battery staple"}`, from...)
	b.do(http.MethodPatch, "/api/users/kim", `{"role":"operator","password":"battery staple"}`, from...)
	b.do(http.MethodDelete, "/api/users/admin-1", "", from...)
	b.do(http.MethodDelete, "/api/session", "", from...)
	for range 40 {
		b.do(http.MethodPost, "/api/session", `{"user":"mallory","password":"wrong horse"}`, "X-Forwarded-For", "203.0.113.9")
	}
	if bytes.Contains(log.Bytes(), []byte("horse")) || bytes.Contains(log.Bytes(), []byte("staple")) {
		t.Errorf("the log holds a password: %s", log.String())
	}
	var got []string
	limited := 0
	for line := range bytes.Lines(log.Bytes()) {
		var l struct{ Level, Message, User, Name, Whom, Source, Result, Tried string }
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		switch {
		case l.Result == "too-many-attempts":
			limited++
		case l.Source == "198.51.100.7":
			got = append(got, l.Level+" "+l.User+l.Name+": "+l.Message+l.Tried+" "+l.Whom)
		}
	}
	want := []string{
		`warn "\x1b[2Jadmin": a sign-in was refused `,
		`info admin-1: signed in `,
		`info admin-1: added a user, viewer "kim"`,
		`info admin-1: made a user operator "kim"`,
		`info admin-1: set the password of a user "kim"`,
		`warn admin-1: a change of users was refusedremoved a user "admin-1"`,
		`info admin-1: signed out `,
	}
	if diff := cmp.Diff(want, got); diff != "" || limited != 1 {
		t.Errorf("%d lines of refused floods, want 1, and the log is (-want +got):\n%s", limited, diff)
	}
}
