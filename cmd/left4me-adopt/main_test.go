package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {""}, {"."}, {".."}, {"a/b"}, {".a.removed"}, {"a", "b"}} {
		var out, errs bytes.Buffer
		if code := run(t.TempDir(), args, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("run(%q) = %d, says %q", args, code, errs.String())
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"a/upper", "a/work", "a/merged", "bad/upper"} {
		if err := os.MkdirAll(filepath.Join(root, "runtime", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(root, "runtime/bad/work")); err != nil {
		t.Fatal(err)
	}
	type ran struct {
		Code     int
		Out, Err string
	}
	got := map[string]ran{}
	for _, try := range []string{"a", "a again", "none", "bad"} {
		var out, errs bytes.Buffer
		name, _, _ := strings.Cut(try, " ")
		code := run(root, []string{name}, &out, &errs)
		got[try] = ran{code, out.String(), errs.String()}
	}
	want := map[string]ran{
		"a":       {exitDone, "runtime/a is root's now\nruntime/a/work is root's now\n", ""},
		"a again": {exitDone, "nothing to take over of a\n", ""},
		"none":    {exitDone, "nothing to take over of none\n", ""},
		"bad": {exitFailed, "", "left4me-adopt: cannot take over the directories of bad: " +
			filepath.Join(root, "runtime/bad/work") + " is no directory; move it away\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
