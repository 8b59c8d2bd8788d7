package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/upper"
)

func TestLowerPath(t *testing.T) {
	t.Parallel()
	want := map[string]bool{
		"/data/installation": true, "installation": true, "overlays/17": true, "/data/overlays/a b": true,
		"": false, ".": false, "/": false, "/etc": false, "/data": false, "/data/": false, "/database": false,
		"../etc": false, "/data/../etc": false, "overlays/../../etc": false, "overlays//1": false, "overlays/": false,
		"overlays/a,b": false, `overlays/a\b`: false, "/data//etc": false,
	}
	got := make(map[string]bool)
	for dir := range want {
		path, ok := lowerPath("/data", dir)
		got[dir] = ok
		if ok && !strings.HasPrefix(path, "/data/") {
			t.Errorf("%q leads to %q", dir, path)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"prepare"}, {"clear", ""}, {"clear", ".."}, {"clear", "a/b"}, {"destroy", "a"}, {"clear", "a", "b"}} {
		var out, errs bytes.Buffer
		if code := run(args, func(string) string { return "" }, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("run(%q) = %d, says %q", args, code, errs.String())
		}
	}
}

func TestPrepareAndClear(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"installation/left4dead2/cfg", "instances/a/layer", "runtime/a/upper"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	owner := upper.Owner{UID: os.Getuid(), GID: os.Getgid()}
	var out bytes.Buffer
	if err := prepare(root, "a", root+"/instances/a/layer:installation", owner, &out); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "runtime/a/upper/left4dead2/cfg")); err != nil {
		t.Error(err)
	}
	for _, lowers := range []string{"", "/etc", "overlays/none:installation", strings.Repeat("overlays/1:", 400) + "installation"} {
		if err := prepare(root, "a", lowers, owner, &out); err == nil {
			t.Errorf("prepare took the lower directories %.40q", lowers)
		}
	}
	if err := os.Rename(filepath.Join(root, "runtime/a"), filepath.Join(root, "runtime/.a.removed")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := clearRemoved(root, "a", owner, &out); err != nil {
			t.Fatal(err)
		}
	}
	if err := clearRemoved(root, "never-was", owner, &out); err != nil {
		t.Error(err)
	}
	const want = "upper layer of a: 2 directories made, 0 present, 0 skipped\n" +
		"removed 2 entries of a\nremoved 0 entries of a\nnothing to remove of never-was\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
