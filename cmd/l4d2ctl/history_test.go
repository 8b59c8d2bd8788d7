package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	kim := &client.Requester{UID: 1000, User: "kim", Via: "http"}
	f.mux.HandleFunc("GET /v1/history", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"history": []client.HistoryEntry{
			{ID: 14, At: noon, Kind: "drift", Server: "a", What: "drift", From: "none", To: "down", SeenBy: "signal"},
			{ID: 13, At: noon, Kind: client.HistoryRefusal, By: kim, Detail: "and 9980 more"},
			{ID: 12, At: noon, Kind: client.HistoryRefusal, Server: "b", What: "stop", Job: 3, Code: client.CodeBusy, Detail: "\x1b[2Jbusy",
				By: &client.Requester{UID: 7, User: "left4med-web", Via: "http", OnBehalfOf: "alice"}},
			{ID: 11, At: noon, Kind: client.HistoryChange, Server: "a", What: "change", Detail: "cvars", By: kim},
			{ID: 10, At: noon, Kind: client.HistoryJob, Server: "a", What: "start", From: "running", To: "failed", Job: 17, By: kim, Detail: "it died"},
			{ID: 9, At: noon, Kind: client.HistoryJob, Server: "a", What: "start", To: "queued", Job: 17, By: &client.Requester{UID: 1000, Via: "http"}},
		}})
	})
	const at = "\t2026-05-01T12:00:00Z\t"
	want := result{0, "ID\tTIME\tSERVER\tBY\tWHAT\n" +
		"9" + at + "a\tuid 1000\tstart asked for, job 17\n" +
		"10" + at + "a\tkim\tstart failed, job 17: it died\n" +
		"11" + at + "a\tkim\tchange: cvars\n" +
		"12" + at + "b\talice through left4med-web\tstop refused: \\x1b[2Jbusy\n" +
		"13" + at + "-\tkim\trequests refused: and 9980 more\n" +
		"14" + at + "a\t-\tdrift: none -> down\n", ""}
	if diff := cmp.Diff(want, f.l4d2ctl("history", "a", "-n", "7", "--before", "15")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET /v1/history?before=15&limit=7&server=a"}, f.requests()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	var doc struct{ History []client.HistoryEntry }
	if err := json.Unmarshal([]byte(f.l4d2ctl("history", "--json").Stdout), &doc); err != nil || len(doc.History) != 6 || doc.History[0].ID != 9 {
		t.Errorf("%v %+v", err, doc)
	}
}
