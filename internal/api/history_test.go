package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	if got := f.do(root, "GET", "/v1/history", ""); got.Body != `{"history":[]}`+"\n" {
		t.Errorf("got %q", got.Body)
	}
	f.backend.history = []server.HistoryEntry{
		{ID: 9, At: past.Add(time.Second), Server: "alpha", Kind: server.HistoryRefusal, What: "stop", Job: 7,
			By: &server.Requester{UID: 0, Via: server.ViaDBus}, Code: server.CodeBusy, Detail: "why"},
		{ID: 8, At: past, Server: "alpha", ServerID: 1, Kind: server.HistoryJob, What: "start", To: "queued", Job: 17,
			By: &server.Requester{UID: 1000, User: "kim", Via: server.ViaHTTP, OnBehalfOf: "alice"}},
		{ID: 7, At: past, Server: "alpha", ServerID: 1, Kind: "state", What: "state", From: "running", To: "failed", SeenBy: "signal"},
	}
	want := `{"history":[` +
		`{"id":9,"at":"2024-05-01T12:00:01Z","server":"alpha","kind":"refusal","what":"stop","job":7,"by":{"uid":0,"via":"dbus"},"code":"busy","detail":"why"},` +
		`{"id":8,"at":"2024-05-01T12:00:00Z","server":"alpha","server_id":1,"kind":"job","what":"start","to":"queued","job":17,"by":{"uid":1000,"user":"kim","via":"http","on_behalf_of":"alice"}},` +
		`{"id":7,"at":"2024-05-01T12:00:00Z","server":"alpha","server_id":1,"kind":"state","what":"state","from":"running","to":"failed","seen_by":"signal"}]}` + "\n"
	got := f.do(operator, "GET", "/v1/history?server=alpha&kind=job,state,alert,orphan,refusal,change,desired,drift,healing&since=2024-05-01T14:00:00.5%2B02:00&limit=5&before=10", "")
	if diff := cmp.Diff(want, got.Body); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	filter := server.HistoryFilter{
		Server: "alpha", Kinds: []server.HistoryKind{
			server.HistoryJob, server.HistoryState, server.HistoryAlert, server.HistoryOrphan, server.HistoryRefusal,
			server.HistoryChange, server.HistoryDesired, server.HistoryDrift, server.HistoryHealing,
		},
		Since: past.Add(time.Second / 2), Limit: 5, Before: 10,
	}
	if diff := cmp.Diff(filter, f.backend.asked); diff != "" {
		t.Error(diff)
	}
	for _, query := range []string{"kind=weather", "kind=job,weather", "since=yesterday"} {
		if got := f.do(operator, "GET", "/v1/history?"+query, ""); got.Status != 400 || !strings.Contains(got.Body, `"invalid-request"`) {
			t.Errorf("%s: %d %s", query, got.Status, got.Body)
		}
	}
}
