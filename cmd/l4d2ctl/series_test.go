package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// remembers answers with what coop-1 was over time: up for all but 12 minutes, of
// which the daemon missed a day three days ago; memory that rises, a processor of
// which nothing is known in the first half, and no players.
func (f *fake) remembers() {
	f.mux.HandleFunc("GET /v1/servers/coop-1/availability", func(w http.ResponseWriter, r *http.Request) {
		days, _ := strconv.Atoi(r.FormValue("days"))
		a := client.Availability{Server: "coop-1", Days: days, From: noon.AddDate(0, 0, -days), To: noon}
		a.Wanted = a.To.Sub(a.From).Seconds()
		switch days {
		case 30:
			a.Unknown = a.Wanted
			a.Wanted = 0
		case 7:
			a.Unknown = 24 * 3600
			a.Wanted -= a.Unknown
			fallthrough
		default:
			a.Up = a.Wanted - 12*60
			ratio := a.Up / a.Wanted
			a.Ratio = &ratio
		}
		writeJSON(w, 200, a)
	})
	f.mux.HandleFunc("GET /v1/servers/coop-1/series", func(w http.ResponseWriter, r *http.Request) {
		hours, _ := strconv.Atoi(r.FormValue("hours"))
		s := client.Series{Server: "coop-1", From: noon.Add(-time.Duration(hours) * time.Hour), To: noon, StepSeconds: 60}
		for i := range 48 {
			memory := int64(i+1) << 20
			percent := 50.0
			s.At = append(s.At, s.From.Unix()+int64(i)*60)
			s.Memory = append(s.Memory, &memory)
			if s.CPU = append(s.CPU, nil); i >= 24 {
				s.CPU[i] = &percent
			}
			s.Players = append(s.Players, nil)
		}
		writeJSON(w, 200, s)
	})
}

func TestShowSeries(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.remembers()
	want := result{0, `name         coop-1
availability 99.16 % of 24 hours, 12m down
             99.86 % of 7 days, 12m down, 24h unknown
             unknown over 30 days
memory       1.0 MiB to 48 MiB, mean 24 MiB, over 24h
cpu          50 % to 50 %, mean 50 %, over 24h
`, ""}
	if diff := cmp.Diff(want, f.l4d2ctl("show", "coop-1", "--series")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := f.l4d2ctl("show", "coop-1"); got.Code != 0 || !strings.Contains(got.Stdout, "availability 99.16 % of 24 hours, 12m down\n") {
		t.Errorf("show: %+v", got)
	}
	for _, env := range []map[string]string{{"LANG": "C"}, {"LC_ALL": "C.UTF-8", "TERM": "dumb"}, {"LANG": "C.UTF-8", "LC_ALL": "POSIX"}, {}} {
		if _, got := f.terminal("", env, "show", "coop-1", "--series"); strings.Contains(got, "█") {
			t.Errorf("%v: drawn: %s", env, got)
		}
	}
	_, got := f.terminal("", map[string]string{"LANG": "de_DE.utf8", "NO_COLOR": "1"}, "show", "coop-1", "--series", "--hours", "168")
	for _, line := range []string{
		"memory       ▁▁▁▂▂▂▃▃▃▄▄▄▅▅▅▆▆▆▇▇▇███ 1.0 MiB to 48 MiB, mean 24 MiB, over 7d\n",
		"cpu                      ████████████ 50 % to 50 %, mean 50 %, over 7d\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
	for _, args := range [][]string{{"--hours", "0"}, {"--hours", "9601"}, {"--series", "--backups"}} {
		if got := f.l4d2ctl(append([]string{"show", "coop-1"}, args...)...); got.Code != exitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestShowSeriesJSON(t *testing.T) {
	t.Parallel()
	f := newFake(t, two()...)
	f.remembers()
	got := f.l4d2ctl("show", "coop-1", "--series", "--json", "--hours", "2")
	var doc past
	if err := json.Unmarshal([]byte(got.Stdout), &doc); err != nil || got.Code != 0 {
		t.Fatalf("%+v: %v", got, err)
	}
	if len(doc.Availability) != 3 || doc.Availability[2].Days != 30 || len(doc.Series.Memory) != 48 || doc.Series.CPU[0] != nil {
		t.Errorf("%+v", doc)
	}
	if diff := cmp.Diff([]string{
		"GET /v1/servers/coop-1/availability?days=1", "GET /v1/servers/coop-1/availability?days=7", "GET /v1/servers/coop-1/availability?days=30",
		"GET /v1/servers/coop-1/series?hours=2",
	}, f.requests()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if got := f.l4d2ctl("show", "versus-1", "--series"); got.Code == 0 {
		t.Errorf("of a server that nothing is known of: %+v", got)
	}
}

// TestShowOfAYoungServer does not speak of days in which it was not there, and in
// its first minute only when asked.
func TestShowOfAYoungServer(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]string{
		50 * time.Hour: `availability 90 % of 24 hours, 10s down
             90 % of the 2d since it was created, 10s down
`,
		59 * time.Second: `availability 90 % of the 59s since it was created, 10s down
`,
	} {
		t.Run(age.String(), func(t *testing.T) {
			t.Parallel()
			showsYoung(t, age, want)
		})
	}
}

func showsYoung(t *testing.T, age time.Duration, availability string) {
	f := newFake(t, two()...)
	f.mux.HandleFunc("GET /v1/servers/coop-1/series", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, client.Series{Server: "coop-1", From: noon.Add(-24 * time.Hour), To: noon, StepSeconds: 60})
	})
	f.mux.HandleFunc("GET /v1/servers/coop-1/availability", func(w http.ResponseWriter, r *http.Request) {
		days, _ := strconv.Atoi(r.FormValue("days"))
		ratio := 0.9
		from := noon.Add(-min(age, time.Duration(days)*24*time.Hour))
		writeJSON(w, 200, client.Availability{Server: "coop-1", Days: days, From: from, To: noon, Wanted: 100, Up: 90, Ratio: &ratio})
	})
	want := result{0, "name         coop-1\n" + availability, ""}
	if diff := cmp.Diff(want, f.l4d2ctl("show", "coop-1", "--series")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if whole := f.l4d2ctl("show", "coop-1"); whole.Code != 0 || strings.Contains(whole.Stdout, "availability") != (age >= time.Minute) {
		t.Errorf("show of a server of %s:\n%s", age, whole.Stdout)
	}
}
