package main

import (
	"bytes"
	"errors"
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
	for _, args := range [][]string{nil, {"prepare"}, {"clear", ""}, {"clear", ".."}, {"clear", "a/b"}, {"destroy", "a"}, {"restore", ".."}, {"clear", "a", "b"}} {
		var out, errs bytes.Buffer
		if code := run(args, func(string) string { return "" }, nil, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("run(%q) = %d, says %q", args, code, errs.String())
		}
	}
}

// What a game could have put together is not used.
func TestTrusted(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		spoil func(root string) error
		says  string
	}{
		"as it should be": {func(string) error { return nil }, ""},
		"the layer is a link": {func(root string) error {
			if err := os.Remove(root + "/runtime/a/upper"); err != nil {
				return err
			}
			return os.Symlink("/etc", root+"/runtime/a/upper")
		}, "runtime/a/upper is no directory"},
		"the instance is a link": {func(root string) error {
			if err := os.Rename(root+"/instances/a", root+"/instances/b"); err != nil {
				return err
			}
			return os.Symlink("b", root+"/instances/a")
		}, "instances/a is no directory"},
		"all may write":        {func(root string) error { return os.Chmod(root+"/runtime/a", 0o777) }, "runtime/a can be changed"},
		"a group may write":    {func(root string) error { return os.Chmod(root+"/instances", 0o775) }, "instances can be changed"},
		"the files are gone":   {func(root string) error { return os.Remove(root + "/instances/a") }, "no such file"},
		"the root may be used": {func(root string) error { return os.Chmod(root, 0o777) }, "can be changed"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, dir := range []string{"", "instances", "instances/a", "runtime", "runtime/a", "runtime/a/upper"} {
				if err := errors.Join(os.MkdirAll(filepath.Join(root, dir), 0o755), os.Chmod(filepath.Join(root, dir), 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			if err := test.spoil(root); err != nil {
				t.Fatal(err)
			}
			switch err := trusted(root, "a", os.Getuid()); {
			case test.says == "" && err != nil, test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
			if err := trusted(root, "a", os.Getuid()+1); err == nil {
				t.Error("another uid's was trusted")
			}
		})
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
