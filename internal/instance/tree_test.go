package instance

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/left4med/left4med/internal/server"
)

func testConfig() server.Config {
	cfg := server.DefaultConfig("a")
	cfg.Port = 27015
	cfg.Hostname = "Kim's <server> & more"
	cfg.Args = []string{"-tickrate", "60", "-nobots"}
	cfg.Overlays = []string{"maps", "admin.1"}
	cfg.CVars = map[string]string{"sv_gravity": "800", "mp_disable_autokick": "1"}
	return cfg
}

// newTree makes a tree as the package ships it.
func newTree(t testing.TB) *Tree {
	t.Helper()
	root := t.TempDir()
	for _, d := range []string{"installation", "overlays", "instances", "runtime"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tree := New(root)
	tree.random = func() server.Secret { return secret(t, server.SecretRCON, randomRCON) }
	return tree
}

// files lists everything below a tree's instances and runtime with its mode,
// and what is in the plain files.
func files(t *testing.T, tree *Tree) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(tree.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(tree.root, path)
		if !strings.HasPrefix(rel, instancesDir+"/") && !strings.HasPrefix(rel, runtimeDir+"/") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		got[rel] = info.Mode().String()
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			got[rel] += "\n" + strings.ReplaceAll(string(data), tree.root, "ROOT")
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// want is what files returns for one instance with testConfig.
func want(layer string) map[string]string {
	return map[string]string{
		"instances/a": "drwx------",
		"instances/a/instance.env": `-rw-------
L4D2_PORT="27015"
L4D2_ARGS="+map c1m1_hotel +mp_gamemode coop -maxplayers 8 +clientport 28015 +tv_port 29015 -tickrate 60 -nobots"
L4D2_LOWERDIRS="ROOT/instances/a/layers/` + layer + `:ROOT/overlays/maps:ROOT/overlays/admin.1:ROOT/installation"
`,
		"instances/a/settings.json": `-rw-------
{
  "id": 7,
  "name": "a",
  "config": {
    "port": 27015,
    "map": "c1m1_hotel",
    "gamemode": "coop",
    "max_players": 8,
    "hostname": "Kim's <server> & more",
    "args": [
      "-tickrate",
      "60",
      "-nobots"
    ],
    "overlays": [
      "maps",
      "admin.1"
    ],
    "cvars": {
      "mp_disable_autokick": "1",
      "sv_gravity": "800"
    },
    "heal": "off"
  },
  "layer": ` + layer + `
}
`,
		"instances/a/secrets":                                                  "-rw-------\n{\n  \"rcon\": \"" + randomRCON + "\"\n}\n",
		"instances/a/layers":                                                   "drwxr-xr-x",
		"instances/a/layers/" + layer:                                          "drwxr-xr-x",
		"instances/a/layers/" + layer + "/left4dead2":                          "drwxr-xr-x",
		"instances/a/layers/" + layer + "/left4dead2/cfg":                      "drwxr-xr-x",
		"instances/a/layers/" + layer + "/left4dead2/cfg/server.cfg":           "-rw-r--r--\n" + wantServerCfg,
		"instances/a/layers/" + layer + "/left4dead2/cfg/left4med-secrets.cfg": "-rw-r--r--\n" + wantSecretsCfg + "rcon_password \"" + randomRCON + "\"\n",
		"runtime/a":        "drwx--x--x",
		"runtime/a/upper":  "drwx------",
		"runtime/a/work":   "drwx------",
		"runtime/a/merged": "drwxr-xr-x",
	}
}

const wantServerCfg = `// Written by left4med from the server's settings; what is changed here is lost.
// Put lines of your own into user.cfg, which is run after these; secrets win over it.
hostname "Kim's <server> & more"
mp_disable_autokick "1"
sv_gravity "800"
exec user.cfg
exec left4med-secrets.cfg
`

const wantSecretsCfg = "// Written by left4med; what is changed here is lost. See l4d2ctl-initialize(1), --secret.\n"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not as wanted (-want +got):\n%s", diff)
	}
}

// fails checks an error's code and that its text holds every part.
func fails(t *testing.T, err error, code server.Code, parts ...string) {
	t.Helper()
	if !errors.Is(err, &server.Error{Code: code}) {
		t.Fatalf("error %v (%T), want code %s", err, err, code)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error %q does not say %q", err, p)
		}
	}
}

