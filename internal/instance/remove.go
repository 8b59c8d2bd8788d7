package instance

import (
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

// Retire moves an instance out of the way, so that its unit cannot start any
// more: runtime/NAME to runtime/.NAME.removed, then instances/NAME likewise.
// Done before, it does nothing. While the tree is mounted it is refused with
// code CodeInstanceFiles.
func (t *Tree) Retire(name server.Name) error {
	return t.fail("retire the files of "+string(name), t.retireFrom(name, runtimeDir, instancesDir))
}

func (t *Tree) retireFrom(name server.Name, parents ...string) error {
	if _, err := server.ParseName(string(name)); err != nil {
		return err
	}
	if err := t.unmounted(string(name)); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := t.retire(parent, string(name)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) retire(parent, name string) error {
	dir, err := t.open(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := t.plainDir(dir, name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if exists(dir, removedName(name)) {
		return server.Errorf(server.CodeInstanceFiles, "%s is left of an earlier server of that name; remove it first", joined(dir, removedName(name)))
	}
	return t.rename(dir, name, removedName(name))
}

// unmounted refuses a name whose merged directory, in its place or moved away,
// is a mount point.
func (t *Tree) unmounted(name string) error {
	for _, dir := range []string{name, removedName(name)} {
		mounted, err := t.mounted(dir)
		if err != nil {
			return err
		}
		if mounted {
			path := filepath.Join(t.root, runtimeDir, dir, "merged")
			return server.Errorf(server.CodeInstanceFiles, "%s is still mounted; stop %s first, or run umount %s",
				path, server.Name(name).OverlayUnit(), path)
		}
	}
	return nil
}

// Mounted says whether something is mounted on the instance's merged directory.
func (t *Tree) Mounted(name server.Name) (bool, error) {
	mounted, err := t.mounted(string(name))
	return mounted, t.fail("look whether "+string(name)+" is mounted", err)
}

// mounted looks at the merged directory of an entry of runtime/ without touching
// what is mounted there. What is not there is not mounted.
func (t *Tree) mounted(entry string) (bool, error) {
	dir, err := t.open(runtimeDir, entry)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	self, err := dir.Open(".")
	if err != nil {
		return false, err
	}
	defer self.Close()
	var st unix.Statx_t // statx(2); the attribute is there since Linux 5.8
	const flags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	err = unix.Statx(int(self.Fd()), "merged", flags, 0, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, err
}

// Remove removes what Retire moved away. By then the upper layer must be empty:
// the instance's own uid empties it (left4me-clear@NAME.service), for root
// never walks through what a game wrote. The error's code is CodeInstanceFiles
// when something is left there. Done before, it does nothing.
func (t *Tree) Remove(name server.Name) error {
	doing := "remove the files of " + string(name)
	if _, err := server.ParseName(string(name)); err != nil {
		return err
	}
	if err := t.unmounted(string(name)); err != nil {
		return t.fail(doing, err)
	}
	if err := t.removeRuntime(name); err != nil {
		return t.fail(doing, err)
	}
	instances, err := t.open(instancesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return t.fail(doing, err)
	}
	defer instances.Close()
	return t.fail(doing, t.removeAll(instances, removedName(name)))
}

func (t *Tree) removeRuntime(name server.Name) error {
	runtime, err := t.open(runtimeDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer runtime.Close()
	dir, err := t.openIn(runtime, removedName(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, d := range []string{"upper", "merged"} {
		if err := t.removeEmpty(dir, d, name); err != nil {
			return err
		}
	}
	// Root's own, and mounted work directories hold nothing a game can name.
	if err := t.unlockWork(dir); err != nil {
		return err
	}
	if err := t.removeAll(dir, "work"); err != nil {
		return err
	}
	if err := t.removeEmpty(runtime, removedName(name), name); err != nil {
		return err
	}
	return syncDir(runtime)
}

// unlockWork gives the overlay's work directories a mode with which they can be
// looked into. The kernel makes them with none (ovl_workdir_create in
// fs/overlayfs/super.c), and keeps a whiteout in them once a game has removed a
// file; a root without capabilities may not enter, but is the owner.
func (t *Tree) unlockWork(dir *os.Root) error {
	work, err := t.openIn(dir, "work")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer work.Close()
	entries, err := readDir(work)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := work.Chmod(e.Name(), 0o700); err != nil {
			return in(work, err)
		}
	}
	return nil
}

// removeEmpty removes a directory that must be empty; a missing one is fine.
// It is rmdir(2) alone, which neither follows a link nor looks inside.
func (t *Tree) removeEmpty(dir *os.Root, name string, of server.Name) error {
	t.step("rmdir " + name)
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	switch err := unix.Unlinkat(int(f.Fd()), name, unix.AT_REMOVEDIR); {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return server.Errorf(server.CodeInstanceFiles, "%s is not empty; run systemctl start %s, which empties it, and try again", joined(dir, name), of.ClearUnit())
	default:
		return &fs.PathError{Op: "rmdir", Path: joined(dir, name), Err: err}
	}
}

// emptyDir says whether a directory has no entries. It opens nothing below it.
func emptyDir(dir *os.Root, name string) (bool, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// Present says whether an instance stands in its place, whole or in part; what
// Retire moved away does not count.
func (t *Tree) Present(name server.Name) bool {
	return t.any(string(name))
}

// Gone says whether nothing is left of an instance.
func (t *Tree) Gone(name server.Name) bool {
	return !t.any(string(name), newName(name), removedName(name))
}

// any says whether one of the entries is there. What cannot be looked at counts
// as there.
func (t *Tree) any(entries ...string) bool {
	for _, parent := range []string{instancesDir, runtimeDir} {
		dir, err := t.open(parent)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return true
		}
		found := slices.ContainsFunc(entries, func(e string) bool { return exists(dir, e) })
		dir.Close()
		if found {
			return true
		}
	}
	return false
}

// Removed returns the names, sorted, of which Retire was called and Remove not
// finished.
func (t *Tree) Removed() ([]server.Name, error) {
	names := []server.Name{}
	for _, parent := range []string{instancesDir, runtimeDir} {
		entries, err := t.entries(parent)
		if err != nil {
			return nil, t.fail("list the removed instances", err)
		}
		for _, e := range entries {
			if name, ok := between(e.Name(), ".removed"); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Sweep removes what creations that were cut short left behind, but for the
// names that keep says are to be finished. It goes on after an error and
// returns all of them.
func (t *Tree) Sweep(keep func(name server.Name) bool) error {
	dir, err := t.open(instancesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return t.fail("remove leftovers", err)
	}
	defer dir.Close()
	entries, err := readDir(dir)
	errs := []error{err}
	for _, e := range entries {
		name, ok := between(e.Name(), ".new")
		if !ok || keep(name) {
			continue
		}
		if err := t.sweep(dir, name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Name(), err))
		}
	}
	return t.fail("remove leftovers", errors.Join(errs...))
}

// sweep removes a half made instance: first its runtime directory, unless
// something is in it, and last what tells of it.
func (t *Tree) sweep(instances *os.Root, name server.Name) error {
	var err error
	if !exists(instances, string(name)) {
		err = t.sweepRuntime(name)
	}
	return errors.Join(err, t.removeAll(instances, newName(name)))
}

func (t *Tree) sweepRuntime(name server.Name) error {
	runtime, err := t.open(runtimeDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer runtime.Close()
	dir, err := t.openIn(runtime, string(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, d := range runtimeDirs() {
		if err := t.removeEmpty(dir, d.name, name); err != nil {
			return err
		}
	}
	if err := t.removeEmpty(runtime, string(name), name); err != nil {
		return err
	}
	return syncDir(runtime)
}

// between takes the name out of ".NAME" + suffix.
func between(entry, suffix string) (server.Name, bool) {
	rest, ok := strings.CutPrefix(entry, ".")
	if !ok {
		return "", false
	}
	rest, ok = strings.CutSuffix(rest, suffix)
	if !ok {
		return "", false
	}
	name, err := server.ParseName(rest)
	return name, err == nil
}
