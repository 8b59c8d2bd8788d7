package machine

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testLayer has one of each that an overlay keeps in its own way.
func testLayer(t *testing.T, content string) *Layer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	return &Layer{
		Files: map[string]string{"/srv/new/file": file, "/tmp/gone": file},
		Script: `cat /tmp/gone >/var/lib/kept; chown 12:34 /srv/new/file; setcap cap_net_raw+ep /usr/bin/yes
			rm /usr/bin/factor; rm -r /etc/skel; mkdir /etc/skel; echo new >/etc/skel/new; touch /run/gone`,
	}
}

func TestLayer(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, release Release) {
		layer := testLayer(t, "of "+string(release))
		first, second := NewOn(t, release, layer), NewOn(t, release, layer)
		const look = `stat --format='%a %u %g' /srv/new/file; cat /var/lib/kept; echo; getcap /usr/bin/yes
			ls -A /etc/skel /tmp/gone /run/gone /usr/bin/factor 2>&1 | sed 's/.*cannot access/no/'`
		const want = "640 12 34\nof %s\n/usr/bin/yes cap_net_raw=ep\n" +
			"no '/tmp/gone': No such file or directory\nno '/run/gone': No such file or directory\n" +
			"no '/usr/bin/factor': No such file or directory\n/etc/skel:\nnew\n"
		for _, m := range []*Machine{first, second} {
			if diff := cmp.Diff(strings.ReplaceAll(want, "%s", string(release)), m.MustRun(t, "sh", "-c", look)); diff != "" {
				t.Errorf("on the layer (-want +got):\n%s", diff)
			}
			// What one does is not seen by the next.
			m.MustRun(t, "sh", "-euc", "rm /srv/new/file /var/lib/kept; echo here >/var/lib/kept; chmod 600 /etc/skel/new")
			if m == first {
				if err := first.Reboot(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := first.MustRun(t, "cat", "/var/lib/kept"); got != "here\n" {
					t.Errorf("after a reboot: %q", got)
				}
			}
		}
	})
}

func TestLayerThatCannotBeMadeSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	_, err := Boot(t.Context(), Options{Release: Trixie, Layer: &Layer{Script: "echo this is why >&2; false"}, Log: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "this is why") {
		t.Errorf("got %v", err)
	}
	if _, err := Boot(t.Context(), Options{Release: Trixie, Layer: &Layer{Files: map[string]string{"/a": "/nowhere"}}}); err == nil {
		t.Error("a machine was booted without its file")
	}
}

func TestLayersAreKeptByWhatIsInThem(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	same := testLayer(t, "same")
	other := testLayer(t, "same")
	for _, l := range []*Layer{same, other, testLayer(t, "else"), {Files: same.Files, Script: "true"}} {
		key, err := l.key("base/trixie-1")
		if err != nil {
			t.Fatal(err)
		}
		keys[key] = true
	}
	if key, err := same.key("base/trixie-2"); err != nil || keys[key] {
		t.Errorf("the same key on another base: %v, %v", key, err)
	}
	if len(keys) != 3 {
		t.Errorf("four layers, two alike, have the keys %v", keys)
	}
}

func TestOldLayersAreSwept(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"trixie-old", "trixie-used", "trixie-new", ".trixie-killed", "bookworm-old"} {
		dir := filepath.Join(parent, name)
		if err := os.MkdirAll(filepath.Join(dir, "upper"), 0o755); err != nil {
			t.Fatal(err)
		}
		lock := filepath.Join(dir, "lock")
		if err := os.WriteFile(lock, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "trixie-used" {
			used, err := useLayer(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer used.Close()
		}
		if name != "trixie-new" {
			if err := os.Chtimes(lock, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := sweepLayers(parent, Trixie, time.Hour); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range left {
		names = append(names, entry.Name())
	}
	if diff := cmp.Diff([]string{"bookworm-old", "trixie-new", "trixie-used"}, names); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if _, err := useLayer(filepath.Join(parent, "trixie-old")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a swept layer is used: %v", err)
	}
}
