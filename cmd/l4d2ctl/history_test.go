package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	kim := &client.Requester{UID: 1000, User: "kim", Via: "http"}
	f.mux.HandleFunc("GET /v1/history", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"history": []client.HistoryEntry{
			{ID: 19, At: noon, Kind: "alert", What: "alert", To: "given-up", Detail: "rule a, target b"},
			{ID: 18, At: noon, Kind: "state", Server: "a", What: "state", From: "running", To: "running", SeenBy: "resync", Since: noon.Add(-time.Hour)},
			{ID: 17, At: noon, Kind: "healing", Server: "a", What: "heal", To: "scheduled", Detail: "attempt 1 of 5, in 10 s"},
			{ID: 16, At: noon, Kind: "state", Server: "a", What: "state", From: "running", To: "failed", SeenBy: "resync", Since: noon.Add(-time.Millisecond), Detail: "result oom-kill"},
			{ID: 15, At: noon, Kind: "desired", Server: "a", What: "enable", From: "stopped", To: "running", SeenBy: "job", Job: 17, By: kim},
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
	want := result{0, "ID\tTIME\tSERVER\tKIND\tBY\tSEEN\tWHAT\n" +
		"9" + at + "a\tjob\tuid 1000\t-\tstart asked for, job 17\n" +
		"10" + at + "a\tjob\tkim\t-\tstart failed, job 17: it died\n" +
		"11" + at + "a\tchange\tkim\t-\tchange: cvars\n" +
		"12" + at + "b\trefusal\talice through left4med-web\t-\tstop refused: \\x1b[2Jbusy\n" +
		"13" + at + "-\trefusal\tkim\t-\trequests refused: and 9980 more\n" +
		"14" + at + "a\tdrift\t-\tsignal\tdrift: none -> down\n" +
		"15" + at + "a\tdesired\tkim\tjob\tenabled, job 17\n" +
		"16" + at + "a\tstate\t-\tresync\trunning -> failed: result oom-kill\n" +
		"17" + at + "a\thealing\t-\t-\thealing scheduled: attempt 1 of 5, in 10 s\n" +
		"18" + at + "a\tstate\t-\tresync\trunning -> running, since 2026-05-01T11:00:00Z\n" +
		"19" + at + "-\talert\t-\t-\talert given-up: rule a, target b\n", ""}
	if diff := cmp.Diff(want, f.l4d2ctl("history", "a", "-n", "10", "--before", "20")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET /v1/history?before=20&limit=10&server=a"}, f.requests()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	var doc struct{ History []client.HistoryEntry }
	if err := json.Unmarshal([]byte(f.l4d2ctl("history", "--json").Stdout), &doc); err != nil || len(doc.History) != 11 || doc.History[0].ID != 9 {
		t.Errorf("%v %+v", err, doc)
	}
}

func TestHistoryIsFiltered(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mux.HandleFunc("GET /v1/history", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"history": []client.HistoryEntry{}})
	})
	want := result{0, "", "There is no such history.\n"}
	for _, args := range [][]string{
		{"history", "a", "--kind", "state,drift", "--kind", "healing", "--kind", "alert", "--since", "90m", "-n", "5"},
		{"history", "--since", "2026-05-01T10:00:00Z"}, // all of it, a page at a time
	} {
		if diff := cmp.Diff(want, f.l4d2ctl(args...)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", args, diff)
		}
	}
	asked := []string{
		"GET /v1/history?kind=state%2Cdrift%2Chealing%2Calert&limit=5&server=a&since=2026-05-01T10%3A30%3A00Z",
		"GET /v1/history?limit=1000&since=2026-05-01T10%3A00%3A00Z",
	}
	if diff := cmp.Diff(asked, f.requests()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	for _, args := range [][]string{{"history", "--kind", "weather"}, {"history", "--since", "soon"}} {
		if got := f.l4d2ctl(args...); got.Code != exitUsage {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
