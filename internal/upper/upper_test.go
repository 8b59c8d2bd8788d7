package upper_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/upper"
)

func self() upper.Owner { return upper.Owner{UID: os.Getuid(), GID: os.Getgid()} }

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// tree makes a directory of paths: "d/" is a directory, "l>target" a link,
// anything else a file.
func tree(t *testing.T, paths ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range paths {
		name, target, isLink := strings.Cut(path, ">")
		full := filepath.Join(dir, name)
		var err error
		if err = os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		switch {
		case isLink:
			err = os.Symlink(target, full)
		case strings.HasSuffix(path, "/"):
			err = os.MkdirAll(full, 0o755)
		default:
			err = os.WriteFile(full, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// list answers what is below dir, in the notation of tree.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		switch {
		case entry.IsDir():
			name += "/"
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			name += ">" + target
		}
		paths = append(paths, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestMirror(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		layer  []string
		lowers [][]string // topmost first
		want   []string
		report upper.Report
	}{
		"directories of all lowers, no files": {
			lowers: [][]string{{"cfg/server.cfg"}, {"addons/sm/", "cfg/sub/"}, {"maps/a.bsp", "srcds_run"}},
			want:   []string{"addons/", "addons/sm/", "cfg/", "cfg/sub/", "maps/"},
			report: upper.Report{Made: 5},
		},
		"what is there stays": {
			layer:  []string{"cfg/mine", "logs/"},
			lowers: [][]string{{"cfg/", "cfg/x/"}},
			want:   []string{"cfg/", "cfg/mine", "cfg/x/", "logs/"},
			report: upper.Report{Made: 1, Present: 1},
		},
		"planted link and file are not entered": {
			layer:  []string{"cfg>../escape", "maps", "logs>cfg"},
			lowers: [][]string{{"cfg/x/", "maps/x/", "logs/x/"}},
			want:   []string{"cfg>../escape", "logs>cfg", "maps"},
			report: upper.Report{Skipped: []string{"cfg", "logs", "maps"}},
		},
		"a file of a higher layer hides a directory of a lower one": {
			lowers: [][]string{{"x"}, {"x/y/"}},
		},
		"a directory of a higher layer ends at a file of a lower one": {
			lowers: [][]string{{"x/a/"}, {"x"}, {"x/b/"}},
			want:   []string{"x/", "x/a/"},
			report: upper.Report{Made: 2},
		},
		"a link to a directory is no directory": {
			lowers: [][]string{{"l>d", "d/"}},
			want:   []string{"d/"},
			report: upper.Report{Made: 1},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			layer := tree(t, test.layer...)
			var lowers []*os.Root
			for _, paths := range test.lowers {
				lowers = append(lowers, openRoot(t, tree(t, paths...)))
			}
			report, err := upper.Mirror(openRoot(t, layer), lowers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.report, report); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, list(t, layer)); diff != "" {
				t.Errorf("layer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMirrorReportsUnreadableLower(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root reads every directory")
	}
	lower := tree(t, "good/", "shut/in/")
	if err := os.Chmod(filepath.Join(lower, "shut"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(lower, "shut"), 0o755) })
	layer := tree(t)
	_, err := upper.Mirror(openRoot(t, layer), []*os.Root{openRoot(t, lower)})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(lower, "shut")) {
		t.Errorf("got error %v, want one that names the directory", err)
	}
	if diff := cmp.Diff([]string{"good/", "shut/"}, list(t, layer)); diff != "" {
		t.Errorf("the rest was not mirrored (-want +got):\n%s", diff)
	}
}

func TestClear(t *testing.T) {
	t.Parallel()
	outside := tree(t, "keep/me")
	layer := tree(t, "a/b/c/f", "a/l>"+outside, "l>"+outside, "odd\n\x1b[31m", "-rf", "*", ".removed-1/x", ".removed-2", "e/")
	if err := os.Link(filepath.Join(outside, "keep/me"), filepath.Join(layer, "hard")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(layer, "fifo"), 0); err != nil {
		t.Fatal(err)
	}
	removed, err := upper.Clear(openRoot(t, layer), self())
	if err != nil {
		t.Fatal(err)
	}
	if removed == 0 {
		t.Error("nothing was counted as removed")
	}
	if left := list(t, layer); left != nil {
		t.Errorf("left over: %q", left)
	}
	if diff := cmp.Diff([]string{"keep/", "keep/me"}, list(t, outside)); diff != "" {
		t.Errorf("outside (-want +got):\n%s", diff)
	}
	if removed, err := upper.Clear(openRoot(t, layer), self()); removed != 0 || err != nil {
		t.Errorf("second time: %d, %v", removed, err)
	}
}

func TestClearDirectoriesWithoutMode(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs CAP_DAC_READ_SEARCH, as the unit has it")
	}
	layer := tree(t, "a/b/f")
	for _, dir := range []string{"a/b", "a", "."} {
		if err := os.Chmod(filepath.Join(layer, dir), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := upper.Clear(openRoot(t, layer), self()); err != nil {
		t.Fatal(err)
	}
	if left := list(t, layer); left != nil {
		t.Errorf("left over: %q", left)
	}
}

func TestClearDeepTree(t *testing.T) {
	t.Parallel()
	layer := tree(t)
	const depth = 1200 // more than a process may hold open by default
	dir := openRoot(t, layer)
	for range depth {
		if err := dir.Mkdir("d", 0o755); err != nil {
			t.Fatal(err)
		}
		sub, err := dir.OpenRoot("d")
		if err != nil {
			t.Fatal(err)
		}
		dir.Close()
		dir = sub
	}
	dir.Close()
	removed, err := upper.Clear(openRoot(t, layer), self())
	if err != nil || removed != depth {
		t.Errorf("removed %d, error %v; want %d", removed, err, depth)
	}
}

func TestClearManyEntries(t *testing.T) {
	t.Parallel()
	layer := tree(t)
	const dirs, files = 20, 200
	for i := range dirs {
		dir := filepath.Join(layer, "dir"+strings.Repeat("x", i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for j := range files {
			if err := os.WriteFile(filepath.Join(dir, strings.Repeat("f", j+1)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	removed, err := upper.Clear(openRoot(t, layer), self())
	if want := dirs * (files + 1); err != nil || removed != want {
		t.Errorf("removed %d, error %v; want %d", removed, err, want)
	}
}
