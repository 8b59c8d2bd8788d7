package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// takeFile creates the file when it is missing and gives it mode 0600; one that
// is opened alone is locked, too.
func (d *DB) takeFile() (err error) {
	if d.o.Alone {
		d.lock, err = d.lockFile()
		return err
	}
	return d.shareFile()
}

// shareFile leaves no handle of the file behind, and opens one only of a file
// that it creates: closing any handle drops the POSIX locks that SQLite holds on
// the file, maybe for another DB of this process.
func (d *DB) shareFile() error {
	f, err := os.OpenFile(d.o.Path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return errors.Join(f.Close(), syncDir(d.o.Path))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(d.o.Path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return d.notPlain()
	case info.Mode().Perm() != 0o600:
		return os.Chmod(d.o.Path, 0o600)
	}
	return nil
}

// lockFile opens the file and takes a lock that keeps a second daemon out.
// SQLite's own locks are of another kind (fcntl), so a sqlite3 shell may still
// look at the database.
func (d *DB) lockFile() (*os.File, error) {
	f, err := os.OpenFile(d.o.Path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EISDIR) {
		return nil, d.notPlain()
	}
	if err != nil {
		return nil, err
	}
	if err := d.takeLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (d *DB) takeLock(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return d.notPlain()
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return errorf("cannot open the database %s: another %[2]s is using it; stop that one first (systemctl stop %[2]s)", d.o.Path, d.o.Words.Program)
		}
		return fmt.Errorf("cannot lock %s: %w", d.o.Path, err)
	}
	if info.Mode().Perm() != 0o600 {
		if err := f.Chmod(0o600); err != nil {
			return err
		}
	}
	if info.Size() > 0 {
		return nil
	}
	return syncDir(d.o.Path)
}

// unlock closes the file and gives its lock up, also while a child that is just
// being started shares it.
func unlock(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// syncDir puts the name of a new file on the disk.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (d *DB) notPlain() error {
	return errorf("cannot open the database %s: it is not a plain file; move it away", d.o.Path)
}
