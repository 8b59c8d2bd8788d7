package adopt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// dir is an open directory: whatever else gets its name, it stays the same.
type dir struct {
	file *os.File
	path string // for messages alone
}

// openAt opens a directory that is no link, below an open one.
func openAt(parent int, name, path string) (*dir, error) {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is no directory; move it away", path)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &dir{os.NewFile(uintptr(fd), path), path}, nil
}

func (d *dir) fd() int { return int(d.file.Fd()) }

func (d *dir) close() { d.file.Close() }

func (d *dir) open(name string) (*dir, error) {
	return openAt(d.fd(), name, filepath.Join(d.path, name))
}

// entry is what stands at a name, and which it is: two that are equal are the
// same, as long as it has not been changed.
type entry struct {
	there, directory, mounted bool

	uid, gid     int
	mode         uint32
	major, minor uint32
	inode        uint64
}

// look says what an entry of the directory is, without following a link and
// without opening it; of "", the directory itself.
func (d *dir) look(name string) (entry, error) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	err := unix.Statx(d.fd(), name, flags, unix.STATX_BASIC_STATS, &st)
	if errors.Is(err, unix.ENOENT) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, &fs.PathError{Op: "statx", Path: filepath.Join(d.path, name), Err: err}
	}
	return entry{
		there:     true,
		directory: st.Mode&unix.S_IFMT == unix.S_IFDIR,
		mounted:   st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, // since Linux 5.8
		uid:       int(st.Uid),
		gid:       int(st.Gid),
		mode:      uint32(st.Mode) &^ unix.S_IFMT,
		major:     st.Dev_major,
		minor:     st.Dev_minor,
		inode:     st.Ino,
	}, nil
}

// only refuses a directory that holds anything but these names.
func (d *dir) only(names ...string) error {
	list, err := d.open(".")
	if err != nil {
		return err
	}
	defer list.close()
	found, err := list.file.Readdirnames(len(names) + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, name := range found {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%s holds %.60q, which does not belong there; move it away", d.path, name)
		}
	}
	return nil
}

// own gives the directory another owner and mode. Once it is the owner's, that
// owner needs no capability to change the rest. A list of rights that the old
// owner may have left would be masked by the mode, but hand itself on.
func (d *dir) own(owner Owner, mode uint32) error {
	if err := d.file.Chown(owner.UID, owner.GID); err != nil {
		return err
	}
	for _, list := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
		err := unix.Fremovexattr(d.fd(), list)
		if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
			return &fs.PathError{Op: "removexattr", Path: d.path, Err: err}
		}
	}
	// Not File.Chmod: it would take the bits of a FileMode.
	if err := unix.Fchmod(d.fd(), mode); err != nil {
		return &fs.PathError{Op: "chmod", Path: d.path, Err: err}
	}
	return nil
}
