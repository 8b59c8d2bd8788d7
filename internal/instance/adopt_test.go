package instance

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

func TestDecodeEnv(t *testing.T) {
	t.Parallel()
	text := "# a comment \\\nA=1\n;B=2\nC = spaced out \t\nD='single \"x\" \\n'\nE=\"double \\\" \\\\ \\x \\$\"tail\n" +
		"F=back\\ slash\\\n joined\nno assignment\nG=\nH='open\nstill'\n1X=no\nA=again\nZ=end"
	want := map[string]string{
		"A": "again", "C": "spaced out", "D": `single "x" \n`, "E": `double " \ \x $tail`,
		"F": "back slash joined", "G": "", "H": "open\nstill", "Z": "end",
	}
	if diff := cmp.Diff(want, DecodeEnv(text)); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

// FuzzDecodeEnv: whatever is encoded is read back, and nothing else panics.
func FuzzDecodeEnv(f *testing.F) {
	f.Add("a b\\\"$`'\n", "A=1\\\n'")
	f.Fuzz(func(t *testing.T, value, text string) {
		DecodeEnv(text)
		splitArgs(text)
		encoded, err := EncodeEnv([]Var{{"A", value}, {"B", "x"}})
		if err != nil {
			return
		}
		if diff := cmp.Diff(map[string]string{"A": value, "B": "x"}, DecodeEnv(string(encoded))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", encoded, diff)
		}
	})
}

func TestSplitArgs(t *testing.T) {
	t.Parallel()
	want := []string{"-tickrate", "60", "+hostname", "My Server", "a\"b", "", "open end"}
	if diff := cmp.Diff(want, splitArgs(` -tickrate	60 +hostname "My Server" a\"b '' "open end`)); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
}

// origin is a tree with an instance of the system before left4med.
func origin(t *testing.T, env string) *Tree {
	t.Helper()
	tree := New(t.TempDir())
	dir := filepath.Join(tree.root, instancesDir, "7")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, envFile), []byte(env), 0o644); err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestAdoptAnOriginsInstance(t *testing.T) {
	t.Parallel()
	tree := origin(t, "")
	root := tree.root
	env := "L4D2_PORT=27020\nL4D2_ARGS=-tickrate 60 +map c2m1_highway +mp_gamemode versus -maxplayers 12 +hostname \"Old one\" +sv_gravity 700 +exec server.cfg +rcon_password hunter2hunter2 -nobots\n" +
		"L4D2_LOWERDIRS=" + root + "/overlays/3:" + root + "/overlays/1:" + root + "/installation\n"
	if err := os.WriteFile(filepath.Join(root, "instances/7", envFile), []byte(env), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := tree.Adoptable("7")
	if err != nil {
		t.Fatal(err)
	}
	want := server.Config{
		Port: 27020, Map: "c2m1_highway", GameMode: "versus", MaxPlayers: 12, Hostname: "Old one",
		Args: []string{"-tickrate", "60", "-nobots"}, Overlays: []string{"3", "1"},
		CVars: map[string]string{"sv_gravity": "700"}, Heal: server.HealOff,
	}
	if diff := cmp.Diff(want, found.Config); diff != "" || !found.Foreign {
		t.Errorf("found (-want +got), foreign %t:\n%s", found.Foreign, diff)
	}
	for range 2 { // a job that was cut off begins again
		if err := tree.Adopt(t.Context(), "7", 12, found); err != nil {
			t.Fatal(err)
		}
		if found, err = tree.Adoptable("7"); err != nil || found.Foreign {
			t.Fatalf("what was adopted is foreign %t, %v", found.Foreign, err)
		}
	}
	if s, err := tree.Read("7"); err != nil || s.ID != 12 || !s.Config.Equal(want) {
		t.Errorf("settings %+v, %v", s, err)
	}
	if secret, err := tree.Secret("7", server.SecretRCON); err != nil || secret.Reveal() != "hunter2hunter2" {
		t.Errorf("the password for RCON: %v", err)
	}
	kept, err := os.ReadFile(filepath.Join(root, "instances/.7.origin", envFile))
	if err != nil || string(kept) != env {
		t.Errorf("kept %q, %v", kept, err)
	}
}

// An adoption that ends at any step is whole before or after, and done again.
func TestAdoptCutShort(t *testing.T) {
	t.Parallel()
	const env = "L4D2_PORT=27020\n"
	for steps := 1; ; steps++ {
		tree := origin(t, env)
		found, err := tree.Adoptable("7")
		if err != nil {
			t.Fatal(err)
		}
		left := steps
		tree.step = func(string) {
			if left--; left == 0 {
				panic("cut")
			}
		}
		cut := func() (cut bool) {
			defer func() { cut = recover() != nil }()
			err = tree.Adopt(t.Context(), "7", 12, found)
			return
		}()
		if !cut {
			if err != nil || steps < 10 {
				t.Fatalf("after %d steps: %v", steps, err)
			}
			return
		}
		tree.step = func(string) {}
		if vars := DecodeEnv(read(t, tree, "instances/7/instance.env")); vars[portVar] != "27020" {
			t.Fatalf("cut at step %d, the unit has the environment %v", steps, vars)
		}
		if found, err = tree.Adoptable("7"); err != nil {
			t.Fatalf("cut at step %d: %v", steps, err)
		}
		if err := tree.Adopt(t.Context(), "7", 12, found); err != nil {
			t.Fatalf("cut at step %d: %v", steps, err)
		}
		if got := read(t, tree, "instances/.7.origin/instance.env"); got != env {
			t.Fatalf("cut at step %d, kept is %q", steps, got)
		}
	}
}

func read(t *testing.T, tree *Tree, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(tree.root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What could have been planted is refused, with nothing of it in the error, and
// nothing changes.
func TestHostileInstancesAreNotAdopted(t *testing.T) {
	t.Parallel()
	const port = "L4D2_PORT=27020\n"
	replace := func(put func(path string) error) func(t *testing.T, tree *Tree) {
		return func(t *testing.T, tree *Tree) {
			path := filepath.Join(tree.root, "instances/7", envFile)
			if err := errors.Join(os.Remove(path), put(path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	env := func(text string) func(t *testing.T, tree *Tree) {
		return replace(func(path string) error { return os.WriteFile(path, []byte(text), 0o644) })
	}
	for name, c := range map[string]struct {
		plant func(t *testing.T, tree *Tree)
		says  string
	}{
		"a link":      {replace(func(path string) error { return os.Symlink("/etc/shadow", path) }), "is a symbolic link"},
		"a FIFO":      {replace(func(path string) error { return unix.Mkfifo(path, 0o644) }), "is a special file"},
		"a directory": {replace(func(path string) error { return os.Mkdir(path, 0o755) }), "is a directory"},
		"nothing":     {replace(func(string) error { return nil }), "there is no"},
		"another name": {replace(func(path string) error {
			other := filepath.Join(filepath.Dir(path), "other")
			return errors.Join(os.WriteFile(other, []byte("root:sesame"), 0o600), os.Link(other, path))
		}), "has another name"},
		"1 GB": {replace(func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<30))
		}), "longer than 64 KiB"},
		"garbage":           {env("root:$y$sesame:19000:0\n"), "which is no port"},
		"no port":           {env("L4D2_PORT=70000\n"), "which is no port"},
		"a program":         {env(port + "L4D2_ARGS=-binary /tmp/evil\n"), `"-binary"`},
		"a debugger":        {env(port + "L4D2_ARGS=-gdb /tmp/evil\n"), `"-gdb"`},
		"another port":      {env(port + "L4D2_ARGS=+hostport 1\n"), ""},
		"another game":      {env(port + "L4D2_ARGS=-game x\n"), `"-game"`},
		"a script":          {env(port + "L4D2_ARGS=+exec evil.cfg\n"), ""},
		"a cut argument":    {env(port + "L4D2_ARGS=+map\n"), "without a value"},
		"a layer elsewhere": {env(port + "L4D2_LOWERDIRS=/etc\n"), `the layer "/etc"`},
		"a layer's way out": {env(port + "L4D2_LOWERDIRS=overlays/../../../etc\n"), "the layer"},
		"a short password":  {env(port + "L4D2_ARGS=+rcon_password sesame\n"), "rcon_password"},
		"a linked directory": {func(t *testing.T, tree *Tree) {
			path := filepath.Join(tree.root, "instances/7")
			if err := errors.Join(os.Rename(path, path+"x"), os.Symlink("7x", path)); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := origin(t, port)
			c.plant(t, tree)
			before := listing(t, tree.root)
			found, err := tree.Adoptable("7")
			if err == nil { // what the checks of all settings are for
				err = found.Config.Validate(server.DefaultPorts)
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("got %v; it should say %q", err, c.says)
			}
			if diff := cmp.Diff(before, listing(t, tree.root)); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestRuntimeForeign(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("gives directories to another uid")
	}
	got := map[string]bool{}
	for what, foreign := range map[string]string{"nothing": "", "the top": "runtime/7", "work": "runtime/7/work", "upper": "runtime/7/upper"} {
		tree := origin(t, "")
		for _, d := range []string{"work", "upper"} {
			if err := os.MkdirAll(filepath.Join(tree.root, "runtime/7", d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if foreign != "" {
			if err := os.Chown(filepath.Join(tree.root, foreign), 980, 980); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if got[what], err = tree.RuntimeForeign("7"); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]bool{"nothing": false, "the top": true, "work": true, "upper": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another system's (-want +got):\n%s", diff)
	}
}

// listing is all that is in a tree, with modes and sizes.
func listing(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err == nil {
			all[path] = info.Mode().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
