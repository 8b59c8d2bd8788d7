package instance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/left4med/left4med/internal/server"
)

type dirMode struct {
	name string
	mode fs.FileMode
}

// runtimeDirs are the directories of runtime/NAME. merged is only where the
// tree is mounted; the mount brings its own mode.
func runtimeDirs() []dirMode {
	return []dirMode{{"upper", 0o700}, {"work", 0o700}, {"merged", 0o755}}
}

// Create makes the files of a new instance. Whatever an earlier call that was
// cut short left behind is used or replaced, and an instance of the same id
// that is there already is completed and given these settings; one of another
// id is an error with code CodeInstanceFiles and stays as it is.
func (t *Tree) Create(ctx context.Context, name server.Name, id int64, cfg server.Config) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	doing := "create the files of " + string(name)
	if _, err := server.ParseName(string(name)); err != nil {
		return err
	}
	s := Settings{ID: id, Name: name, Config: cfg.Clone(), Layer: 1}
	// What cannot be written is found before anything is.
	if err := t.writable(s); err != nil {
		return t.fail(doing, err)
	}
	instances, err := t.parent(instancesDir)
	if err != nil {
		return t.fail(doing, err)
	}
	defer instances.Close()
	if exists(instances, string(name)) {
		if _, err := t.read(name); err != nil { // what is put there whole has its settings
			return t.fail(doing, err)
		}
		return t.fail(doing, t.rewrite(instances, s, nil))
	}
	if err := t.build(instances, s); err != nil {
		// Should that fail as well, the next Create or Sweep does it.
		_ = t.sweep(instances, name)
		return t.fail(doing, err)
	}
	return nil
}

// writable says whether settings can be expressed in the files.
func (t *Tree) writable(s Settings) error {
	if s.ID <= 0 {
		return server.Errorf(server.CodeInternal, "cannot write the files of %s without an id", s.Name)
	}
	if _, err := t.environment(s, nil); err != nil {
		return err
	}
	if _, err := encodeServerCfg(s.Config); err != nil {
		return err
	}
	_, err := encodeSettings(s)
	return err
}

// build puts the instance together beside its place and moves it there last.
func (t *Tree) build(instances *os.Root, s Settings) error {
	dir, err := t.begin(instances, s.Name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := t.fill(dir, s, nil); err != nil {
		return err
	}
	if err := t.makeRuntime(s.Name, true); err != nil {
		return err
	}
	return t.rename(instances, newName(s.Name), string(s.Name))
}

// begin makes an empty directory beside an instance's place.
func (t *Tree) begin(instances *os.Root, name server.Name) (*os.Root, error) {
	if err := t.removeAll(instances, newName(string(name))); err != nil {
		return nil, err
	}
	if err := t.makeDir(instances, newName(string(name)), 0o700); err != nil {
		return nil, err
	}
	return t.openIn(instances, newName(string(name)))
}

// rewrite gives an instance that is there already new settings, and the secrets
// that change, unless it is nil, makes of those it has.
func (t *Tree) rewrite(instances *os.Root, s Settings, change func(secrets)) error {
	dir, err := t.openIn(instances, string(s.Name))
	if err != nil {
		return err
	}
	defer dir.Close()
	switch old, err := readSettings(dir, s.Name); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errUnreadable): // they are written anew
	case err != nil:
		return err
	case old.ID != s.ID:
		return server.Errorf(server.CodeInstanceFiles, "%s holds the files of another server (id %d, not %d); move it away", dir.Name(), old.ID, s.ID)
	}
	return t.renew(dir, s, change)
}

// renew writes an instance's files beside those there are.
func (t *Tree) renew(dir *os.Root, s Settings, change func(secrets)) (err error) {
	if err := dir.Chmod(".", 0o700); err != nil {
		return in(dir, err)
	}
	if s.Layer, err = nextLayer(dir); err != nil {
		return err
	}
	if err := t.fill(dir, s, change); err != nil {
		return err
	}
	return t.makeRuntime(s.Name, false)
}

