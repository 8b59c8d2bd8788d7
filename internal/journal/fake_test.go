package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/left4med/left4med/internal/server"
)

// fake is a reader whose journalctl is a script, for the faults that the real
// one cannot be made to show.
func fake(t *testing.T, script string) *Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journalctl")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return New("/bin/sh", path)
}

func open(t *testing.T, r *Reader, q Query) *Stream {
	t.Helper()
	q.Unit = "a.service"
	s, err := r.Open(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func all(t *testing.T, s *Stream) ([]Entry, error) {
	t.Helper()
	var entries []Entry
	for {
		e, err := s.Next(t.Context())
		if err != nil {
			return entries, err
		}
		entries = append(entries, e)
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	r := fake(t, `cat <<'E'
{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000123456","MESSAGE":"hello","PRIORITY":"3","_PID":"42","_SYSTEMD_INVOCATION_ID":"0123456789abcdef0123456789abcdef","INVOCATION_ID":"forged"}
{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1700000000000001","MESSAGE":[27,91,51,255,65],"_PID":"1","INVOCATION_ID":"00000000000000000000000000000000"}
{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":null,"PRIORITY":"99"}
{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":["one",[255],null]}
E`)
	got, err := all(t, open(t, r, Query{}))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	want := []Entry{
		{At: time.UnixMicro(1700000000123456).UTC(), Priority: 3, Message: "hello", PID: 42, InvocationID: "0123456789abcdef0123456789abcdef", Cursor: "s=1;i=2"},
		{At: time.UnixMicro(1700000000000001).UTC(), Priority: 6, Message: `\x1b[3\xffA`, PID: 1, InvocationID: "00000000000000000000000000000000", Cursor: "c"},
		{At: time.UnixMicro(1).UTC(), Priority: 6, Cursor: "c"},
		{At: time.UnixMicro(1).UTC(), Priority: 6, Message: `one\x0a\xff\x0a`, Cursor: "c"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEntryJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(Entry{At: time.UnixMicro(1700000000123456).UTC(), Priority: 6, Message: "m", PID: 2, InvocationID: "i", Cursor: "c"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"at":"2023-11-14T22:13:20.123456Z","priority":6,"message":"m","pid":2,"invocation_id":"i","cursor":"c"}`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}

func TestLongLines(t *testing.T) {
	t.Parallel()
	r := fake(t, `
printf '{"__CURSOR":"a","__REALTIME_TIMESTAMP":"1","MESSAGE":"'; head -c 70000 /dev/zero | tr '\0' x; echo '"}'
printf '{"__CURSOR":"b","__REALTIME_TIMESTAMP":"2","MESSAGE":"'; head -c 5000000 /dev/zero | tr '\0' x; echo '"}'
echo '{"__CURSOR":"c","__REALTIME_TIMESTAMP":"3","MESSAGE":"after"}'`)
	got, err := all(t, open(t, r, Query{}))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	want := []Entry{
		{At: time.UnixMicro(1).UTC(), Priority: 6, Cursor: "a", Message: strings.Repeat("x", maxMessage) + fmt.Sprintf("… (%d bytes cut off)", 70000-maxMessage)},
		{At: time.UnixMicro(2).UTC(), Priority: 6, Cursor: "b", Message: "(a message of more than 65536 bytes was left out)"},
		{At: time.UnixMicro(3).UTC(), Priority: 6, Cursor: "c", Message: "after"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const entry = `echo '{"__CURSOR":"a","__REALTIME_TIMESTAMP":"1","MESSAGE":"m"}'; `
	for name, c := range map[string]struct {
		script string
		follow bool
		says   string
	}{
		"it fails":            {`printf 'no access\033[31m' >&2; exit 1`, false, `no access\x1b[31m`},
		"it is killed":        {entry + `kill -9 $$`, true, "ended early"},
		"it stops following":  {entry, true, "ended early"},
		"it says other words": {`echo hello; sleep 1000`, false, "ended early"},
		"endless complaints":  {`head -c 100000 /dev/zero | tr '\0' y >&2; exit 1`, false, "yyy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := all(t, open(t, fake(t, c.script), Query{Follow: c.follow}))
			if !errors.Is(err, &server.Error{Code: server.CodeInternal}) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 8<<10 {
				t.Errorf("error %.300v", err)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/nonexistent/journalctl", "no-such-journalctl"} {
		_, err := New(path).Open(t.Context(), Query{Unit: "a.service"})
		if err == nil || !strings.Contains(err.Error(), path+" cannot be run") {
			t.Errorf("error %v", err)
		}
	}
}

func TestQueryRefuses(t *testing.T) {
	t.Parallel()
	for _, q := range []Query{{}, {Unit: "left4me-server@*.service"}, {Unit: "a.service", Invocation: "x"}} {
		if _, err := New("/bin/false").Open(t.Context(), q); err == nil {
			t.Errorf("%+v was accepted", q)
		}
	}
}

func TestArgs(t *testing.T) {
	t.Parallel()
	q := Query{Unit: "-x.service", Lines: -1, Follow: true, Since: time.UnixMicro(1700000000000007), Invocation: "0123456789abcdef0123456789abcdef"}
	got, err := q.args()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"--output=json", "--all", "--output-fields=" + fields, "--no-pager", "--quiet", "--unit=-x.service", "--lines=0",
		"--since=@1700000000.000007", "--follow",
		"_SYSTEMD_INVOCATION_ID=" + q.Invocation, "+", "INVOCATION_ID=" + q.Invocation,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A follower that nobody reads ends with its context, and so does its child.
func TestContextEndsChild(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	r := fake(t, `echo $$ > `+pidFile+`; while :; do echo '{"__REALTIME_TIMESTAMP":"1","MESSAGE":"m"}'; done`)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := r.Open(ctx, Query{Unit: "a.service", Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err == nil {
		_, err = s.Next(t.Context())
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	s.Close()
	s.Close()
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); err == nil {
		t.Error("the child is still there after Close")
	}
}

func TestNextContext(t *testing.T) {
	t.Parallel()
	s := open(t, fake(t, `exec sleep 1000`), Query{Follow: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	r := fake(t, `case "$*" in --sync) exit 1;; *--lines=2*) echo '{"__REALTIME_TIMESTAMP":"1","MESSAGE":"one"}'; echo '{"__REALTIME_TIMESTAMP":"2","MESSAGE":"two"}';; esac`)
	got, err := r.Tail(t.Context(), "a.service", 2, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1700000000123456","MESSAGE":"hello","PRIORITY":"3","_PID":"42"}`,
		`{"__REALTIME_TIMESTAMP":"1","MESSAGE":[27,91,51,255]}`, `{"__REALTIME_TIMESTAMP":"1","MESSAGE":["a",[255],null]}`,
		`{"__REALTIME_TIMESTAMP":"1","MESSAGE":[[[[1]]]]}`, `{`, `[]`, `null`, ``, `{"a"`, `{"__REALTIME_TIMESTAMP":"-1"}`, `{"MESSAGE":{}}`,
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, line []byte, cut bool) {
		e, err := decode(line, cut)
		if err != nil {
			return
		}
		for _, s := range []string{e.Message, e.Cursor, e.InvocationID} {
			if server.Visible(s) != s {
				t.Errorf("%q is not safe to show", s)
			}
		}
		if e.Priority < 0 || e.Priority > 7 || e.PID < 0 {
			t.Errorf("impossible %+v", e)
		}
		if _, err := json.Marshal(e); err != nil {
			t.Errorf("%+v cannot be encoded: %v", e, err)
		}
		if bytes.ContainsAny([]byte(e.Message), "\x00\x1b\n") {
			t.Errorf("control characters in %q", e.Message)
		}
	})
}
