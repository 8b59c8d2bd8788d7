package api_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/journal"
	"github.com/left4med/left4med/internal/quota"
)

func TestLogs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	f.logs.lines <- journal.Entry{At: past, Priority: 6, PID: 7, Message: "plain", Cursor: "s=1"}
	f.logs.lines <- journal.Entry{At: past, Priority: 3, Message: `\x1b[31mred`, InvocationID: "ab"}
	close(f.logs.lines)
	got := f.do(operator, "GET", "/v1/servers/alpha/logs?lines=20&since=1h", "")
	want := `{"at":"2024-05-01T12:00:00Z","priority":6,"message":"plain","pid":7,"cursor":"s=1"}` + "\n" +
		`{"at":"2024-05-01T12:00:00Z","priority":3,"message":"\\x1b[31mred","invocation_id":"ab","cursor":""}` + "\n"
	if got.Body != want || got.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("got %+v", got)
	}
	query := journal.Query{Unit: "left4me-server@alpha.service", Lines: 20, Since: past.Add(-time.Hour)}
	if diff := cmp.Diff(query, f.logs.query); diff != "" {
		t.Error(diff)
	}
	<-f.logs.closed

	got = f.do(operator, "GET", "/v1/servers/alpha/logs?since=2024-05-01T10:00:00%2b02:00", "")
	if diff := cmp.Diff(journal.Query{Unit: "left4me-server@alpha.service", Lines: 100, Since: past.Add(-4 * time.Hour)}, f.logs.query); diff != "" || got.Body != "" {
		t.Errorf("%q\n%s", got.Body, diff)
	}
}

func TestLogThatBreaks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	f.logs.err = errors.New("journalctl died")
	f.logs.lines <- journal.Entry{At: past, Message: "first"}
	close(f.logs.lines)
	res, err := f.client(root).Do(f.request(t.Context(), "GET", "/v1/servers/alpha/logs", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil || !strings.Contains(string(body), "first") {
		t.Errorf("a log that broke looks whole: %q, %v", body, err)
	}
	if got := f.do(root, "GET", "/v1/servers/alpha/logs", ""); got.Status != 500 || strings.Contains(got.Body, "journalctl died") {
		t.Errorf("a log that broke at once: %+v", got)
	}
	r := f.watch(t, root, "/v1/servers/alpha/logs?follow=1")
	if got := r.next(); !strings.HasPrefix(got, "event: failed\ndata: {") || !strings.Contains(got, `"code":"internal"`) {
		t.Errorf("a followed log that broke: %q", got)
	}
	r.want("")
}

func TestFollow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{})
	r := f.watch(t, operator, "/v1/servers/alpha/logs?follow=true&lines=0")
	f.tick <- past
	r.want(": alive")
	f.logs.lines <- journal.Entry{At: past, Message: "new"}
	r.want("event: log\ndata: " + `{"at":"2024-05-01T12:00:00Z","priority":0,"message":"new","cursor":""}`)
	if diff := cmp.Diff(journal.Query{Unit: "left4me-server@alpha.service", Lines: -1, Follow: true}, f.logs.query); diff != "" {
		t.Error(diff)
	}
	r.res.Body.Close()
	<-f.logs.closed
}

func TestFollowersAreLimited(t *testing.T) {
	t.Parallel()
	f := newFixture(t, settings{followers: quota.Limit{Total: 2, PerUID: 1}})
	const path = "/v1/servers/alpha/logs?follow=1"
	r := f.watch(t, operator, path)
	if got := f.do(operator, "GET", path, ""); got.Status != 429 {
		t.Errorf("got %+v", got)
	}
	f.watch(t, web, path)
	f.watch(t, root, path)
	r.res.Body.Close()
	<-f.logs.closed
}