// fill writes what is in instances/NAME: first the layer, then the secrets that it
// tells the game, so that none is ever in use and not stored; then what names the
// layer, and last settings.json, so that its word means that all of it is there.
func (t *Tree) fill(dir *os.Root, s Settings, change func(secrets)) error {
	kept, err := readSecrets(dir)
	if err != nil {
		return err
	}
	if change != nil {
		change(kept)
	}
	if !kept[server.SecretRCON].IsSet() {
		kept.set(server.SecretRCON, t.random())
	}
	env, err := t.environment(s, kept)
	if err != nil {
		return err
	}
	settings, err := encodeSettings(s)
	if err != nil {
		return err
	}
	if err := t.writeLayer(dir, s, kept); err != nil {
		return err
	}
	if err := t.writeSecrets(dir, kept); err != nil {
		return err
	}
	if err := t.writeFile(dir, envFile, env, 0o600); err != nil {
		return err
	}
	return t.writeFile(dir, settingsFile, settings, 0o600)
}

func encodeSettings(s Settings) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	if b.Len() > maxSettings {
		return nil, server.Errorf(server.CodeInvalidRequest, "the settings are %d bytes long; at most %d are possible", b.Len(), maxSettings)
	}
	return b.Bytes(), nil
}

// writeLayer makes a settings layer. It is never changed afterwards: a mounted
// overlay must not see its lower directories change (overlayfs, "Changes to
// underlying filesystems").
//
// Its modes let any uid read it, since root does not know the game's. The secrets
// in it are kept by what is above: instances/NAME is root's, 0700, and the top of
// the mounted tree the game's own, 0700.
func (t *Tree) writeLayer(dir *os.Root, s Settings, kept secrets) error {
	cfg, err := encodeServerCfg(s.Config)
	if err != nil {
		return err
	}
	if err := t.makeDir(dir, layersDir, 0o755); err != nil {
		return err
	}
	layers, err := t.openIn(dir, layersDir)
	if err != nil {
		return err
	}
	defer layers.Close()
	number := strconv.Itoa(s.Layer)
	temp := newName(number)
	if err := t.removeAll(layers, temp); err != nil {
		return err
	}
	at := temp
	for _, d := range []string{"", "/left4dead2", "/left4dead2/cfg"} {
		at = temp + d
		if err := t.makeDir(layers, at, 0o755); err != nil {
			return err
		}
	}
	for _, file := range append([]layerFile{{serverCfg, cfg}}, kept.files()...) {
		if err := t.writeInto(layers, at, filepath.Base(file.path), file.data); err != nil {
			return err
		}
	}
	for _, d := range []string{"/left4dead2", ""} {
		if err := syncIn(layers, temp+d); err != nil {
			return err
		}
	}
	if err := t.rename(layers, temp, number); err != nil {
		return err
	}
	return syncDir(dir)
}

func (t *Tree) writeInto(parent *os.Root, at, name string, data []byte) error {
	dir, err := parent.OpenRoot(at)
	if err != nil {
		return err
	}
	defer dir.Close()
	return t.writeFile(dir, name, data, 0o644)
}

func syncIn(parent *os.Root, at string) error {
	dir, err := parent.OpenRoot(at)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(dir), dir.Close())
}

// nextLayer is one more than the highest number in use.
func nextLayer(dir *os.Root) (int, error) {
	layers, err := dir.OpenRoot(layersDir)
	if errors.Is(err, fs.ErrNotExist) {
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	defer layers.Close()
	entries, err := readDir(layers)
	highest := 0
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			highest = max(highest, n)
		}
	}
	return highest + 1, err
}

