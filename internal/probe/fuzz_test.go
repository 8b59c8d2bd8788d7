package probe

import (
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

// safe fails the test for a text that a person must not be shown.
func safe(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if len(s) > MaxName || !utf8.ValidString(s) || server.Visible(s) != s {
			t.Errorf("%q was let through", s)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"players":255,"list":[]}`, `{"list":[{"name":"\u001b[31m\ud800","score":-2147483648,"seconds":1e9}]}`,
		`{"humans":-1}`, `{"humans":2,"status_fault":{"code":"password","detail":"no"},"list":[{"steam_id":"\u001b","userid":2,"bot":true,"ping":-1}]}`,
		`{"list":null,"list_fault":{"code":"silent","detail":"\u2028"}}`, `{"list":{}}`, `{"list":[{"seconds":1e400}]}`,
		"{\"name\":\"\xff\"}", `{"LIST":[1],"Name":"x"}`, `{}x`, `[`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseAnswer(text)
		if err != nil {
			safe(t, err.Error())
			return
		}
		safe(t, a.Name, a.Map, a.Game, a.Version)
		if len(a.List) > MaxPlayers || a.Players < 0 || a.Players > MaxPlayers || a.Bots < 0 || a.Bots > MaxPlayers {
			t.Errorf("%+v was let through", a)
		}
		for _, p := range a.List {
			safe(t, p.Name, p.SteamID, p.State)
			if math.IsNaN(p.Seconds) || p.Seconds < 0 || p.Seconds > MaxSeconds {
				t.Errorf("%+v was let through", p)
			}
		}
		if a.ListFault != nil {
			safe(t, a.ListFault.Detail)
		}
		// What went through goes through again, unchanged.
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parseAnswer(again)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.List) == 0 { // an empty list is left out
			a.List = nil
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("(-once +twice):\n%s", diff)
		}
	})
}

func FuzzFault(f *testing.F) {
	for _, seed := range []string{
		`{"code":"status","status":500,"retry_after_ms":1000,"detail":"\u202e"}`, `{"code":"gone"}`, `{"code":"silent","status":200}`, `{"code":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fault, err := parseFault(text)
		if err != nil {
			safe(t, err.Error())
			return
		}
		safe(t, fault.Detail, string(fault.Code))
		if fault.RetryAfterMS < 0 || fault.RetryAfterMS > MaxRetryAfterMS || fault.Detail == "" {
			t.Errorf("%+v was let through", fault)
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add("a\r\nb\n\x1b[2J\xff")
	f.Add("\u202e\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		text, _ := Lines(s)
		again, cutOff := Lines(text)
		if text != again || cutOff || len(text) > MaxOutput {
			t.Errorf("%q became %q, and then %q", s, text, again)
		}
	})
}
