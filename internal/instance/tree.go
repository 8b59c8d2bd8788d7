package instance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/left4med/left4med/internal/server"
	"golang.org/x/sys/unix"
)

// DefaultRoot is where the game data is.
const DefaultRoot = "/var/lib/left4me"

// Tree is the game data below one directory. Calls for different names may run
// side by side; those for one name are the caller's to serialise.
type Tree struct {
	root string
	uid  int // whom the files belong to: root, but in tests

	random func() server.Secret // makes a password for RCON; tests know theirs

	// step is called before each change of the disk with its description; a
	// test makes it panic to end there, as a crash would.
	step func(what string)
}

// New returns the tree below root, an absolute path. Nothing is read or
// written before a method is called.
func New(root string) *Tree {
	return &Tree{root: filepath.Clean(root), uid: os.Geteuid(), random: server.RandomSecret, step: func(string) {}}
}

// Root is the directory of the tree.
func (t *Tree) Root() string { return t.root }

// Settings is what settings.json says of an instance: all that is needed to
// adopt it again after a lost database.
type Settings struct {
	ID     int64         `json:"id"`
	Name   server.Name   `json:"name"`
	Config server.Config `json:"config"`
	// Layer is the number of the settings layer that instance.env names; lower
	// ones are of earlier settings.
	Layer int `json:"layer"`
}

const (
	settingsFile = "settings.json"
	envFile      = "instance.env"
	layersDir    = "layers"

	maxSettings = 64 << 10 // bytes read of settings.json
)

// The two directories that hold something of each instance.
const (
	instancesDir = "instances"
	runtimeDir   = "runtime"
)

// newName is where an instance is put together, removedName where it is taken
// apart. No instance can be called so: a name begins with a letter or digit.
func newName[S ~string](name S) string     { return "." + string(name) + ".new" }
func removedName[S ~string](name S) string { return "." + string(name) + ".removed" }

// open opens a directory below the root, which must be a real one that belongs
// to us: a link or a stranger's directory would lead the daemon astray.
func (t *Tree) open(elem ...string) (*os.Root, error) {
	dir, err := os.OpenRoot(t.root)
	if err != nil {
		return nil, err
	}
	for _, e := range elem {
		next, err := t.openIn(dir, e)
		dir.Close()
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

func (t *Tree) openIn(dir *os.Root, name string) (*os.Root, error) {
	if err := t.plainDir(dir, name); err != nil {
		return nil, err
	}
	next, err := dir.OpenRoot(name)
	return next, in(dir, err)
}

// plainDir says whether name is a directory of ours.
func (t *Tree) plainDir(dir *os.Root, name string) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return in(dir, err)
	}
	path := joined(dir, name)
	if !info.IsDir() {
		return server.Errorf(server.CodeInstanceFiles, "%s is not a directory (%s); move it away", path, kind(info.Mode()))
	}
	if uid := ownerOf(info); uid != t.uid {
		return server.Errorf(server.CodeInstanceFiles, "%s belongs to uid %d instead of %d, so its files are not to be trusted; look at them, then give it back (chown -R %d %s) or move it away", path, uid, t.uid, t.uid, path)
	}
	return nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m.IsRegular():
		return "a file"
	}
	return "a special file"
}

func ownerOf(info fs.FileInfo) int {
	if st, ok := sysStat(info); ok {
		return int(st.Uid)
	}
	return -1
}

// Read returns the settings of an instance as its own files say, unchecked but
// for their form and name.
func (t *Tree) Read(name server.Name) (Settings, error) {
	s, err := t.read(name)
	if err != nil {
		return Settings{}, t.fail("read the settings of "+string(name), err)
	}
	return s, nil
}

func (t *Tree) read(name server.Name) (Settings, error) {
	dir, err := t.open(instancesDir, string(name))
	if err != nil {
		return Settings{}, err
	}
	defer dir.Close()
	return readSettings(dir, name)
}

// errUnreadable marks settings that are there and say nothing.
var errUnreadable = errors.New("not readable as settings")

