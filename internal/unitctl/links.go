package unitctl

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

// unitDir is where an administrator's units and systemd's enablement links live.
const unitDir = "etc/systemd/system"

// searchPath is where the system manager looks for units, highest priority
// first (systemd.unit(5), "Unit File Load Path"), relative to the root.
var searchPath = [...]string{
	"etc/systemd/system.control",
	"run/systemd/system.control",
	"run/systemd/transient",
	"run/systemd/generator.early",
	unitDir,
	"etc/systemd/system.attached",
	"run/systemd/system",
	"run/systemd/system.attached",
	"run/systemd/generator",
	"usr/local/lib/systemd/system",
	"usr/lib/systemd/system",
	"lib/systemd/system",
	"run/systemd/generator.late",
}

// Links is what the files say of our units: which are started at the next boot
// and which are masked.
type Links struct {
	// Enabled holds the instances with a link in a .wants or .requires
	// directory.
	Enabled map[string]bool
	// Masked holds the instances with a unit file of their own, whose value
	// says whether that file is a mask. Masked says it of any instance.
	Masked map[string]bool
	// TemplateMasked says that the template in force is a mask. Instances with
	// a unit file of their own do not depend on it.
	TemplateMasked bool
}

// IsMasked says whether an instance is masked, by itself or with the template.
func (l Links) IsMasked(instance string) bool {
	if masked, own := l.Masked[instance]; own {
		return masked
	}
	return l.TemplateMasked
}

// Links reads all enablement links below the unit path, and the masks there and
// in /run/systemd/system. It does not ask systemd: ListUnitFiles tells only of
// the template.
//
// An entry counts as systemd counts it (process_deps in load-dropin.c): it must
// be a symbolic link, its name decides and not its target, and a link to
// /dev/null or an empty file is a mask that enables nothing.
func (m *Manager) Links() (Links, error) {
	l := Links{Enabled: make(map[string]bool), Masked: make(map[string]bool)}
	dirs, err := m.wantsDirs()
	if err != nil {
		return Links{}, err
	}
	for _, dir := range dirs {
		if err := readWants(dir, l.Enabled); err != nil {
			return Links{}, err
		}
	}
	// /etc comes before /run in the search path, so it is read last and wins.
	for _, dir := range []string{m.runPath, m.unitPath} {
		if err := readMasks(dir, l.Masked); err != nil {
			return Links{}, err
		}
	}
	if used, _ := m.TemplatePaths(); used != "" {
		l.TemplateMasked = isMask(used)
	}
	return l, nil
}

// Linked says whether one instance is started at the next boot.
func (m *Manager) Linked(instance string) (bool, error) {
	unit := unitOf(instance)
	if err := checkUnit(unit); err != nil {
		return false, err
	}
	dirs, err := m.wantsDirs()
	if err != nil {
		return false, err
	}
	for _, dir := range dirs {
		target, err := os.Readlink(filepath.Join(dir, unit))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EINVAL): // EINVAL: not a link
			continue
		case err != nil:
			return false, err
		}
		if enables(filepath.Join(dir, unit), unit, target) {
			return true, nil
		}
	}
	return false, nil
}

// LinksChanged is when the entries of multi-user.target.wants last changed, in
// nanoseconds since 1970, or 0 when there is no such directory. The clock behind
// it moves in steps of a few milliseconds.
func (m *Manager) LinksChanged() (int64, error) {
	st, err := os.Stat(filepath.Join(m.unitPath, "multi-user.target.wants"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return st.ModTime().UnixNano(), nil
}

// SyncLinks has the directories of links written to the disk. systemd does not:
// without it a power cut may take back a change that it called done, on a host
// where /etc is on another file system than our database, whose own writes would
// otherwise bring it along.
func (m *Manager) SyncLinks() error {
	dirs, err := m.wantsDirs()
	if err != nil {
		return err
	}
	for _, dir := range append(dirs, m.unitPath) {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return ignoreAbsent(err)
	}
	defer f.Close()
	return f.Sync()
}

// TemplatePaths says where in systemd's search path the template is found: the
// file in force (empty when there is none), and those that it hides. A mask
// counts as a file.
func (m *Manager) TemplatePaths() (used string, shadowed []string) {
	var seen []os.FileInfo
	for _, dir := range m.search {
		file := filepath.Join(dir, server.Template)
		st, err := os.Lstat(file)
		if err != nil || contains(seen, st) { // /lib is /usr/lib on a merged system
			continue
		}
		seen = append(seen, st)
		if used == "" {
			used = file
			continue
		}
		shadowed = append(shadowed, file)
	}
	return used, shadowed
}

func contains(seen []os.FileInfo, st os.FileInfo) bool {
	for _, s := range seen {
		if os.SameFile(s, st) {
			return true
		}
	}
	return false
}

func unitOf(instance string) string {
	prefix, suffix, _ := strings.Cut(server.Template, ".")
	return prefix + instance + "." + suffix
}

// wantsDirs lists the .wants and .requires directories below the unit path.
func (m *Manager) wantsDirs() ([]string, error) {
	entries, err := readDir(m.unitPath)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if isWantsDir(e.Name()) {
			dirs = append(dirs, filepath.Join(m.unitPath, e.Name()))
		}
	}
	return dirs, nil
}

func isWantsDir(name string) bool {
	return strings.HasSuffix(name, ".wants") || strings.HasSuffix(name, ".requires")
}

// readDir lists a directory, unsorted; one that is missing, or is none, is
// empty.
func readDir(dir string) ([]os.DirEntry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, ignoreAbsent(err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	return entries, ignoreAbsent(err)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return err
}

// readWants adds the instances that a .wants or .requires directory enables.
func readWants(dir string, enabled map[string]bool) error {
	f, err := os.Open(dir)
	if err != nil {
		return ignoreAbsent(err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return ignoreAbsent(err)
	}
	var target [unix.PathMax]byte
	for _, e := range entries {
		instance, ok := server.Instance(e.Name())
		if !ok || enabled[instance] {
			continue
		}
		n, err := unix.Readlinkat(int(f.Fd()), e.Name(), target[:])
		if err != nil {
			continue // not a link, or gone since
		}
		if isOurs(target[:n]) || enables(filepath.Join(dir, e.Name()), e.Name(), string(target[:n])) {
			enabled[instance] = true
		}
	}
	return nil
}

// isOurs is the quick way for what systemd itself writes.
func isOurs(target []byte) bool { return bytes.HasSuffix(target, []byte("/"+server.Template)) }

// enables says whether a link of a .wants directory enables the unit it is named
// after. Its target is looked at only when it could be a mask: what is named as
// the unit or its template is judged as that, not as a dependency.
func enables(link, unit, target string) bool {
	switch path.Base(target) {
	case server.Template, unit:
		return true
	}
	return !isMask(link)
}

// readMasks notes for each instance with a unit file of its own in dir whether
// that is a mask.
func readMasks(dir string, masked map[string]bool) error {
	entries, err := readDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if instance, ok := server.Instance(e.Name()); ok {
			masked[instance] = isMask(filepath.Join(dir, e.Name()))
		}
	}
	return nil
}

// isMask says whether a file is what systemd takes for a mask: /dev/null or an
// empty file, or a link to one. A link to nowhere is not.
func isMask(file string) bool {
	if target, err := os.Readlink(file); err == nil && target == os.DevNull {
		return true
	}
	st, err := os.Stat(file)
	if err != nil {
		return false
	}
	if st.Mode().IsRegular() {
		return st.Size() == 0
	}
	return st.Mode()&fs.ModeCharDevice != 0
}
