package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// badNames break the rule for names, each in its own way. Some name units of
// somebody else.
func badNames() []string {
	return []string{
		"", ".", "..", "../a", "a/b", "/etc/passwd", "a@b", "a.service", "left4me-server@a.service", "canary.service",
		"Foo", "a b", "a\n", "a\x00b", "a\x1b[31m", "-a", "_a", "a*", "*", "%i", "$(id)", "ä", "\xff",
		strings.Repeat("a", 25), strings.Repeat("a", 10_000),
	}
}

// canary is a unit of somebody else, which nothing may ever touch. It bears the
// names that a careless program would make of bad ones.
const canary = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"

// TestBadInput sends what must be refused, and looks that nothing came of it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.write(t, "/etc/systemd/system/canary.service", canary)
		l.systemctl(t, "daemon-reload")
		l.systemctl(t, "enable", "--now", "canary.service")
		l.running(t, "good")
		l.systemctl(t, "daemon-reload")
		sum := l.sum(t)
		for _, c := range []struct {
			name string
			test func(*testing.T, *lab)
		}{
			{"NamesInPaths", inputNamesInPaths},
			{"NamesInBodies", inputNamesInBodies},
			{"NamesOnTheCommandLine", inputNamesOnTheCommandLine},
			{"Settings", inputSettings},
			{"Bodies", inputBodies},
			{"Routes", inputRoutes},
			{"Flags", inputFlags},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.test(t, l)
				same(t, "what is on the host", sum, l.sum(t))
			})
		}
		t.Run("Console", func(t *testing.T) { inputConsole(t, l) })
	})
}

// hostSum is all that bad input might have changed.
type hostSum struct {
	Traces  traces
	Canary  string
	Good    truth
	Servers []string
	Jobs    int64 // the newest
}

func (l *lab) sum(t *testing.T) hostSum {
	t.Helper()
	s := hostSum{
		Traces: l.traces(t), Good: told(l.agree(t, "good")),
		Canary: l.systemctl(t, "show", "--property=ActiveState,MainPID,InvocationID,UnitFileState", "canary.service"),
	}
	list, err := l.api(t).Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range list.Servers {
		data, err := json.Marshal(server.Config)
		if err != nil {
			t.Fatal(err)
		}
		s.Servers = append(s.Servers, fmt.Sprintf("%s %s", server.Name, data))
	}
	jobs, err := l.api(t).Jobs(t.Context(), client.JobsFilter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Jobs = jobs[0].ID
	return s
}

func inputNamesInPaths(t *testing.T, l *lab) {
	for _, name := range badNames() {
		if name == "" || name == "." || name == ".." {
			continue // no part of a path; see inputRoutes
		}
		path := "/v1/servers/" + url.PathEscape(name)
		for _, req := range []struct{ method, path string }{
			{http.MethodGet, path}, {http.MethodDelete, path}, {http.MethodPost, path + "/start"},
			{http.MethodPost, path + "/stop"}, {http.MethodPost, path + "/restart"}, {http.MethodGet, path + "/logs"},
		} {
			a := l.http(t, req.method, req.path, "")
			if a.status != http.StatusBadRequest || a.field("code") != "invalid-name" {
				t.Errorf("%s %.80q: %d %.200s", req.method, req.path, a.status, a.body)
			}
			if len(a.body) > 2000 || (raw(string(a.body)) || strings.Contains(string(a.body), "\x00")) {
				t.Errorf("%s %.80q: the answer carries the name as it is: %.200q", req.method, req.path, a.body)
			}
		}
	}
}

func inputNamesInBodies(t *testing.T, l *lab) {
	quoted := func(name string) string {
		// As Go would not: what is no UTF-8 stays so.
		var b strings.Builder
		for i := range len(name) {
			if c := name[i]; c < 0x20 || c == '"' || c == '\\' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteByte(c)
			}
		}
		return `"` + b.String() + `"`
	}
	for _, name := range badNames() {
		a := l.http(t, http.MethodPost, "/v1/servers", `{"name":`+quoted(name)+`}`)
		if a.status != http.StatusBadRequest || a.field("code") != "invalid-name" {
			t.Errorf("creating %.40q: %d %.200s", name, a.status, a.body)
		}
		a = l.http(t, http.MethodPost, "/v1/actions", `{"action":"stop","servers":[`+quoted(name)+`]}`)
		var got client.ActionResult
		if err := json.Unmarshal(a.body, &got); err != nil || len(got.Jobs) != 0 || len(got.Refused) != 1 || got.Refused[0].Code != client.CodeInvalidName {
			t.Errorf("stopping %.40q: %d %.200s", name, a.status, a.body)
		}
	}
}