// makeRuntime makes runtime/NAME. For a new instance, an upper layer that is
// there already must be empty: it would hand an unknown server's files to this
// one.
func (t *Tree) makeRuntime(name server.Name, fresh bool) error {
	runtime, err := t.parent(runtimeDir)
	if err != nil {
		return err
	}
	defer runtime.Close()
	if fresh && exists(runtime, removedName(name)) {
		return server.Errorf(server.CodeInstanceFiles, "%s is left of an earlier server of that name; run systemctl start %s to empty it, then remove it", joined(runtime, removedName(name)), name.ClearUnit())
	}
	if err := t.makeDir(runtime, string(name), 0o711); err != nil {
		return err
	}
	dir, err := t.openIn(runtime, string(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, d := range runtimeDirs() {
		if err := t.makeRuntimeDir(dir, d, fresh); err != nil {
			return err
		}
	}
	t.step("sync runtime")
	return errors.Join(syncDir(dir), syncDir(runtime))
}

// makeRuntimeDir leaves a directory that exists as it is: upper is the game's
// own, and merged may be mounted.
func (t *Tree) makeRuntimeDir(dir *os.Root, d dirMode, fresh bool) error {
	info, err := dir.Lstat(d.name)
	if errors.Is(err, fs.ErrNotExist) {
		return t.makeDir(dir, d.name, d.mode)
	}
	if err != nil {
		return in(dir, err)
	}
	if !info.IsDir() {
		return server.Errorf(server.CodeInstanceFiles, "%s is not a directory (%s); move it away", joined(dir, d.name), kind(info.Mode()))
	}
	if !fresh || d.name != "upper" {
		return nil
	}
	empty, err := emptyDir(dir, d.name)
	if err == nil && !empty {
		err = server.Errorf(server.CodeInstanceFiles, "%s holds files of an earlier server of that name; move %s away", joined(dir, d.name), dir.Name())
	}
	return err
}

// parent opens instances/ or runtime/, and makes it where it is missing.
func (t *Tree) parent(name string) (*os.Root, error) {
	dir, err := t.open(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	root, err := os.OpenRoot(t.root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := t.makeDir(root, name, 0o755); err != nil {
		return nil, err
	}
	if err := syncDir(root); err != nil {
		return nil, err
	}
	return t.openIn(root, name)
}

// Write gives an instance new settings: a new layer, and instance.env replaced
// in one step. A unit that runs keeps what it has until its next start. What
// the instance lacks is made again, also a secret for RCON; the error's code is
// CodeInstanceFiles when it does not exist or has another id.
func (t *Tree) Write(ctx context.Context, name server.Name, id int64, cfg server.Config) error {
	return t.write(ctx, "write the settings of "+string(name), Settings{ID: id, Name: name, Config: cfg}, nil)
}

func (t *Tree) write(ctx context.Context, doing string, s Settings, change func(secrets)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.Config, s.Layer = s.Config.Clone(), 1
	if err := t.writable(s); err != nil {
		return t.fail(doing, err)
	}
	instances, err := t.open(instancesDir)
	if err != nil {
		return t.fail(doing, err)
	}
	defer instances.Close()
	return t.fail(doing, t.rewrite(instances, s, change))
}

// Prune removes the settings layers that instance.env no longer names. The
// caller knows that the server is not live: a mounted overlay must keep its
// layers.
func (t *Tree) Prune(name server.Name) error {
	return t.fail("remove old settings of "+string(name), t.prune(name))
}

func (t *Tree) prune(name server.Name) error {
	s, err := t.read(name)
	if err != nil {
		return err
	}
	layers, err := t.open(instancesDir, string(name), layersDir)
	if err != nil {
		return err
	}
	defer layers.Close()
	entries, err := readDir(layers)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// A higher number may be in instance.env already, when a write was
		// cut short before settings.json.
		n, err := strconv.Atoi(e.Name())
		if err == nil && n >= s.Layer {
			continue
		}
		if err := t.removeAll(layers, e.Name()); err != nil {
			return fmt.Errorf("layer %s: %w", e.Name(), err)
		}
	}
	return nil
}
