package instance

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

func sysStat(info fs.FileInfo) (*syscall.Stat_t, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}

// syncDir makes the entries of a directory last over a power cut.
func syncDir(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// makeDir makes a directory with exactly this mode, whatever the umask.
// One that is there already is given the mode; anything else in its place is an
// error.
func (t *Tree) makeDir(dir *os.Root, name string, mode fs.FileMode) error {
	t.step("mkdir " + name)
	switch err := dir.Mkdir(name, mode); {
	case errors.Is(err, fs.ErrExist):
		if err := t.plainDir(dir, name); err != nil {
			return err
		}
	case err != nil:
		return in(dir, err)
	}
	return in(dir, dir.Chmod(name, mode))
}

// writeFile puts a file in place at once: whoever looks sees the old one or
// the new one, whole, also after a power cut.
func (t *Tree) writeFile(dir *os.Root, name string, data []byte, mode fs.FileMode) error {
	temp := newName(name)
	t.step("write " + temp)
	if err := dir.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return in(dir, err)
	}
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return in(dir, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return errors.Join(in(dir, err), dir.Remove(temp))
	}
	return t.rename(dir, temp, name)
}

// rename renames within a directory and makes it last.
func (t *Tree) rename(dir *os.Root, from, to string) error {
	t.step("rename " + from + " to " + to)
	if err := dir.Rename(from, to); err != nil {
		return in(dir, err)
	}
	t.step("sync after renaming to " + to)
	return syncDir(dir)
}

// removeAll removes a tree of root's own and makes that last. It follows no
// link, inside or outside.
func (t *Tree) removeAll(dir *os.Root, name string) error {
	if !exists(dir, name) {
		return nil
	}
	t.step("remove " + name)
	if err := dir.RemoveAll(name); err != nil {
		return in(dir, err)
	}
	return syncDir(dir)
}

// exists says whether there is anything called name.
func exists(dir *os.Root, name string) bool {
	_, err := dir.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// in completes the path that an error of os.Root names: it is relative to the
// directory.
func in(dir *os.Root, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) && !filepath.IsAbs(path.Path) {
		return &fs.PathError{Op: path.Op, Path: joined(dir, path.Path), Err: path.Err}
	}
	var link *os.LinkError
	if errors.As(err, &link) && !filepath.IsAbs(link.New) {
		return &fs.PathError{Op: link.Op, Path: joined(dir, link.New), Err: link.Err}
	}
	return err
}

// joined is the path of a name in a directory, for messages.
func joined(dir *os.Root, name string) string { return filepath.Join(dir.Name(), name) }
