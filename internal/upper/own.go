package upper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Own makes everything in the layer belong to owner, when its top does not
// yet: it is new (root made it), it was adopted from a system with one user
// for all games, or systemd gave the instance another uid than last time,
// because the one that its name hashes to was taken. The top is changed last,
// so that a run that was cut short is done again. Nobody else may look into it:
// the settings layer's secrets are seen through it.
//
// The owner of before may still run processes, those of its other games, so each
// directory is taken from it before what is in it, and each entry is opened
// first, looked at, and then given to owner as what was looked at.
//
// Without CAP_CHOWN and CAP_DAC_READ_SEARCH it fails unless there is nothing
// to do. It answers whether anything was done.
func Own(layer *os.Root, owner Owner) (bool, error) {
	mine, err := owns(layer, ".", owner)
	if err != nil {
		return false, err
	}
	if err := own(layer, owner, mine); err != nil {
		return !mine, fmt.Errorf("cannot take over the upper layer: %w", err)
	}
	return !mine, nil
}

func own(layer *os.Root, owner Owner, mine bool) error {
	top, err := layer.Open(".")
	if err != nil {
		return err
	}
	defer top.Close()
	if !mine {
		if err := ownBelow(top, owner, ""); err != nil {
			return err
		}
		if err := top.Chown(owner.UID, owner.GID); err != nil {
			return err
		}
	}
	return top.Chmod(dirMode)
}

// ownBelow hands over what is in dir. Devices are left out: in an upper layer
// they are overlayfs' whiteouts, which are root's.
func ownBelow(dir *os.File, owner Owner, path string) error {
	return eachEntry(dir, func(entry fs.DirEntry) error {
		path := filepath.Join(path, entry.Name())
		if err := ownEntry(dir, owner, entry.Name(), path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func ownEntry(dir *os.File, owner Owner, name, path string) error {
	const what = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(dir.Fd()), name, what, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	switch {
	case kind == unix.S_IFCHR || kind == unix.S_IFBLK:
		return nil
	case kind != unix.S_IFDIR && st.Nlink > 1:
		// It may as well be a file of the installation or of another server, which
		// would then be this game's to write.
		return fmt.Errorf("%q has another name as well, perhaps outside of this layer; look at it, then remove it or put a copy in its place", path)
	}
	if err := unix.Fchownat(fd, "", owner.UID, owner.GID, unix.AT_EMPTY_PATH); err != nil {
		return &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	if kind != unix.S_IFDIR {
		return nil
	}
	below, err := openDir(fd, path)
	if err != nil {
		return err
	}
	defer below.Close()
	return ownBelow(below, owner, path)
}

// openDir opens for reading the directory that fd stands for.
func openDir(fd int, path string) (*os.File, error) {
	below, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(below), path), nil
}
