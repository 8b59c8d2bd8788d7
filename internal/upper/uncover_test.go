package upper_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/upper"
)

// makeWhiteout puts overlayfs' mark of a removed file there; any user may.
func makeWhiteout(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mknod(path, unix.S_IFCHR, 0); err != nil {
		t.Fatal(err)
	}
}

// mark sets an extended attribute.
func mark(t *testing.T, path, name, value string) {
	t.Helper()
	if err := unix.Lsetxattr(path, name, []byte(value), 0); err != nil {
		t.Skipf("no extended attributes here: %v", err)
	}
}

// marks reads the attributes that overlayfs would, as NAME=VALUE.
func marks(t *testing.T, path string) (found []string) {
	t.Helper()
	for _, name := range []string{"user.overlay.opaque", "user.overlay.redirect"} {
		value := make([]byte, 100)
		if n, err := unix.Lgetxattr(path, name, value); err == nil {
			found = append(found, name+"="+string(value[:n]))
		}
	}
	return found
}

func TestUncover(t *testing.T) {
	t.Parallel()
	settings := []string{"left4dead2/cfg/server.cfg", "left4dead2/cfg/left4med-secrets.cfg"}
	tests := map[string]struct {
		layer []string
		spoil func(t *testing.T, layer string)
		want  []string
		did   []string
	}{
		"nothing is in the way": {
			layer: []string{"left4dead2/cfg/user.cfg", "left4dead2/cfg/sub/server.cfg", "srcds_run"},
			want:  []string{"left4dead2/", "left4dead2/cfg/", "left4dead2/cfg/sub/", "left4dead2/cfg/sub/server.cfg", "left4dead2/cfg/user.cfg", "srcds_run"},
		},
		"an empty layer": {},
		"a file": {
			layer: []string{"left4dead2/cfg/server.cfg"},
			want:  []string{"left4dead2/", "left4dead2/cfg/", "left4dead2/cfg/server.cfg.hidden-1"},
			did:   []string{`"left4dead2/cfg/server.cfg", which hid the settings, is now "left4dead2/cfg/server.cfg.hidden-1"`},
		},
		"a link, and a directory": {
			layer: []string{"left4dead2/cfg/server.cfg>/etc/passwd", "left4dead2/cfg/left4med-secrets.cfg/x"},
			want:  []string{"left4dead2/", "left4dead2/cfg/", "left4dead2/cfg/left4med-secrets.cfg.hidden-1/", "left4dead2/cfg/left4med-secrets.cfg.hidden-1/x", "left4dead2/cfg/server.cfg.hidden-1>/etc/passwd"},
			did: []string{
				`"left4dead2/cfg/left4med-secrets.cfg", which hid the settings, is now "left4dead2/cfg/left4med-secrets.cfg.hidden-1"`,
				`"left4dead2/cfg/server.cfg", which hid the settings, is now "left4dead2/cfg/server.cfg.hidden-1"`,
			},
		},
		"older ones move on": {
			layer: []string{"left4dead2/cfg/server.cfg", "left4dead2/cfg/server.cfg.hidden-1>one", "left4dead2/cfg/server.cfg.hidden-2/two", "left4dead2/cfg/server.cfg.hidden-3/three/3"},
			want:  []string{"left4dead2/", "left4dead2/cfg/", "left4dead2/cfg/server.cfg.hidden-1", "left4dead2/cfg/server.cfg.hidden-2>one", "left4dead2/cfg/server.cfg.hidden-3/", "left4dead2/cfg/server.cfg.hidden-3/two"},
			did:   []string{`"left4dead2/cfg/server.cfg", which hid the settings, is now "left4dead2/cfg/server.cfg.hidden-1"`},
		},
		"a link on the way leads nowhere": {
			layer: []string{"left4dead2>other", "other/cfg/server.cfg"},
			want:  []string{"left4dead2.hidden-1>other", "other/", "other/cfg/", "other/cfg/server.cfg"},
			did:   []string{`"left4dead2", which hid the settings, is now "left4dead2.hidden-1"`},
		},
		"whiteouts": {
			layer: []string{"left4dead2/cfg/"},
			spoil: func(t *testing.T, layer string) { makeWhiteout(t, layer+"/left4dead2/cfg/server.cfg") },
			want:  []string{"left4dead2/", "left4dead2/cfg/"},
			did:   []string{`"left4dead2/cfg/server.cfg" had been removed by the game; it is there again`},
		},
		"a whiteout on the way": {
			spoil: func(t *testing.T, layer string) { makeWhiteout(t, layer+"/left4dead2") },
			did:   []string{`"left4dead2" had been removed by the game; it is there again`},
		},
		"marks": {
			layer: []string{"left4dead2/cfg/mine.cfg"},
			spoil: func(t *testing.T, layer string) {
				mark(t, layer, "user.overlay.opaque", "x")
				mark(t, layer+"/left4dead2", "user.overlay.opaque", "y")
				mark(t, layer+"/left4dead2/cfg", "user.overlay.redirect", "/elsewhere")
			},
			want: []string{"left4dead2/", "left4dead2/cfg/", "left4dead2/cfg/mine.cfg"},
			did: []string{
				`"left4dead2" hid what is below it in the lower layers (user.overlay.opaque); it does no more`,
				`"left4dead2/cfg" hid what is below it in the lower layers (user.overlay.redirect); it does no more`,
			},
		},
		"a directory that is shut": {
			layer: []string{"left4dead2/cfg/server.cfg"},
			spoil: func(t *testing.T, layer string) {
				if err := os.Chmod(layer+"/left4dead2/cfg", 0o500); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"left4dead2/", "left4dead2/cfg/", "left4dead2/cfg/server.cfg.hidden-1"},
			did:  []string{`"left4dead2/cfg/server.cfg", which hid the settings, is now "left4dead2/cfg/server.cfg.hidden-1"`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			layer := tree(t, test.layer...)
			if test.spoil != nil {
				test.spoil(t, layer)
			}
			lower := openRoot(t, tree(t, settings...))
			did, err := upper.Uncover(openRoot(t, layer), lower, self())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, list(t, layer)); diff != "" {
				t.Errorf("layer (-want +got):\n%s", diff)
			}
			slices.Sort(did) // directories are read in no order
			if diff := cmp.Diff(test.did, did); diff != "" {
				t.Errorf("did (-want +got):\n%s", diff)
			}
			for _, dir := range []string{"left4dead2", "left4dead2/cfg"} {
				if left := marks(t, filepath.Join(layer, dir)); left != nil {
					t.Errorf("%s has %q", dir, left)
				}
			}
			if again, err := upper.Uncover(openRoot(t, layer), lower, self()); again != nil || err != nil {
				t.Errorf("a second time: %q, %v", again, err)
			}
		})
	}
}
