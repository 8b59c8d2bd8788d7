package upper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// asideKept is how many of the things that stood in one file's place are kept.
const asideKept = 3

// Uncover takes away what in the layer hides a file of the settings layer, which
// is the topmost of the lower ones: the layer itself lies above it. What stands in
// a file's place, or in that of a directory on the way to one, is moved beside it,
// as NAME.hidden-1; the older ones of that name move on to -2 and -3, and then
// are removed. A whiteout is removed; so are a directory's marks that keep what
// is below it from being seen.
//
// It answers what it did, a line each, safe to print. Directories on the way are
// given the mode that it takes to work in them.
func Uncover(layer, settings *os.Root, owner Owner) ([]string, error) {
	u := &uncoverer{owner: owner}
	if err := u.directory(layer, settings, "."); err != nil {
		return u.did, fmt.Errorf("cannot uncover the settings in the upper layer: %w; look at it, and move away what hides the settings", err)
	}
	return u.did, nil
}

type uncoverer struct {
	owner Owner
	did   []string
}

func (u *uncoverer) say(format string, args ...any) {
	u.did = append(u.did, fmt.Sprintf(format, args...))
}

// directory uncovers what settings has at path, which both have as a directory.
func (u *uncoverer) directory(layer, settings *os.Root, at string) error {
	if err := u.unmark(layer, at); err != nil {
		return err
	}
	return eachIn(settings, func(entry fs.DirEntry) error {
		return u.entry(layer, settings, entry, path.Join(at, entry.Name()))
	})
}

// entry uncovers one entry of the settings layer.
func (u *uncoverer) entry(layer, settings *os.Root, entry fs.DirEntry, at string) error {
	name := entry.Name()
	info, err := layer.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case whiteout(info):
		u.say("%q had been removed by the game; it is there again", at)
		return layer.Remove(name)
	case !entry.IsDir() || !info.IsDir():
		return u.moveAside(layer, name, at)
	}
	sub, err := layer.OpenRoot(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	below, err := settings.OpenRoot(name)
	if err != nil {
		return err
	}
	defer below.Close()
	return u.directory(sub, below, at)
}

// The marks of overlayfs that keep a directory from being merged with the lower
// ones: the first hides them; with the second, as the overlay is mounted, the
// directory cannot be entered (Documentation/filesystems/overlayfs.rst; the names
// are those of a mount with userxattr).
const (
	xattrOpaque   = "user.overlay.opaque"
	xattrRedirect = "user.overlay.redirect"
)

// unmark makes a directory one that can be worked in and that is merged with the
// lower ones.
func (u *uncoverer) unmark(dir *os.Root, at string) error {
	self, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer self.Close()
	info, err := self.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&dirMode != dirMode {
		if err := self.Chmod(info.Mode().Perm() | dirMode); err != nil {
			return err
		}
	}
	for _, mark := range []string{xattrOpaque, xattrRedirect} {
		var value [1]byte
		n, err := unix.Fgetxattr(int(self.Fd()), mark, value[:])
		switch {
		case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
			continue
		case mark == xattrOpaque && err == nil && n == 1 && value[0] == 'x':
			continue // not opaque: it has whiteouts that are files (Linux 6.7)
		}
		if err := unix.Fremovexattr(int(self.Fd()), mark); err != nil {
			return &fs.PathError{Op: "remove the mark " + mark, Path: at, Err: err}
		}
		u.say("%q hid what is below it in the lower layers (%s); it does no more", at, mark)
	}
	return nil
}

// moveAside gives what is called name the first of the names for that.
func (u *uncoverer) moveAside(dir *os.Root, name, at string) error {
	aside := func(n int) string { return name + ".hidden-" + strconv.Itoa(n) }
	if err := u.discard(dir, aside(asideKept)); err != nil {
		return err
	}
	for n := asideKept - 1; n > 0; n-- {
		if err := dir.Rename(aside(n), aside(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := dir.Rename(name, aside(1)); err != nil {
		return err
	}
	u.say("%q, which hid the settings, is now %q", at, path.Join(path.Dir(at), aside(1)))
	return nil
}

// discard removes an entry of any kind, if there is one.
func (u *uncoverer) discard(dir *os.Root, name string) error {
	info, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		sub, err := dir.OpenRoot(name)
		if err != nil {
			return err
		}
		defer sub.Close()
		if _, err := Clear(sub, u.owner); err != nil {
			return err
		}
	}
	return dir.Remove(name)
}

// whiteout recognises overlayfs' mark of a file that was removed.
func whiteout(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Mode&syscall.S_IFMT == syscall.S_IFCHR && stat.Rdev == 0
}
