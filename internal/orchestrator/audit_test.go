package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/instance"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// lines is a log of JSON lines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// audited are the lines that say who did what, with the named fields.
func (l *lines) audited(t *testing.T, fields ...string) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	found := []map[string]any{}
	for line := range strings.Lines(l.buf.String()) {
		var all map[string]any
		if err := json.Unmarshal([]byte(line), &all); err != nil {
			t.Fatal(err)
		}
		some := map[string]any{}
		for _, f := range fields {
			if v, ok := all[f]; ok {
				some[f] = v
			}
		}
		if _, ok := all["UID"]; ok {
			found = append(found, some)
		}
	}
	return found
}

// deskBench is an orchestrator without a systemd: what needs none is done, and
// a start waits for it.
func deskBench(t *testing.T) (*Orchestrator, *lines) {
	t.Helper()
	dir, log := t.TempDir(), &lines{}
	for _, d := range []string{"data/instances", "data/runtime", "data/overlays", "data/installation", "etc/systemd/system/multi-user.target.wants"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "data/installation/srcds_run"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	logger := zerolog.New(log)
	s, err := store.Open(t.Context(), filepath.Join(dir, "state.db"), logger)
	if err != nil {
		t.Fatal(err)
	}
	o := New(Options{
		Settings: DefaultSettings(), Units: unitctl.New(unitctl.Options{Root: dir}), Store: s,
		Files: instance.New(filepath.Join(dir, "data")), Logs: noLogs{}, Log: logger, BootID: "boot",
	})
	if err := o.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.host.template = "there"
	writing, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	written := make(chan struct{})
	go func() { defer close(written); o.chronicle.loop(writing) }()
	t.Cleanup(func() {
		o.mu.Lock()
		o.closing = true
		for _, r := range o.order {
			r.healing.unset()
		}
		o.mu.Unlock()
		o.stopJobs(errShutdown)
		o.jobs.Wait()
		stop()
		<-written
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return o, log
}

// Whatever is asked for is in the history and in the log with who asked,
// whether it is done or refused.
func TestWhoAskedIsOnRecord(t *testing.T) {
	t.Parallel()
	o, log := deskBench(t)
	ctx := t.Context()
	kim := server.Requester{UID: 1000, User: "kim", Via: server.ViaHTTP}
	alice := server.Requester{UID: 980, User: "left4med-web", Via: server.ViaHTTP, OnBehalfOf: "alice"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fails := func(err error, code server.Code) {
		t.Helper()
		if e := refusalIn(err); e == nil || e.Code != code {
			t.Fatalf("got %v, want %s", err, code)
		}
	}

	made, err := o.Create(ctx, "a", server.ConfigPatch{}, kim)
	must(err)
	_, err = o.WaitJob(ctx, made.ID)
	must(err)
	_, err = o.Create(ctx, "a", server.ConfigPatch{}, alice)
	fails(err, server.CodeNameTaken)
	to := "c2m1_highway"
	_, err = o.Change(ctx, "a", server.ConfigPatch{Map: &to}, alice)
	must(err)
	_, err = o.Change(ctx, "a", server.ConfigPatch{Map: &to}, alice) // changes nothing
	must(err)
	far := uint16(1)
	_, err = o.Change(ctx, "a", server.ConfigPatch{Port: &far}, kim)
	fails(err, server.CodeInvalidRequest)
	started, _, err := o.Request(ctx, server.JobStart, []server.Name{"a"}, kim)
	must(err)
	_, refused, err := o.Request(ctx, server.JobRestart, []server.Name{"a", "b"}, alice)
	must(err)
	slices.SortFunc(refused, func(x, y Refusal) int { return strings.Compare(x.Server, y.Server) })
	fails(refused[0].Err, server.CodeBusy)
	_, err = o.Cancel(ctx, started[0].ID, alice)
	must(err)
	_, err = o.Cancel(ctx, started[0].ID, kim)
	fails(err, server.CodeJobFinished)
	o.Settings.JobsEnabled = false
	_, _, err = o.Request(ctx, server.JobStop, []server.Name{"a"}, kim)
	fails(err, server.CodeJobsDisabled)
	// As the gate reports what it refuses.
	o.RecordRefusal(server.Refusal{By: kim, What: "logs", Server: "a", Err: server.Errorf(server.CodeNotAuthorized, "no")})
	o.FlushRefusals(ctx)

	type entry struct {
		Server, What, To string
		ID, Job          int64
		By               server.Requester
		Code             server.Code
	}
	want := []entry{
		{"a", "initialize", "queued", 1, 1, kim, ""},
		{"a", "initialize", "succeeded", 1, 1, kim, ""},
		{"a", "change", "", 1, 0, alice, ""},
		{"a", "start", "queued", 1, 2, kim, ""},
		{"a", "cancel", "", 1, 2, alice, ""},
		{"a", "start", "canceled", 1, 2, kim, "job-failed"},
		{"a", "initialize", "", 1, 0, alice, "name-taken"},
		{"a", "change", "", 1, 0, kim, "invalid-request"},
		{"b", "restart", "", 0, 0, alice, "server-not-found"},
		{"a", "restart", "", 1, 2, alice, "busy"},
		{"a", "cancel", "", 1, 0, kim, "job-finished"},
		{"a", "stop", "", 1, 0, kim, "jobs-disabled"},
		{"a", "logs", "", 1, 0, kim, "not-authorized"},
	}
	history, err := o.History(ctx, server.HistoryFilter{})
	must(err)
	got := []entry{}
	for _, e := range slices.Backward(history) {
		got = append(got, entry{e.Server, e.What, e.To, e.ServerID, e.Job, *e.By, e.Code})
	}
	// Who canceled is stored beside the canceled job's end, in either order.
	if got[4].What == "start" {
		got[4], got[5] = got[5], got[4]
	}
	sameAs(t, "the history", want, got)

	told := log.audited(t, "level", "SERVER", "VERB", "JOB", "UID", "USER", "ON_BEHALF_OF", "STATE", "CODE", "VIA")
	sameAs(t, "lines in the log", len(want), len(told))
	for _, line := range []map[string]any{
		{"level": "info", "SERVER": "a", "VERB": "start", "STATE": "queued", "JOB": 2.0, "UID": 1000.0, "USER": "kim", "VIA": "http"},
		{"level": "warn", "SERVER": "a", "VERB": "start", "STATE": "canceled", "JOB": 2.0, "UID": 1000.0, "USER": "kim", "VIA": "http", "CODE": "job-failed"},
		{"level": "warn", "SERVER": "b", "VERB": "restart", "UID": 980.0, "USER": "left4med-web", "ON_BEHALF_OF": "alice", "VIA": "http", "CODE": "server-not-found"},
	} {
		if !slices.ContainsFunc(told, func(m map[string]any) bool { return cmp.Equal(m, line) }) {
			t.Errorf("no line in the log says %v", line)
		}
	}
	texts := log.audited(t, "message")
	for _, text := range []string{
		"a: initialize succeeded, job 1 (kim, uid 1000)",
		"a: change (left4med-web, uid 980, for alice): map c1m1_hotel -> c2m1_highway",
		"a: logs refused (kim, uid 1000): no",
	} {
		if !slices.ContainsFunc(texts, func(m map[string]any) bool { return m["message"] == text }) {
			t.Errorf("no line in the log says %q in %v", text, texts)
		}
	}
}

// The daemon's end waits for what was refused last.
func TestRefusalsOutliveTheDaemon(t *testing.T) {
	t.Parallel()
	o, _ := deskBench(t)
	for range 3 * refusalBurst {
		o.RecordRefusal(server.Refusal{By: root(), What: "stop", Err: server.Errorf(server.CodeBusy, "x")})
	}
	o.FlushRefusals(t.Context())
	got, err := o.History(t.Context(), server.HistoryFilter{Limit: 1})
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if want := "and 40 more refusals of uid 0 since "; got[0].ID != refusalBurst+1 || !strings.HasPrefix(got[0].Detail, want) {
		t.Errorf("the last entry is %+v", got[0])
	}
	if time.Since(got[0].At) > time.Minute {
		t.Errorf("its time is %s", got[0].At)
	}
}