func TestLife(t *testing.T) {
	t.Parallel()
	tree, cfg := newTree(t), testConfig()
	ctx := t.Context()
	if !tree.Gone("a") {
		t.Error("Gone is false before anything was made")
	}
	must(t, tree.Create(ctx, "a", 7, cfg))
	same(t, want("1"), files(t, tree))
	must(t, tree.Check("a"))
	got, err := tree.Read("a")
	must(t, err)
	same(t, Settings{ID: 7, Name: "a", Config: cfg, Layer: 1}, got)

	must(t, tree.Write(ctx, "a", 7, cfg))
	must(t, tree.Check("a"))
	must(t, tree.Prune("a"))
	same(t, want("2"), files(t, tree))

	must(t, os.Mkdir(filepath.Join(tree.root, "instances", "Not A Name"), 0o700))
	names, err := tree.List()
	must(t, err)
	same(t, []string{"Not A Name", "a"}, names)
	must(t, os.Remove(filepath.Join(tree.root, "instances", "Not A Name")))

	must(t, tree.Retire("a"))
	must(t, tree.Retire("a"))
	if tree.Gone("a") {
		t.Error("Gone is true before Remove")
	}
	removed, err := tree.Removed()
	must(t, err)
	same(t, []server.Name{"a"}, removed)
	must(t, tree.Remove("a"))
	must(t, tree.Remove("a"))
	if !tree.Gone("a") {
		t.Error("Gone is false after Remove")
	}
	same(t, map[string]string{}, files(t, tree))
}

// errCrash is what a step panics with to end there.
var errCrash = errors.New("crash")

// crashes runs do again and again on trees that prepare makes, with a crash
// before its first change of the disk, its second and so on, until it gets
// through; after each crash, recover is called.
func crashes(t *testing.T, prepare func(*Tree), do func(*Tree) error, recovered func(*Tree, string)) {
	t.Helper()
	for n := 0; ; n++ {
		tree := newTree(t)
		prepare(tree)
		left, at := n, ""
		tree.step = func(what string) {
			if left == 0 {
				at = what
				panic(errCrash)
			}
			left--
		}
		crashed := func() (crashed bool) {
			defer func() {
				if r := recover(); r != nil {
					if r != errCrash {
						panic(r)
					}
					crashed = true
				}
			}()
			must(t, do(tree))
			return false
		}()
		tree.step = func(string) {}
		if !crashed {
			if n < 3 {
				t.Errorf("only %d steps", n)
			}
			return
		}
		recovered(tree, at)
	}
}

func TestCreateConverges(t *testing.T) {
	t.Parallel()
	create := func(tree *Tree) error { return tree.Create(t.Context(), "a", 7, testConfig()) }
	nothing := func(*Tree) {}
	t.Run("by creating again", func(t *testing.T) {
		crashes(t, nothing, create, func(tree *Tree, at string) {
			must(t, create(tree))
			must(t, tree.Check("a"))
			s, err := tree.Read("a")
			must(t, err)
			must(t, tree.Prune("a"))
			same(t, want(string(rune('0'+s.Layer))), files(t, tree))
		})
	})
	t.Run("by sweeping", func(t *testing.T) {
		crashes(t, nothing, create, func(tree *Tree, at string) {
			before := files(t, tree)
			must(t, tree.Sweep(func(server.Name) bool { return true }))
			same(t, before, files(t, tree))
			must(t, tree.Sweep(func(server.Name) bool { return false }))
			if tree.Check("a") == nil { // the last crash came after the rename
				same(t, want("1"), files(t, tree))
				return
			}
			same(t, map[string]string{}, files(t, tree))
		})
	})
	t.Run("by removing", func(t *testing.T) {
		crashes(t, nothing, create, func(tree *Tree, at string) {
			must(t, tree.Retire("a"))
			must(t, tree.Remove("a"))
			must(t, tree.Sweep(func(server.Name) bool { return false }))
			same(t, map[string]string{}, files(t, tree))
		})
	})
}

func TestWriteConverges(t *testing.T) {
	t.Parallel()
	create := func(tree *Tree) { must(t, tree.Create(t.Context(), "a", 7, testConfig())) }
	next := testConfig()
	next.Port = 27016
	write := func(tree *Tree) error { return tree.Write(t.Context(), "a", 7, next) }
	crashes(t, create, write, func(tree *Tree, at string) {
		// At every moment the unit finds a whole environment and its layer.
		env, err := os.ReadFile(filepath.Join(tree.root, "instances/a/instance.env"))
		must(t, err)
		vars := parseEnv(string(env))
		layer, _, _ := strings.Cut(vars["L4D2_LOWERDIRS"], ":")
		if _, err := os.Stat(filepath.Join(layer, serverCfg)); err != nil {
			t.Errorf("crash before %q: %v", at, err)
		}
		must(t, tree.Check("a"))
		must(t, tree.Prune("a"))
		if _, err := os.Stat(filepath.Join(layer, serverCfg)); err != nil {
			t.Errorf("crash before %q: the layer in use was pruned: %v", at, err)
		}
		must(t, write(tree))
		must(t, tree.Prune("a"))
		s, err := tree.Read("a")
		must(t, err)
		same(t, next, s.Config)
		entries, err := os.ReadDir(filepath.Join(tree.root, "instances/a/layers"))
		must(t, err)
		if len(entries) != 1 {
			t.Errorf("crash before %q: %d layers are left", at, len(entries))
		}
	})
}

