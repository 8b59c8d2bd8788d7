package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func webhook(t testing.TB, address string) Secret {
	t.Helper()
	s, err := NewWebhook(address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAlertRuleIsChecked(t *testing.T) {
	t.Parallel()
	const address = "https://hooks.example.net/T0KEN"
	good := func() AlertRule {
		return AlertRule{Name: "ops", On: AlertEvents(), Format: FormatJSON, URL: webhook(t, address)}
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(*AlertRule){
		"name":                    func(r *AlertRule) { r.Name = "Ops" },
		"on names \"up\"":         func(r *AlertRule) { r.On = []AlertEvent{"up"} },
		"on names nothing":        func(r *AlertRule) { r.On = []AlertEvent{AlertRecovered} },
		"format":                  func(r *AlertRule) { r.Format = "xml" },
		"after is 2h":             func(r *AlertRule) { r.After = 2 * time.Hour },
		"after is -1s":            func(r *AlertRule) { r.After = -time.Second },
		"servers has \"[\"":       func(r *AlertRule) { r.Servers = []string{"["} },
		"neither url nor units":   func(r *AlertRule) { r.URL = Secret{} },
		"allow_http":              func(r *AlertRule) { r.URL = webhook(t, "http://hooks.example.net/T0KEN") },
		"neither https nor http":  func(r *AlertRule) { r.URL = webhook(t, "ftp://hooks.example.net/T0KEN") },
		"no address of a webhook": func(r *AlertRule) { r.URL = webhook(t, "https:T0KEN") },
		"'#'":                     func(r *AlertRule) { r.URL = webhook(t, address+"#x") },
		"'#', ":                   func(r *AlertRule) { r.URL = webhook(t, address+"#") },
		"'@'":                     func(r *AlertRule) { r.URL = webhook(t, "https://T0KEN@hooks.example.net/T0KEN") },
		"without an instance":     func(r *AlertRule) { r.Units = []string{"notify@.service"} },
		"own units":               func(r *AlertRule) { r.Units = []string{"left4me-server@%i.service"} },
		"own units, ":             func(r *AlertRule) { r.Units = []string{"left4med.service"} },
		"own units,  ":            func(r *AlertRule) { r.Units = []string{"dbus-org.left4me.left4med1.service"} },
		"between @":               func(r *AlertRule) { r.Units = []string{"%i.service"} },
		"no name of a service":    func(r *AlertRule) { r.Units = []string{"a/b.service"} },
		"neither %i nor %e":       func(r *AlertRule) { r.Units = []string{"a@%n.service"} },
		"twice":                   func(r *AlertRule) { r.Units = []string{"a.service", "a.service"} },
		"no name of a service ":   func(r *AlertRule) { r.Units = []string{"reboot.target"} },
	} {
		r := good()
		change(&r)
		err := r.Check()
		if err == nil || !strings.Contains(err.Error(), strings.TrimRight(says, ", ")) || strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("%s: %v", says, err)
		}
	}
	for _, address := range []string{"https://a/ b", "https://a/\n", "https://ä/", "https://a/" + strings.Repeat("x", maxURL)} {
		if _, err := NewWebhook(address); err == nil || strings.Contains(err.Error(), address) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestRuleWants(t *testing.T) {
	t.Parallel()
	r := AlertRule{On: []AlertEvent{AlertDown, AlertDegraded}, Servers: []string{"versus-*", "coop"}}
	got := map[string]bool{}
	for _, c := range []struct {
		event AlertEvent
		name  string
	}{{AlertDown, "versus-1"}, {AlertDown, "coop"}, {AlertDown, "coop-1"}, {AlertOrphan, "coop"}, {AlertDegraded, ""}} {
		got[string(c.event)+" "+c.name] = r.Wants(c.event, c.name)
	}
	want := map[string]bool{"down versus-1": true, "down coop": true, "down coop-1": false, "orphan coop": false, "degraded ": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestHookUnit(t *testing.T) {
	t.Parallel()
	down := Alert{Event: AlertDown, State: AlertFiring, Server: "versus-1", Unit: Name("versus-1").Unit()}
	up := down
	up.State = AlertResolved
	for _, c := range []struct {
		pattern string
		alert   Alert
		want    string
	}{
		{"notify-me@%i.service", down, "notify-me@versus-1.service"},
		{"notify@%e-%i.service", up, "notify@recovered-versus-1.service"},
		{"%e.service", down, "down.service"},
		{"notify@%i.service", Alert{Event: AlertDegraded, State: AlertFiring}, "notify@_daemon.service"},
		{"notify@%i.service", Alert{Event: AlertTest, Test: true, State: AlertFiring}, "notify@_test.service"},
		{"notify@%i.service", Alert{Event: AlertOrphan, State: AlertFiring, Server: "x", Unit: `left4me-server@a\x20b.service`}, `notify@a\x20b.service`},
	} {
		got, err := HookUnit(c.pattern, c.alert)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.pattern, got, err, c.want)
		}
	}
}

// Whatever an orphan is called, the unit that is started is a service, none of
// ours, and that of the pattern.
func FuzzHookUnit(f *testing.F) {
	f.Add("notify@%i.service", "a")
	f.Add("%e@%i.service", `\x2d@.service`)
	f.Add("left4m%e@%i.service", "../x")
	f.Fuzz(func(t *testing.T, pattern, instance string) {
		if checkHook(pattern) != nil {
			return
		}
		unit, err := HookUnit(pattern, Alert{Event: AlertOrphan, State: AlertFiring, Unit: Name(instance).Unit()})
		if err != nil {
			return
		}
		before, _, _ := strings.Cut(strings.ReplaceAll(pattern, "%e", "orphan"), "@")
		if !strings.HasPrefix(unit, before) || strings.HasPrefix(unit, "left4me") || !strings.HasSuffix(unit, ".service") || strings.ContainsAny(unit, "/ \n") {
			t.Errorf("%q of %q with %q", unit, pattern, instance)
		}
	})
}

func TestDiscord(t *testing.T) {
	t.Parallel()
	a := Alert{Event: AlertDown, State: AlertFiring, Host: "box_1", Text: "a_b should run; @everyone **now** <https://x>", Repeated: true}
	want := `{"content":"**firing: down** on box\\_1: a\\_b should run; \\@everyone \\*\\*now\\*\\* \\\u003chttps\\://x\\\u003e (repeated)","allowed_mentions":{"parse":[]}}`
	if diff := cmp.Diff(want, string(a.Discord())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	a.Text = strings.Repeat("é*", 3000)
	var body struct{ Content string }
	if err := json.Unmarshal(a.Discord(), &body); err != nil {
		t.Fatal(err)
	}
	if n := utf8.RuneCountInString(body.Content); n > maxDiscord || !strings.HasSuffix(body.Content, "… (repeated)") {
		t.Errorf("%d characters, ending %q", n, body.Content[len(body.Content)-30:])
	}
}
