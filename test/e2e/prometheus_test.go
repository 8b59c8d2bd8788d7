package e2e_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/test/machine"
	"github.com/left4med/left4med/test/prometheus"
)

// TestPrometheus has Debian's Prometheus scrape the web frontend as an operator
// would set it up: over HTTP, with the token.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	program, err := prometheus.Find("prometheus")
	if err != nil {
		t.Fatal(err)
	}
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.create(t, "up", "idle")
		l.MustCtl(t, "start", "up")

		const page, token = "http://127.0.0.1:8000/metrics", "scrape-0123456789abcdef"
		status := func(args ...string) string {
			return l.MustRun(t, "curl", append([]string{"--silent", "--output", "/dev/null", "--write-out", "%{http_code}", page}, args...)...)
		}
		l.webStart(t)
		same(t, "as it is shipped", "404", status())
		l.write(t, "/etc/left4me/web.toml", "[metrics]\ntoken = \""+token+"\"\n")
		l.MustRun(t, "systemctl", "restart", "left4med-web.service")
		same(t, "without the token", "401", status())
		same(t, "with another", "401", status("--header", "Authorization: Bearer scrape-0123456789abcdeF"))

		if err := l.CopyIn(t.Context(), program, "/usr/local/bin/prometheus"); err != nil {
			t.Fatal(err)
		}
		l.write(t, "/etc/prometheus.yml", `
scrape_configs:
  - job_name: left4med
    scrape_interval: 1s
    authorization: {credentials: `+token+`}
    static_configs: [{targets: ["127.0.0.1:8000"]}]
`)
		l.MustRun(t, "systemd-run", "--quiet", "--unit=prometheus", "--property=DynamicUser=yes", "--property=StateDirectory=prometheus",
			"/usr/local/bin/prometheus", "--config.file=/etc/prometheus.yml", "--storage.tsdb.path=/var/lib/prometheus",
			"--web.listen-address=127.0.0.1:9090")
		for query, want := range map[string]string{
			`up{job="left4med"}`: "1",
			`left4med_servers`:   "2",
			`left4med_server_state{server="up",state="running"}`:   "1",
			`left4med_server_state{server="idle",state="stopped"}`: "1",
			`left4med_web_link_up`:                                 "1",
		} {
			l.scraped(t, query, want)
		}
	})
}

// scraped waits until Prometheus answers a query with one series of this value.
// It tells nobody when it has scraped, so it is asked again.
func (l *lab) scraped(t *testing.T, query, want string) {
	t.Helper()
	ctx := within(t, "Prometheus has "+query)
	for {
		text, err := l.Output(ctx, "curl", "--silent", "http://127.0.0.1:9090/api/v1/query?query="+url.QueryEscape(query))
		var answer struct {
			Data struct {
				Result []struct {
					Value [2]any `json:"value"`
				} `json:"result"`
			} `json:"data"`
		}
		if err == nil && json.Unmarshal([]byte(text), &answer) == nil && len(answer.Data.Result) == 1 && answer.Data.Result[0].Value[1] == want {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("Prometheus answers %s with %s; want %s. It says:\n%s", query, strings.TrimSpace(text), want,
				l.MustRun(t, "journalctl", "--no-pager", "--unit=prometheus", "--lines=20"))
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// webStart starts the web frontend, which machines of the tests have switched off.
func (l *lab) webStart(t *testing.T) {
	t.Helper()
	if err := l.WebStart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
