package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/test/prometheus"
)

const (
	rules     = "../../deploy/prometheus/left4med.rules.yml"
	dashboard = "../../deploy/grafana/left4med.json"
)

// TestPromtoolIsContent with all that there is to scrape, as it is put together
// here, and with the rules.
func TestPromtoolIsContent(t *testing.T) {
	t.Parallel()
	m := newMetrics(example())
	happen(m)
	for what, inspect := range map[string]bool{"a bare scrape": false, "a whole scrape": true} {
		text := scrape(t, m, inspect, "").Body.String()
		if said := prometheus.Promtool(t, text, "check", "metrics"); said != "" {
			t.Errorf("%s:\n%s", what, said)
		}
	}
	text := read(t, rules)
	number := strings.Count(text, "- alert:") + strings.Count(text, "- record:")
	want := fmt.Sprintf("Checking %s\n  SUCCESS: %d rules found\n\n", rules, number) // it always says that much
	if diff := cmp.Diff(want, prometheus.Promtool(t, "", "check", "rules", "--lint-fatal", rules)); diff != "" {
		t.Errorf("the rules (-want +got):\n%s", diff)
	}
}

// TestRules has promtool play some hours to the rules.
func TestRules(t *testing.T) {
	t.Parallel()
	said := prometheus.Promtool(t, "", "test", "rules", "testdata/rules.yml")
	if want := "Unit Testing:  testdata/rules.yml\n  SUCCESS\n\n"; said != want {
		t.Errorf("promtool says:\n%s", said)
	}
	tests := read(t, "testdata/rules.yml")
	for _, alert := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, rules), -1) {
		if !strings.Contains(tests, "alertname: "+alert[1]) {
			t.Errorf("no test looks at %s", alert[1])
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var named = regexp.MustCompile(`\bleft4med_[a-z0-9_]+`)

// TestOnlyWhatThereIs: rules and dashboard ask for nothing that left4med does not
// tell.
func TestOnlyWhatThereIs(t *testing.T) {
	t.Parallel()
	m := newMetrics(example())
	happen(m)
	there := names(scrape(t, m, true, "").Body.String())
	for _, recorded := range regexp.MustCompile(`- record: (\S+)`).FindAllStringSubmatch(read(t, rules), -1) {
		for _, name := range named.FindAllString(recorded[1], -1) {
			there[name] = "recorded"
		}
	}
	for name, kind := range there {
		if kind == "histogram" {
			there[name+"_bucket"], there[name+"_sum"], there[name+"_count"] = "part", "part", "part"
		}
	}
	for _, file := range []string{rules, dashboard, "testdata/rules.yml"} {
		asked := named.FindAllString(read(t, file), -1)
		if len(asked) == 0 {
			t.Errorf("%s asks for nothing", file)
		}
		for _, name := range asked {
			if there[name] == "" {
				t.Errorf("%s asks for %s, which there is not", file, name)
			}
		}
	}
}

// panel is what the tests look at of a dashboard's panels.
type panel struct {
	ID         int
	Type       string
	Title      string
	GridPos    struct{ H, W, X, Y int }
	Datasource *datasource
	Targets    []struct {
		Expr, RefID string
		Datasource  *datasource
	}
}

type datasource struct{ Type, UID string }

// TestDashboard: it can be imported anywhere, and its panels stand beside one
// another.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var d struct {
		ID            *int
		UID, Title    string
		SchemaVersion int
		Panels        []panel
		Templating    struct {
			List []struct{ Name, Type string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, dashboard)), &d); err != nil {
		t.Fatal(err)
	}
	if d.ID != nil || d.UID != "left4med" || d.Title == "" || d.SchemaVersion < 38 { // Grafana 10
		t.Errorf("it is %v %s %q, schema %d", d.ID, d.UID, d.Title, d.SchemaVersion)
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name+" "+v.Type)
	}
	if diff := cmp.Diff([]string{"datasource datasource", "instance query", "server query"}, variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q: its id is taken, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" || at[0] > 23 {
					t.Fatalf("%q stands at %v, where %q is", p.Title, at, other)
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		want := &datasource{"prometheus", "${datasource}"}
		if diff := cmp.Diff(want, p.Datasource); diff != "" || len(p.Targets) == 0 {
			t.Errorf("%q: its source of data, of %d targets: %s", p.Title, len(p.Targets), diff)
		}
		for _, q := range p.Targets {
			if !strings.Contains(q.Expr, `instance=~"$instance"`) || q.RefID == "" || !cmp.Equal(q.Datasource, want) {
				t.Errorf("%q: %+v", p.Title, q)
			}
		}
	}
}
