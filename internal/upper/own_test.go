package upper_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/upper"
)

func TestOwn(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs CAP_CHOWN, as the unit has it")
	}
	outside := tree(t, "keep")
	layer := tree(t, "a/b/f", "l>"+outside)
	if err := syscall.Mknod(filepath.Join(layer, "whiteout"), syscall.S_IFCHR, 0); err != nil {
		t.Skip("cannot make a whiteout here: ", err)
	}
	for _, dir := range []string{"a/b", "a"} { // as its owner may have left it
		if err := os.Chmod(filepath.Join(layer, dir), 0); err != nil {
			t.Fatal(err)
		}
	}
	owner := upper.Owner{UID: 61234, GID: 61235}
	for _, want := range []bool{true, false} {
		done, err := upper.Own(openRoot(t, layer), owner)
		if err != nil || done != want {
			t.Fatalf("Own: %v, %v; want %v", done, err, want)
		}
	}
	got := make(map[string]upper.Owner)
	for _, path := range []string{layer, layer + "/a", layer + "/a/b", layer + "/a/b/f", layer + "/l", layer + "/whiteout", outside, outside + "/keep"} {
		var stat syscall.Stat_t
		if err := syscall.Lstat(path, &stat); err != nil {
			t.Fatal(err)
		}
		got[path] = upper.Owner{UID: int(stat.Uid), GID: int(stat.Gid)}
	}
	want := map[string]upper.Owner{
		layer: owner, layer + "/a": owner, layer + "/a/b": owner, layer + "/a/b/f": owner, layer + "/l": owner,
		layer + "/whiteout": self(), outside: self(), outside + "/keep": self(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

// The layer of another system is open to all, and secrets are seen through its
// top; a game may open that of its own, until its next start.
func TestOwnShutsTheTop(t *testing.T) {
	t.Parallel()
	layer := tree(t, "f")
	for _, mode := range []os.FileMode{0o755, 0o777} {
		if err := os.Chmod(layer, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := upper.Own(openRoot(t, layer), self()); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(layer); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode %v, error %v; want it shut to all others", info.Mode(), err)
		}
	}
}

// A file with a second name may be another server's, or the installation's: who
// owned all of them could give it to this one for good.
func TestOwnRefusesSecondNames(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs CAP_CHOWN, as the unit has it")
	}
	outside := tree(t, "srcds_run")
	layer := tree(t, "bin/")
	if err := os.Link(filepath.Join(outside, "srcds_run"), filepath.Join(layer, "bin/planted")); err != nil {
		t.Fatal(err)
	}
	_, err := upper.Own(openRoot(t, layer), upper.Owner{UID: 61234, GID: 61235})
	if err == nil || !strings.Contains(err.Error(), `"bin/planted" has another name`) {
		t.Errorf("error %v, want one that names the file", err)
	}
	for _, path := range []string{layer, filepath.Join(outside, "srcds_run")} {
		var stat syscall.Stat_t
		if err := syscall.Lstat(path, &stat); err != nil || int(stat.Uid) != os.Getuid() {
			t.Errorf("%s belongs to %d (%v)", path, stat.Uid, err)
		}
	}
}
