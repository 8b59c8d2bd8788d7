package steamcmd

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// samples are lines as SteamCMD prints them.
var samples = map[string]line{
	" Update state (0x61) downloading, progress: 45.63 (4123456789 / 9036123456)":                   {Kind: kindProgress, Progress: Progress{"downloading", 4123456789, 9036123456}},
	" Update state (0x5) verifying install, progress: 3.40 (307000000 / 9036123456)":                {Kind: kindProgress, Progress: Progress{"verifying", 307000000, 9036123456}},
	" Update state (0x3) reconfiguring, progress: 0.00 (0 / 0)":                                     {Kind: kindProgress, Progress: Progress{"reconfiguring", 0, 0}},
	" Update state (0x61) downloading, progress: 45.63 (4123456789 / 99999999999999999999)":         {},
	"Success! App '222860' fully installed.":                                                        {Kind: kindInstalled},
	"\x1b[0mSuccess! App '222860' already up to date.":                                              {Kind: kindInstalled},
	"Success! App '90' fully installed.":                                                            {},
	"Error! App '222860' state is 0x202 after update job.":                                          {Kind: kindAppState, Reason: "0x202"},
	"ERROR! Failed to install app '222860' (Invalid platform)":                                      {Kind: kindAppRefused, Reason: "Invalid platform"},
	"\x1b[0mERROR! Failed to install app '222860' (No subscription)":                                {Kind: kindAppRefused, Reason: "No subscription"},
	"FAILED (No Connection)":                                                                        {Kind: kindOffline, Reason: "No Connection"},
	"Connecting anonymously to Steam Public...ERROR (Timeout)":                                      {Kind: kindOffline, Reason: "Timeout"},
	"[----] !!! Fatal Error: Steamcmd needs to be online to update.  Please confirm your network":   {Kind: kindOffline, Reason: "not online"},
	"ERROR! Failed to request AppInfo update, not online or not logged in to Steam.":                {Kind: kindOffline, Reason: "not online"},
	"FAILED login with result code Invalid Password":                                                {Kind: kindLoginRefused, Reason: "Invalid Password"},
	"Logging in user 'kim' to Steam Public...ERROR (Invalid Password)":                              {Kind: kindLoginRefused, Reason: "Invalid Password"},
	"FAILED with result code 5":                                                                     {Kind: kindLoginRefused, Reason: "5"},
	"ERROR (Rate Limit Exceeded)":                                                                   {Kind: kindLoginRefused, Reason: "Rate Limit Exceeded"},
	"Logging in user 'kim' to Steam Public...Login Failure: Account Logon Denied ":                  {Kind: kindGuard, Reason: "Account Logon Denied"},
	"Two-factor code:FAILED (Account logon denied, need two-factor code)":                           {Kind: kindGuard, Reason: "Account logon denied, need two-factor code"},
	"This computer has not been authenticated for your account using Steam Guard.":                  {Kind: kindGuard},
	"This account is protected by a Steam Guard mobile authenticator.":                              {},
	"Please confirm the login in the Steam Mobile app on your phone.":                               {Kind: kindConfirm},
	"Logging in user 'kim' [U:1:237664575] to Steam Public...OK":                                    {},
	"Redirecting stderr to '/var/lib/left4me/steam/Steam/logs/stderr.txt'":                          {},
	"KeyValues Error: LoadFromBuffer: missing {   (current key: '<!DOCTYPE') in file manifest":      {},
	"dlmopen steamservice.so failed: steamservice.so: cannot open shared object file: No such file": {},
	"ILocalize::AddFile() failed to load file \"public/steambootstrapper_english.txt\".":            {},
	"Waiting for user info...OK":                                                                    {},
}

