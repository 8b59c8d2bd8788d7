package e2e_test

import (
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
	"github.com/left4med/left4med/test/prometheus"
)

// TestMetrics scrapes a daemon whose servers are in all sorts of states.
func TestMetrics(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.configure(t, "[start]\nsettle = \"0s\"\n")
		l.create(t, "up", "idle", "down", "masked")
		l.dropIn(t, "up", "[Service]\nRestartSec=100ms\n")
		l.MustCtl(t, "start", "up")
		l.logged(t, unit("up"), "VAC secure mode") // it listens now
		l.now(t, "up", "crash")
		l.await(t, "up", "a restart", func(s *client.Server) bool {
			return s.Restarts != nil && *s.Restarts == 1 && s.State == "running"
		})
		l.systemctl(t, "enable", "--quiet", unit("down"), unit("lost"))
		l.systemctl(t, "mask", "--quiet", unit("masked"))
		for name, drift := range map[string]client.Drift{"down": "down", "masked": "masked"} {
			l.await(t, name, "its drift", func(s *client.Server) bool { return s.Drift == drift })
		}
		if l.ctl(t, "start", "masked").Code == 0 {
			t.Error("a masked server was started")
		}
		if a := l.http(t, "POST", "/v1/resync", ""); a.status != 204 {
			t.Fatalf("the resync: %d %s", a.status, a.body)
		}

		text := string(l.http(t, "GET", "/metrics", "").body)
		got := samples(t, text)
		want := map[string]float64{
			`left4med_servers`: 4, `left4med_orphans`: 1, `left4med_systemd_connected`: 1, `left4med_resync_interval_seconds`: 30,
			`left4med_server_state{server="up",state="running"}`:                        1,
			`left4med_server_state{server="idle",state="stopped"}`:                      1,
			`left4med_server_state{server="down",state="stopped"}`:                      1,
			`left4med_server_state{server="masked",state="stopped"}`:                    1,
			`left4med_server_drift{drift="down",server="down"}`:                         1,
			`left4med_server_drift{drift="masked",server="masked"}`:                     1,
			`left4med_server_desired_running{server="up"}`:                              1,
			`left4med_server_desired_running{server="down"}`:                            1,
			`left4med_server_restarts_total{server="up"}`:                               1,
			`left4med_jobs_total{kind="initialize",result="succeeded"}`:                 4,
			`left4med_jobs_total{kind="start",result="succeeded"}`:                      1,
			`left4med_jobs_total{kind="start",result="failed"}`:                         1,
			`left4med_job_duration_seconds_count{kind="start"}`:                         2,
			`left4med_job_duration_seconds_count{kind="initialize"}`:                    4,
			`left4med_http_requests_total{code="204",method="POST",route="/v1/resync"}`: 1,
		}
		settled := maps.Clone(got)
		maps.DeleteFunc(settled, func(series string, value float64) bool {
			return value == 0 || !fixed.MatchString(series)
		})
		same(t, "what is scraped", want, settled)
		for _, series := range []string{
			`left4med_server_start_time_seconds{server="up"}`, `left4med_server_observation_age_seconds{server="up"}`,
			`left4med_signal_to_state_seconds_count`, `left4med_resync_duration_seconds_count`,
			`left4med_resync_last_success_timestamp_seconds`, `left4med_database_size_bytes`,
			// What the library reads of the process itself, below /proc, in the daemon's sandbox.
			`process_cpu_seconds_total`, `process_open_fds`, `process_resident_memory_bytes`, `process_start_time_seconds`, `go_goroutines`,
		} {
			if got[series] <= 0 {
				t.Errorf("%s is %v", series, got[series])
			}
		}
		each := got["left4med_signal_to_state_seconds_sum"] / got["left4med_signal_to_state_seconds_count"]
		t.Logf("from systemd's word to the state shown: %.2f ms, %v times", each*1e3, got["left4med_signal_to_state_seconds_count"])

		bare := l.shell(t, "runuser -u nobody -- curl -sS --unix-socket /run/left4med/left4med.sock http://left4med/metrics")
		for _, kept := range []string{"left4med_jobs", "left4med_job_", "left4med_http_", "_players"} {
			if strings.Contains(bare, kept) {
				t.Errorf("nobody sees %s", kept)
			}
		}
		contains(t, bare, `left4med_server_state{server="up",state="running"} 1`)

		exported := l.exported(t)
		contains(t, exported, `left4med_server_state{server="up",state="running"} 1`, `left4med_jobs_total{kind="start",result="failed"} 1`)
		for what, scrape := range map[string]string{"root's scrape": text, "nobody's scrape": bare, "the exported file": exported} {
			if said := prometheus.Promtool(t, scrape, "check", "metrics"); said != "" {
				t.Errorf("promtool about %s:\n%s", what, said)
			}
		}

		l.MustCtl(t, "delete", "--yes", "up")
		if after := string(l.http(t, "GET", "/metrics", "").body); strings.Contains(after, `server="up"`) {
			t.Error("a deleted server has series")
		}
	})
}

// fixed are the series that this test decides about.
var fixed = regexp.MustCompile(`^left4med_(servers|orphans|systemd_connected|resync_interval_seconds|` +
	`server_(state|drift|stale|desired_running|restarts_total|healing_gave_up|reachable|players)|jobs_.*|job_duration_seconds_count|healing_attempts_total|` +
	`http_requests_total.*resync)`)

// samples are the values of a scrape in the text format, by series.
func samples(t *testing.T, text string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		cut := strings.LastIndex(line, " ")
		value, err := strconv.ParseFloat(line[cut+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[line[:cut]] = value
	}
	return all
}

var unitInGuide = regexp.MustCompile("(?s)```ini\n# (/etc/systemd/system/left4med-metrics[^\n]+)\n(.*?)```")

// exported does what the guide says with Prometheus' exporter, and returns what
// that would read; then it is done without a daemon.
func (l *lab) exported(t *testing.T) string {
	t.Helper()
	const dir, timer, service = "/var/lib/prometheus/node-exporter", "left4med-metrics.timer", "left4med-metrics.service"
	guide, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	units := unitInGuide.FindAllStringSubmatch(string(guide), -1)
	if len(units) != 2 {
		t.Fatalf("the guide shows %d units, want 2", len(units))
	}
	for _, u := range units {
		l.write(t, u[1], u[2])
	}
	l.shell(t, "mkdir -p "+dir+"; systemctl daemon-reload; systemd-analyze verify "+service+" "+timer)
	l.systemctl(t, "enable", "--quiet", "--now", timer)
	l.systemctl(t, "start", service)
	file := l.shell(t, "cd "+dir+"; ls; cat left4med.prom")
	names, text, _ := strings.Cut(file, "\n")
	same(t, "what lies there", "left4med.prom", names)

	l.systemctl(t, "disable", "--quiet", "--now", timer)
	l.systemctl(t, "stop", "left4med.socket", "left4med.service")
	if out, err := l.Command(t.Context(), "systemctl", "start", service).CombinedOutput(); err == nil {
		t.Errorf("what is not there was scraped: %s", out)
	}
	same(t, "what is left without a daemon", "", l.shell(t, "ls "+dir))
	l.systemctl(t, "start", "left4med.socket", "left4med.service")
	return text
}