func inputNamesOnTheCommandLine(t *testing.T, l *lab) {
	for _, name := range badNames() {
		if strings.ContainsRune(name, 0) || len(name) > 1000 {
			continue // no argument
		}
		for _, args := range [][]string{
			{"initialize", "--", name}, {"start", "--", name}, {"stop", "--", name}, {"delete", "--yes", "--", name},
			{"show", "--", name}, {"logs", "--", name},
		} {
			r := l.ctl(t, args...)
			if r.Code != 2 || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "l4d2ctl: ") {
				t.Errorf("l4d2ctl %q: %+v", args, r)
			}
			if raw(r.Stderr) {
				t.Errorf("l4d2ctl %q shows the name as it is: %q", args, r.Stderr)
			}
		}
	}
}

func inputSettings(t *testing.T, l *lab) {
	for _, c := range []struct{ field, value string }{
		{"port", "0"}, {"port", "80"}, {"port", "26999"}, {"port", "28000"}, {"port", "65536"}, {"port", "-1"},
		{"port", `"27015"`}, {"port", "27015.5"}, {"port", "1e9"}, {"port", "{}"}, {"port", "true"},
		{"map", `""`}, {"map", `"a b"`}, {"map", `"a\nb"`}, {"map", `"../../x"`}, {"map", `"-x"`}, {"map", `"+quit"`}, {"map", `"a;quit"`}, {"map", "5"},
		{"map", `"exec"`}, {"map", `"c1m1_hotle"`}, {"map", `"` + strings.Repeat("m", 1<<16) + `"`}, {"gamemode", `"exec"`}, {"gamemode", `"cop"`},
		{"gamemode", `"co\"op"`}, {"gamemode", `"coop +exec x"`}, {"gamemode", `"${L4D2_PORT}"`}, {"gamemode", `"%i"`},
		{"max_players", "0"}, {"max_players", "33"}, {"max_players", "-1"}, {"max_players", "1.5"},
		{"hostname", `""`}, {"hostname", `"a\"b"`}, {"hostname", `"a;quit"`}, {"hostname", `"a\nrcon_password x"`}, {"hostname", `"\u001b[31m"`},
		{"hostname", `"\u202eevil"`}, {"hostname", `"a\\"`}, {"hostname", `"a\u0000b"`}, {"hostname", `"` + strings.Repeat("a", 97) + `"`},
		{"args", `["-binary","/bin/sh"]`}, {"args", `["-pidfile","/etc/x"]`}, {"args", `["+exec","x"]`}, {"args", `["-tickrate"]`},
		{"args", `["-tickrate","100\n"]`}, {"args", `["-tickrate 100"]`}, {"args", `"-dev"`}, {"args", `[5]`},
		{"overlays", `[".."]`}, {"overlays", `["a/b"]`}, {"overlays", `["a:b"]`}, {"overlays", `["a,b"]`},
		{"overlays", `["../installation"]`}, {"overlays", `["/etc"]`}, {"overlays", `[".hidden"]`}, {"overlays", `["a\nb"]`}, {"overlays", `["a;b"]`}, {"overlays", `["a\"b"]`},
		{"overlays", `"maps"`}, {"overlays", `[` + strings.TrimSuffix(strings.Repeat(`"a",`, 1000), ",") + `]`}, {"overlays", `["` + strings.Repeat("o", 1<<16) + `"]`},
		{"memory_max", "1"}, {"memory_max", "-1"}, {"memory_max", "1.5"}, {"memory_max", "1e300"}, {"memory_max", "18446744073709551615"}, {"memory_max", `"1G"`},
		{"cpu_weight", "10001"}, {"cpu_weight", "-1"}, {"cpu_weight", `"idle"`}, {"cpus", `"8191"`}, {"cpus", `"0-"`}, {"cpus", `"0\nMemoryMax=infinity"`}, {"cpus", `"0;1"`}, {"cpus", "0"},
		{"hostname", `"` + strings.Repeat("a", 1<<16) + `"`}, {"args", `["exec"]`}, {"args", `["-dev;quit"]`}, {"args", `["\"-dev\""]`},
		{"cvars", `{"rcon_password":"x"}`}, {"cvars", `{"sv_cheats":"1\nquit"}`}, {"cvars", `{"sv_cheats":"1;quit"}`}, {"cvars", `{"exec":"x"}`},
		{"cvars", `{"sv_alltalk\nquit":"1"}`}, {"cvars", `{"sv_alltalk":1}`}, {"cvars", `["sv_alltalk"]`},
		{"heal", `"sometimes"`}, {"no_such", "1"},
	} {
		body := fmt.Sprintf(`{"config":{%q:%s}}`, c.field, c.value)
		for _, a := range []httpAnswer{
			l.http(t, http.MethodPatch, "/v1/servers/good", body),
			l.http(t, http.MethodPost, "/v1/servers", `{"name":"bad",`+body[1:]),
		} {
			b := a.brief()
			at := strings.HasPrefix(b.Field, "config."+c.field) || c.field == "cvars" && strings.HasPrefix(b.Field, "config.")
			if b.Status != http.StatusBadRequest || b.Code != "invalid-request" || !at {
				t.Errorf("%s: %d %s", body, a.status, a.body)
			}
		}
	}
	const dir = "/var/lib/left4me/overlays/"
	l.shell(t, "mkdir -p /var/tmp/away; mkdir "+dir+"open "+dir+"theirs; chmod g+w "+dir+"open; chown left4me "+dir+"theirs; ln -s /var/tmp/away "+dir+"linked; ln -s ../installation "+dir+"game; touch "+dir+"file")
	defer l.shell(t, "rm -r "+dir+"*")
	for _, body := range []string{
		`{"config":{"overlays":["absent"]}}`,
		`{"config":{"overlays":["linked"]}}`,
		`{"config":{"overlays":["game"]}}`,
		`{"config":{"overlays":["file"]}}`,
		`{"config":{"overlays":["open"]}}`,
		`{"config":{"overlays":["theirs"]}}`,
	} {
		a := l.http(t, http.MethodPatch, "/v1/servers/good", body)
		same(t, body, answer{http.StatusBadRequest, "overlay-not-found", "config.overlays"}, a.brief())
	}
	port := l.server(t, "good").Config.Port
	a := l.http(t, http.MethodPost, "/v1/servers", fmt.Sprintf(`{"name":"bad","config":{"port":%d}}`, port))
	same(t, "a port that is taken", answer{http.StatusConflict, "port-taken", "config.port"}, a.brief())
	contains(t, fmt.Sprint(a.field("detail")), "good", "leave it out")
}