func TestParseLine(t *testing.T) {
	t.Parallel()
	for text, want := range samples {
		if diff := cmp.Diff(want, parseLine(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestParsePrompt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]line{
		"Steam Guard code:":                       {Kind: kindGuard},
		"\x1b[0mTwo-factor code:":                 {Kind: kindGuard},
		"password: ":                              {Kind: kindLoginRefused, Reason: "it asks for the password"},
		"\x1b[1m\nSteam>":                         {Kind: kindPrompt, Reason: "Steam>"},
		"Connecting anonymously to Steam Public.": {},
		"": {},
	} {
		if diff := cmp.Diff(want, parsePrompt(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// FuzzOutput: whatever SteamCMD prints, the journal gets whole short lines that
// begin with one of our words, and never the password.
func FuzzOutput(f *testing.F) {
	for text := range samples {
		f.Add([]byte(text + "\r\n"))
	}
	f.Add([]byte("a\x1b]0;t\x07\rstep me\nhunter2 \xff\xfe\u202e"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		p := &printer{to: &out, now: time.Now, secret: "hunter2"}
		s := &splitter{each: func(text string) {
			if l := parseLine(text); l.Kind == kindProgress {
				if l.Progress.Done < 0 || l.Progress.Total < 0 {
					t.Errorf("%q: %+v", text, l)
				}
				p.progress(l.Progress)
				return
			}
			parsePrompt(text)
			p.own(text)
		}}
		s.write(data)
		s.flush()
		p.flush()
		for text := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(text, " ")
			if word != "progress" && word != "steamcmd:" || !strings.HasSuffix(text, "\n") || len(text) > 8*maxOwnWidth {
				t.Errorf("a line of the journal: %q", text)
			}
			if !utf8.ValidString(text) || strings.Contains(text, "hunter2") || strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\r\x1b\x00") {
				t.Errorf("in the journal: %q", text)
			}
		}
	})
}

func FuzzLookup(f *testing.F) {
	f.Add(`"222860" { "depots" { "branches" { "public" { "buildid" "123" } } } }`)
	f.Add(`"a" "b" } { "x\"" {`)
	f.Fuzz(func(t *testing.T, text string) {
		if id, ok := buildID(text, "222860", "depots", "branches", "public", "buildid"); ok && (id == "" || !strings.Contains(text, id[:1])) {
			t.Errorf("%q in %q", id, text)
		}
	})
}

func TestBuildID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"AppState" { "appid" "222860" "buildid" "1234" "x" { "buildid" "9" } }`: "1234",
		`"appstate" { "UserConfig" { "buildid" "9" } "BuildID" "77" }`:           "77",
		`"Other" { "buildid" "9" }`:                                              "",
		`"AppState" { "buildid" "12x" }`:                                         "",
		`"AppState" { "buildid" "111111111111111111111" }`:                       "",
		`"AppState" { "name" "quoted \" buildid" "buildid" "5" }`:                "5",
	} {
		got, _ := buildID(text, "AppState", "buildid")
		if _, ok := buildID(text, "AppState", "buildid"); !ok {
			got = ""
		}
		same(t, text, want, got)
	}
}

func TestReadAccount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Account{
		"":                                       {},
		"# none":                                 {},
		"user = kim\npassword = a b=c#d \n":      {"kim", "a b=c#d"},
		"password=x\r\n\n # hello\nuser=kim\r\n": {"kim", "x"},
		"user = anonymous\npassword = whatever\n": {},
	} {
		got, err := ReadAccount([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		same(t, text, want, got)
	}
	for _, text := range []string{"kim\nsecret", "user = kim", "password = secret", "user = kim\npassword = sec\"ret", "user = kim\npassword =\n", "user=kim\npassword=sec\x00ret"} {
		_, err := ReadAccount([]byte(text))
		if err == nil || strings.Contains(err.Error(), "sec") && strings.Contains(err.Error(), "ret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestReadRequest(t *testing.T) {
	t.Parallel()
	got, err := ReadRequest([]byte(`{"validate":true,"later":[1]}`))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the request", Request{Validate: true, Space: 10 << 30}, got)
	for _, text := range []string{"", "{", `{"space":"x"}`, `{"steamcmd":"bin/steamcmd"}`} {
		if _, err := ReadRequest([]byte(text)); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}

// TestProgressIsSlow: at most one line a second, and the last one.
func TestProgressIsSlow(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	p := &printer{to: &out, now: func() time.Time { return now }}
	for i := range int64(25) {
		p.progress(Progress{"downloading", i, 100})
		now = now.Add(100 * time.Millisecond)
	}
	p.flush()
	p.flush()
	same(t, "the journal", "progress downloading 0 100\nprogress downloading 10 100\nprogress downloading 20 100\nprogress downloading 24 100\n", out.String())
}