func TestRemovalConverges(t *testing.T) {
	t.Parallel()
	create := func(tree *Tree) {
		must(t, tree.Create(t.Context(), "a", 7, testConfig()))
		must(t, os.MkdirAll(filepath.Join(tree.root, "runtime/a/work/work"), 0o000))
	}
	remove := func(tree *Tree) error {
		if err := tree.Retire("a"); err != nil {
			return err
		}
		return tree.Remove("a")
	}
	crashes(t, create, remove, func(tree *Tree, at string) {
		must(t, remove(tree))
		if !tree.Gone("a") {
			t.Errorf("crash before %q: something is left", at)
		}
		same(t, map[string]string{}, files(t, tree))
		must(t, tree.Create(t.Context(), "a", 8, testConfig()))
	})
}

// What a game wrote is never walked through, whatever it is.
func TestRemoveLeavesUpperAlone(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	must(t, tree.Create(t.Context(), "a", 7, testConfig()))
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("keep"), 0o600))
	link := filepath.Join(tree.root, "runtime/a/upper/link")
	must(t, os.Symlink(outside, link))
	must(t, tree.Retire("a"))
	before := files(t, tree)
	fails(t, tree.Remove("a"), server.CodeInstanceFiles, "upper is not empty", "systemctl start left4me-clear@a.service")
	same(t, before, files(t, tree))
	fails(t, tree.Create(t.Context(), "a", 8, testConfig()), server.CodeInstanceFiles, "earlier server")
	same(t, before, files(t, tree))
	must(t, os.Remove(filepath.Join(tree.root, "runtime/.a.removed/upper/link")))
	must(t, tree.Remove("a"))
	data, err := os.ReadFile(outside)
	must(t, err)
	same(t, "keep", string(data))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	created := func(t *testing.T) *Tree {
		tree := newTree(t)
		must(t, tree.Create(t.Context(), "a", 7, cfg))
		return tree
	}
	at := func(tree *Tree, path string) string { return filepath.Join(tree.root, path) }
	t.Run("another server's files", func(t *testing.T) {
		tree := created(t)
		before := files(t, tree)
		fails(t, tree.Create(t.Context(), "a", 8, cfg), server.CodeInstanceFiles, "another server (id 7, not 8)")
		fails(t, tree.Write(t.Context(), "a", 8, cfg), server.CodeInstanceFiles, "another server")
		same(t, before, files(t, tree))
	})
	t.Run("a stranger's directory", func(t *testing.T) {
		tree := newTree(t)
		must(t, os.Mkdir(at(tree, "instances/a"), 0o700))
		before := files(t, tree)
		fails(t, tree.Create(t.Context(), "a", 7, cfg), server.CodeInstanceFiles, "settings.json) is missing")
		same(t, before, files(t, tree))
	})
	t.Run("an upper layer of an unknown server", func(t *testing.T) {
		tree := newTree(t)
		must(t, os.MkdirAll(at(tree, "runtime/a/upper"), 0o700))
		must(t, os.WriteFile(at(tree, "runtime/a/upper/x"), nil, 0o600))
		fails(t, tree.Create(t.Context(), "a", 7, cfg), server.CodeInstanceFiles, "upper holds files of an earlier server")
		if _, err := os.Stat(at(tree, "instances/.a.new")); !errors.Is(err, fs.ErrNotExist) {
			t.Error("something half made is left")
		}
	})
	t.Run("a link as the instance", func(t *testing.T) {
		tree := created(t)
		must(t, os.Rename(at(tree, "instances/a"), at(tree, "elsewhere")))
		must(t, os.Symlink(at(tree, "elsewhere"), at(tree, "instances/a")))
		for _, err := range []error{tree.Check("a"), tree.Create(t.Context(), "a", 7, cfg), tree.Write(t.Context(), "a", 7, cfg), tree.Retire("a"), tree.Prune("a")} {
			fails(t, err, server.CodeInstanceFiles, "a symbolic link")
		}
	})
	t.Run("a link as the runtime directory", func(t *testing.T) {
		tree := newTree(t)
		must(t, os.Symlink("/tmp", at(tree, "runtime/a")))
		fails(t, tree.Create(t.Context(), "a", 7, cfg), server.CodeInstanceFiles, "a symbolic link")
		if entries, _ := os.ReadDir(at(tree, "instances")); len(entries) != 0 {
			t.Errorf("left behind: %v", entries)
		}
	})
	t.Run("files missing", func(t *testing.T) {
		for file, what := range map[string]string{
			"instances/a/settings.json": "the settings", "instances/a/instance.env": "the environment file",
			"instances/a/layers/1/left4dead2/cfg/server.cfg": "the settings layer",
			"runtime/a/upper": "the upper layer", "runtime/a/merged": "the mount point",
		} {
			tree := created(t)
			must(t, os.Remove(at(tree, file)))
			fails(t, tree.Check("a"), server.CodeInstanceFiles, what+" ("+at(tree, file)+") is missing")
			must(t, tree.Write(t.Context(), "a", 7, cfg))
			must(t, tree.Check("a"))
		}
	})
	t.Run("settings that say nothing", func(t *testing.T) {
		tree := created(t)
		must(t, os.WriteFile(at(tree, "instances/a/settings.json"), []byte("{"), 0o600))
		_, err := tree.Read("a")
		fails(t, err, server.CodeInstanceFiles, "not readable as settings")
		must(t, tree.Write(t.Context(), "a", 7, cfg))
		must(t, tree.Check("a"))
	})
	t.Run("settings of another name", func(t *testing.T) {
		tree := created(t)
		must(t, os.Rename(at(tree, "instances/a"), at(tree, "instances/b")))
		fails(t, tree.Write(t.Context(), "b", 7, cfg), server.CodeInstanceFiles, `a server named "a"`)
	})
	t.Run("a pipe as settings", func(t *testing.T) {
		tree := created(t)
		must(t, os.Remove(at(tree, "instances/a/settings.json")))
		must(t, syscall.Mkfifo(at(tree, "instances/a/settings.json"), 0o600))
		_, err := tree.Read("a")
		fails(t, err, server.CodeInstanceFiles, "not a plain file")
	})
	t.Run("a foreign owner", func(t *testing.T) {
		tree := created(t)
		tree.uid++
		fails(t, tree.Check("a"), server.CodeInstanceFiles, "belongs to uid")
	})
	t.Run("unwritable settings", func(t *testing.T) {
		tree := newTree(t)
		for _, change := range []func(*server.Config){
			func(c *server.Config) { c.Hostname = "a\"; quit" },
			func(c *server.Config) { c.Hostname = "a\nquit" },
			func(c *server.Config) { c.CVars = map[string]string{"sv_x\nquit": "1"} },
			func(c *server.Config) { c.Map = "a b" },
			func(c *server.Config) { c.Args = []string{"a b"} },
			func(c *server.Config) { c.Overlays = []string{"a:b"} },
			func(c *server.Config) { c.Overlays = []string{"a,b"} },
			func(c *server.Config) { c.Overlays = []string{strings.Repeat("x", 4000)} },
		} {
			c := testConfig()
			change(&c)
			fails(t, tree.Create(t.Context(), "a", 7, c), server.CodeInvalidRequest)
		}
		same(t, map[string]string{}, files(t, tree))
	})
}

func TestOverlaysAndInstallation(t *testing.T) {
	t.Parallel()
	tree, cfg := newTree(t), testConfig()
	at := func(path string) string { return filepath.Join(tree.root, path) }
	fails(t, tree.Installed(), server.CodeNotInstalled, "Steam app 222860")
	must(t, os.WriteFile(at("installation/srcds_run"), nil, 0o755))
	must(t, tree.Installed())
	fails(t, tree.CheckOverlays(cfg, nil), server.CodeOverlayNotFound, `"maps" is not below`)
	must(t, os.Symlink("/tmp", at("overlays/maps")))
	fails(t, tree.CheckOverlays(cfg, nil), server.CodeOverlayNotFound, "a symbolic link")
	must(t, os.Remove(at("overlays/maps")))
	must(t, os.Mkdir(at("overlays/maps"), 0o755))
	must(t, os.Mkdir(at("overlays/admin.1"), 0o755))
	must(t, tree.CheckOverlays(cfg, nil))
	cfg.Overlays = []string{"../installation"}
	fails(t, tree.CheckOverlays(cfg, nil), server.CodeOverlayNotFound, "no possible name")
}