func inputBodies(t *testing.T, l *lab) {
	for _, c := range []struct {
		what, body string
		want       answer
	}{
		{"nothing", "", answer{400, "invalid-request", ""}},
		{"no JSON", "name=bad", answer{400, "invalid-request", "body"}},
		{"half of it", `{"name":"bad"`, answer{400, "invalid-request", "body"}},
		{"more than one", `{"name":"bad"}{"name":"worse"}`, answer{400, "invalid-request", "body"}},
		{"a list", `["bad"]`, answer{400, "invalid-request", "body"}},
		{"null", `null`, answer{400, "invalid-request", "body"}},
		{"a field in other letters", `{"name":"bad","config":{"Port":27015}}`, answer{400, "invalid-request", "body"}},
		{"an unknown field", `{"name":"bad","nmae":"x"}`, answer{400, "invalid-request", "nmae"}},
		{"a wrong type", `{"name":5}`, answer{400, "invalid-request", "name"}},
		{"no name", `{}`, answer{400, "invalid-request", "body"}},
		{"a wrong type of all settings", `{"name":"bad","config":[]}`, answer{400, "invalid-request", "config"}},
		{"over 1 MiB", `{"name":"bad","config":{"hostname":"` + strings.Repeat("a", 1<<20) + `"}}`, answer{413, "too-large", ""}},
		{"deep nesting", strings.Repeat("[", 100_000), answer{400, "invalid-request", "body"}},
	} {
		a := l.http(t, http.MethodPost, "/v1/servers", c.body)
		same(t, c.what, c.want, a.brief())
		if a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: the answer is %s", c.what, a.header.Get("Content-Type"))
		}
	}
}

