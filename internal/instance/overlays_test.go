package instance

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

// overlayTree has the overlay maps, things that are none, and the rest of one
// that was being removed.
func overlayTree(t *testing.T) (*Tree, func(string) string) {
	t.Helper()
	tree := newTree(t)
	at := func(path string) string { return filepath.Join(tree.root, "overlays", path) }
	for _, dir := range []string{"maps/left4dead2/maps", "open", ".gone.removed/sub", "has space"} {
		must(t, os.MkdirAll(at(dir), 0o755))
	}
	must(t, os.Chmod(at("open"), 0o775))
	must(t, os.WriteFile(at("maps/left4dead2/maps/c1.bsp"), []byte("12345"), 0o644))
	must(t, os.WriteFile(at("maps/readme"), []byte("123"), 0o644))
	must(t, os.Symlink("/etc/passwd", at("maps/link")))
	must(t, os.Symlink("..", at("maps/up")))
	must(t, os.Symlink(at("maps"), at("linked")))
	must(t, os.WriteFile(at("plain"), nil, 0o644))
	must(t, os.WriteFile(at(".gone.removed/sub/file"), nil, 0o644))
	return tree, at
}

func TestOverlays(t *testing.T) {
	t.Parallel()
	tree, at := overlayTree(t)
	got, err := tree.Overlays()
	must(t, err)
	none := []server.Name{}
	same(t, []server.Overlay{
		{Name: "has space", Servers: none, Problem: "it has no possible name"},
		{Name: "linked", Servers: none, Problem: "it is not a directory (a symbolic link)"},
		{Name: "maps", Servers: none},
		{Name: "open", Servers: none, Problem: "it can be written by others than root (chmod -R go-w " + at("open") + ")"},
		{Name: "plain", Servers: none, Problem: "it is not a directory (a file)"},
	}, got)
	size, files, err := tree.MeasureOverlay(t.Context(), "maps")
	if size != 8 || files != 2 || err != nil {
		t.Errorf("maps: %d bytes in %d files, %v", size, files, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := tree.MeasureOverlay(ctx, "maps"); !errors.Is(err, context.Canceled) {
		t.Errorf("measured after the end: %v", err)
	}
	_, _, err = tree.MeasureOverlay(t.Context(), "linked")
	fails(t, err, server.CodeOverlayNotFound, "a symbolic link")

	cfg := testConfig()
	cfg.Overlays = []string{"open"}
	fails(t, tree.CheckOverlays(cfg, nil), server.CodeOverlayNotFound, "written by others")
	must(t, tree.CheckOverlays(cfg, []string{"open"})) // it has it already
	cfg.Overlays = []string{"linked"}
	fails(t, tree.CheckOverlays(cfg, cfg.Overlays), server.CodeOverlayNotFound, "a symbolic link")
	tree.uid++
	cfg.Overlays = []string{"maps"}
	fails(t, tree.CheckOverlays(cfg, nil), server.CodeOverlayNotFound, "overlays is no directory of root's own")
}

func TestRemoveOverlay(t *testing.T) {
	t.Parallel()
	tree, at := overlayTree(t)
	for name, says := range map[string]string{
		"absent": "there is no overlay", "..": "there can be no", "": "there can be no", "a/b": "there can be no", ".gone.removed": "there can be no",
	} {
		fails(t, tree.RetireOverlay(name), server.CodeOverlayNotFound, says)
	}
	fails(t, tree.RetireOverlay("linked"), server.CodeInstanceFiles, "not a directory")
	outside := filepath.Join(tree.root, "kept")
	must(t, os.WriteFile(outside, nil, 0o644))
	must(t, os.Symlink(outside, at("maps/out")))
	must(t, tree.RetireOverlay("maps"))
	for path, there := range map[string]bool{at("maps"): false, at(".maps.removed"): true, outside: true, at("linked"): true} {
		if _, err := os.Lstat(path); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
	must(t, os.Mkdir(at("maps"), 0o755)) // a new one of the name, before the old one is gone
	must(t, tree.RetireOverlay("maps"))
	must(t, tree.RemoveOverlay("maps"))
	must(t, tree.RemoveOverlay("maps"))
	must(t, tree.SweepOverlays())
	must(t, tree.SweepOverlays())
	var left []string
	entries, err := os.ReadDir(at(""))
	must(t, err)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	same(t, []string{"has space", "linked", "open", "plain"}, left)
	if _, err := os.Stat(outside); err != nil {
		t.Error("a link was followed")
	}
}

func TestMountedOverlays(t *testing.T) {
	t.Parallel()
	tree := New("/var/lib/left4me")
	const info = `22 1 254:1 / / rw,relatime - ext4 /dev/vda rw
90 22 0:44 / /var/lib/left4me/runtime/a/merged rw,nosuid - overlay l4d2-a rw,lowerdir=/var/lib/left4me/instances/a/layers/1:/var/lib/left4me/overlays/maps:/var/lib/left4me/overlays/admin.1:/var/lib/left4me/installation,upperdir=runtime/a/upper,workdir=runtime/a/work,userxattr
91 22 0:45 / /var/lib/left4me/runtime/b/merged rw shared:3 - overlay l4d2-b rw,lowerdir+=/var/lib/left4me/instances/b/layers/1,lowerdir+=overlays/maps,lowerdir+=/var/lib/left4me/installation,upperdir=x
92 22 0:46 / /srv/runtime/c/merged rw - overlay o rw,lowerdir=/var/lib/left4me/overlays/maps
93 22 0:47 / /var/lib/left4me/runtime/d/merged rw - tmpfs t rw,lowerdir=/var/lib/left4me/overlays/maps
94 22 0:48 / /var/lib/left4me/runtime/e/merged
short - overlay
`
	got, err := tree.overlaysIn(strings.NewReader(info))
	must(t, err)
	if diff := cmp.Diff(map[string][]string{"a": {"maps", "admin.1"}, "b": {"maps"}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := tree.MountedOverlays(); err != nil {
		t.Error(err)
	}
}
