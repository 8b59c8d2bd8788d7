package main

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

func TestDoctorTestsAlerts(t *testing.T) {
	t.Parallel()
	ops := client.AlertResult{Rule: "ops", Target: "webhook", OK: true, Status: 204}
	hook := client.AlertResult{Rule: "ops", Target: "notify-me@_test.service", OK: true}
	bad := client.AlertResult{Rule: "night", Target: "webhook", Status: 500, Fault: "status", Detail: "the webhook answered 500\x1b"}
	for name, c := range map[string]struct {
		results []client.AlertResult
		args    []string
		want    result
	}{
		"all well": {[]client.AlertResult{ops, hook}, nil, result{0,
			"✓ ops, webhook: delivered, it answered 204\n✓ ops, notify-me@_test.service: delivered\n\nAll tests are delivered.\n", ""}},
		"one failed": {[]client.AlertResult{ops, bad}, nil, result{1,
			"✓ ops, webhook: delivered, it answered 204\n✗ night, webhook: the webhook answered 500\\x1b\n\nOne test was not delivered.\n", ""}},
		"two failed": {[]client.AlertResult{bad, bad}, nil, result{1,
			"✗ night, webhook: the webhook answered 500\\x1b\n✗ night, webhook: the webhook answered 500\\x1b\n\n2 tests were not delivered.\n", ""}},
		"no rules": {[]client.AlertResult{}, nil, result{1, "The settings have no alerts; [[alerts]] in /etc/left4me/left4med.toml makes some.\n", ""}},
		"json": {[]client.AlertResult{ops}, []string{"--json"}, result{0,
			`{"targets":[{"rule":"ops","target":"webhook","ok":true,"status":204}]}` + "\n", ""}},
	} {
		f := newFake(t)
		f.mux.HandleFunc("POST /v1/alerts/test", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, 200, map[string]any{"targets": c.results})
		})
		if diff := cmp.Diff(c.want, f.l4d2ctl(append([]string{"doctor", "--alerts"}, c.args...)...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
