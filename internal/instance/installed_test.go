package instance

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const someManifest = `"AppState"
{
	"appid"		"222860"
	"StateFlags"		"4"
	"LastUpdated"		"1700000000"
	"buildid"		"8490274"
	"InstalledDepots"
	{
		"222863"
		{
			"buildid"		"1"
		}
	}
}
`

func TestBuild(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	tree := New(root)
	check := func(what, want string, wantAt time.Time) {
		t.Helper()
		if build, at := tree.Build(); build != want || !at.Equal(wantAt) {
			t.Errorf("%s: %q %v, want %q %v", what, build, at, want, wantAt)
		}
	}
	check("nothing there", "", time.Time{})
	dir := filepath.Join(root, "installation/steamapps")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "appmanifest_222860.acf")
	put := func(make func() error) {
		t.Helper()
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := make(); err != nil {
			t.Fatal(err)
		}
	}
	put(func() error { return os.WriteFile(path, []byte(someManifest), 0o644) })
	check("a manifest", "8490274", time.Unix(1700000000, 0))
	put(func() error { return syscall.Mkfifo(path, 0o644) })
	check("a pipe", "", time.Time{})
	put(func() error { return os.Symlink("/etc/passwd", path) })
	check("a link", "", time.Time{})
	put(func() error { return os.WriteFile(path, make([]byte, 1<<20), 0o644) })
	check("a long file", "", time.Time{})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add(someManifest)
	f.Add("{\n\"buildid\" \"0\"\n}")
	f.Fuzz(func(t *testing.T, text string) { decodeManifest(text) })
}
