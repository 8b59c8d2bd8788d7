package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestAvailability(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	want := `{"server":"alpha","days":1,"from":"2024-04-30T12:00:00Z","to":"2024-05-01T12:00:00Z","wanted_seconds":86400,"up_seconds":86400,"unknown_seconds":0,"ratio":1,` +
		`"spans":[{"from":"2024-04-30T12:00:00Z","to":"2024-05-01T12:00:00Z","state":"up","wanted":true}]}` + "\n"
	if diff := cmp.Diff(want, f.do(operator, "GET", "/v1/servers/alpha/availability?days=1", "").Body); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := into[server.Availability](t, f.do(operator, "GET", "/v1/servers/alpha/availability", "")); got.Days != 7 {
		t.Errorf("without a number: %d days", got.Days)
	}
	for path, status := range map[string]int{
		"alpha/availability?days=0": 400, "alpha/availability?days=91": 400, "alpha/availability?days=x": 400, "none/availability": 404,
		"alpha/series?hours=0": 400, "alpha/series?hours=9601": 400, "none/series": 404,
	} {
		if got := f.do(operator, "GET", "/v1/servers/"+path, ""); got.Status != status {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		} else if status == 400 && !strings.Contains(got.Body, `"field":"`+map[bool]string{true: "days", false: "hours"}[strings.Contains(path, "days")]) {
			t.Errorf("%s: the field is not named: %s", path, got.Body)
		}
	}
}

func TestSeries(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	got := f.do(operator, "GET", "/v1/servers/alpha/series?hours=1", "").Body
	for _, want := range []string{
		`{"server":"alpha","from":"2024-05-01T11:00:00Z","to":"2024-05-01T12:00:00Z","step_seconds":60,"at":[1714561200,1714561260,`,
		`"memory_bytes":[` + strings.Repeat("null,", 59) + `1073741824],`,
		`"cpu_percent":[` + strings.Repeat("null,", 58) + `12.35,null],`,
		`"players":[` + strings.Repeat("null,", 59) + `null],`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	day := into[server.Series](t, f.do(operator, "GET", "/v1/servers/alpha/series", ""))
	if len(day.At) != 24*60 || day.StepSeconds != 60 {
		t.Errorf("a day is %d times %d s", len(day.At), day.StepSeconds)
	}
}