func readSettings(dir *os.Root, name server.Name) (Settings, error) {
	path := joined(dir, settingsFile)
	data, err := readFile(dir, settingsFile, maxSettings)
	if err != nil {
		return Settings{}, err
	}
	var s Settings
	if err := decodeSettings(data, &s); err != nil {
		return Settings{}, &server.Error{Code: server.CodeInstanceFiles, Err: errors.Join(errUnreadable, err),
			Detail: fmt.Sprintf("%s is not readable as settings; `l4d2ctl initialize %s` writes it anew", path, name)}
	}
	if s.Name != name {
		return Settings{}, server.Errorf(server.CodeInstanceFiles, "%s belongs to a server named %s; move the directory to where it was", path, server.Quote(string(s.Name), 40))
	}
	return s, nil
}

// readFile reads a plain file, at most one byte more than max of it.
func readFile(dir *os.Root, name string, max int64) ([]byte, error) {
	// Neither a link nor a pipe may be followed or waited for.
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, in(dir, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, server.Errorf(server.CodeInstanceFiles, "%s is not a plain file; move it away", joined(dir, name)))
	}
	return io.ReadAll(io.LimitReader(f, max+1))
}

func decodeSettings(data []byte, s *Settings) error {
	if len(data) > maxSettings {
		return fmt.Errorf("it is longer than %d bytes", maxSettings)
	}
	if err := json.Unmarshal(data, s); err != nil {
		return err
	}
	if s.ID <= 0 || s.Layer <= 0 || s.Name == "" {
		return errors.New("the id, the name or the layer is missing")
	}
	s.Config = s.Config.Clone()
	return nil
}

// List returns the names of all instance directories, sorted, also of those
// whose name breaks the rule. What is being made or removed is left out.
func (t *Tree) List() ([]string, error) {
	entries, err := t.entries(instancesDir)
	if err != nil {
		return nil, t.fail("list the instances", err)
	}
	names := []string{}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// entries reads a directory below the root; one that does not exist is empty.
func (t *Tree) entries(elem ...string) ([]fs.DirEntry, error) {
	dir, err := t.open(elem...)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return readDir(dir)
}

func readDir(dir *os.Root) ([]fs.DirEntry, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// Installed returns an error with code CodeNotInstalled unless the game is
// installed.
func (t *Tree) Installed() error {
	missing := func() error {
		return server.Errorf(server.CodeNotInstalled, "the game is not installed: %s is missing; `l4d2ctl install` installs the dedicated server (Steam app 222860) there",
			filepath.Join(t.root, "installation", "srcds_run"))
	}
	dir, err := os.OpenRoot(t.root)
	if err != nil {
		return missing()
	}
	defer dir.Close()
	// The directory is the install unit's own, so it is looked at, not trusted.
	info, err := dir.Stat("installation/srcds_run")
	if err != nil || !info.Mode().IsRegular() {
		return missing()
	}
	return nil
}

// Check returns an error with code CodeInstanceFiles that says what an instance
// lacks to be started.
func (t *Tree) Check(name server.Name) error {
	return t.fail("use the files of "+string(name), t.check(name))
}

func (t *Tree) check(name server.Name) error {
	dir, err := t.open(instancesDir, string(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	s, err := readSettings(dir, name)
	if err != nil {
		return err
	}
	for _, file := range []string{envFile, s.layerPath() + "/" + serverCfg} {
		if err := checkKind(dir, file, 0); err != nil {
			return err
		}
	}
	run, err := t.open(runtimeDir, string(name))
	if err != nil {
		return err
	}
	defer run.Close()
	for _, d := range runtimeDirs() {
		if err := checkKind(run, d.name, fs.ModeDir); err != nil {
			return err
		}
	}
	return nil
}

// checkKind says whether name is there and a plain file (0) or a directory
// (fs.ModeDir).
func checkKind(dir *os.Root, name string, want fs.FileMode) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return in(dir, err)
	}
	if got := info.Mode().Type(); got != want {
		return server.Errorf(server.CodeInstanceFiles, "%s is %s, not %s; move it away and initialize the server again", joined(dir, name), kind(got), kind(want))
	}
	return nil
}