func inputRoutes(t *testing.T, l *lab) {
	for _, c := range []struct {
		method, path string
		want         answer
	}{
		{"GET", "/", answer{404, "not-found", ""}},
		{"GET", "/v1", answer{404, "not-found", ""}},
		{"GET", "/v2/servers", answer{404, "not-found", ""}},
		{"PUT", "/v1/servers", answer{405, "method-not-allowed", ""}},
		{"GET", "/v1/servers/", answer{400, "invalid-name", ""}},
		{"GET", "/v1/servers/..", answer{400, "invalid-name", ""}},
		{"POST", "/v1/servers//start", answer{400, "invalid-name", ""}},
		{"DELETE", "/v1/servers/../servers/good", answer{400, "invalid-name", ""}},
		{"GET", "/v1/servers/absent", answer{404, "server-not-found", ""}},
		{"POST", "/v1/servers/absent/start", answer{404, "server-not-found", ""}},
		{"DELETE", "/v1/servers/absent", answer{404, "server-not-found", ""}},
		{"GET", "/v1/jobs/0", answer{400, "invalid-request", "id"}},
		{"GET", "/v1/jobs/99999999", answer{404, "job-not-found", ""}},
		{"GET", "/v1/jobs/x", answer{400, "invalid-request", "id"}},
		{"GET", "/v1/jobs?limit=0", answer{400, "invalid-request", "limit"}},
		{"GET", "/v1/jobs?state=odd", answer{400, "invalid-request", "state"}},
		{"GET", "/v1/jobs?no=1", answer{400, "invalid-request", "no"}},
		{"POST", "/v1/servers/good/start?wait=soon", answer{400, "invalid-request", "wait"}},
		{"POST", "/v1/servers/good/start?wait=-1s", answer{400, "invalid-request", "wait"}},
		{"POST", "/v1/servers/good/start?wait=11m", answer{400, "invalid-request", "wait"}},
		{"GET", "/v1/servers/good/logs?lines=-1", answer{400, "invalid-request", "lines"}},
		{"GET", "/v1/servers/good/logs?since=yesterday", answer{400, "invalid-request", "since"}},
	} {
		a := l.http(t, c.method, c.path, "")
		b := a.brief()
		if b.Code == "invalid-name" {
			b.Field = ""
		}
		same(t, c.method+" "+c.path, c.want, b)
	}
}

func inputFlags(t *testing.T, l *lab) {
	for _, args := range [][]string{
		{}, {"frobnicate"}, {"start"}, {"start", "--all", "good"}, {"stop"}, {"initialize"}, {"initialize", "a", "b"},
		{"initialize", "bad", "--port", "70000"}, {"initialize", "bad", "--port", "80"}, {"initialize", "bad", "--set", "nonsense"},
		{"initialize", "bad", "--hostname", "a\"b"}, {"initialize", "bad", "--set", "sv_cheats=1\nquit"}, {"initialize", "bad", "--arg", "-binary /bin/sh"},
		{"list", "--no-such"}, {"list", "extra"}, {"show"}, {"logs", "good", "-n", "0"}, {"logs", "good", "--since", "whenever"},
		{"--timeout", "-1s", "list"}, {"jobs", "--state", "odd"}, {"delete", "good"}, {"completion", "tcsh"},
	} {
		r := l.ctl(t, args...)
		if len(args) == 0 {
			same(t, "l4d2ctl alone shows its help", 0, r.Code)
			continue
		}
		if r.Code != 2 || r.Stdout != "" || r.Stderr == "" {
			t.Errorf("l4d2ctl %q: %+v", args, r)
		}
	}
}

// inputConsole is a game that prints what would drive a terminal.
func inputConsole(t *testing.T, l *lab) {
	l.now(t, "good", `print "\x1b]0;owned\x07\x1b[2J red \xff\xfe \u202e end"`)
	const want = `\x1b]0;owned\x07\x1b[2J red \xff\xfe \u{202e} end`
	found := false
	for entry, err := range l.api(t).Logs(within(t, "the line"), "good", client.LogsOptions{Follow: true, Lines: 100}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(entry.Message, "red") {
			same(t, "the line in the API", want, entry.Message)
			found = true
			break
		}
	}
	same(t, "the line came", true, found)
	out := l.MustCtl(t, "logs", "good")
	contains(t, out, want)
	if raw(out) {
		t.Errorf("l4d2ctl shows it as it is: %q", out)
	}
}

// raw says whether a text holds what a terminal would act on or cannot show.
func raw(text string) bool {
	return strings.ContainsAny(text, "\x1b\x07") || !utf8.ValidString(text)
}
