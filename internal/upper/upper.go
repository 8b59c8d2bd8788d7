// Package upper works inside the upper layer of an instance's overlay, as the
// instance's own uid. A game is hostile and has written there, so nothing here
// follows a link, leaves the layer or needs root: every step goes through an
// [os.Root] and looks at what an entry is before it enters it.
//
// The game must not run meanwhile; the units' ordering sees to that.
package upper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// batch is how many entries of a directory are held in memory at once: a game
// may have made millions.
const batch = 512

// dirMode is what the layer's directories get: they belong to one uid alone.
const dirMode = 0o700

// Owner is the uid and gid that a layer shall belong to.
type Owner struct{ UID, GID int }

// eachEntry calls do for each entry of a directory, in batches. Entries that
// do removes may make others be seen later or not at all, so a caller that
// removes must call again until nothing is left.
func eachEntry(dir *os.File, do func(fs.DirEntry) error) error {
	for {
		entries, err := dir.ReadDir(batch)
		for _, entry := range entries {
			if err := do(entry); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// eachIn calls do for each entry of dir.
func eachIn(dir *os.Root, do func(fs.DirEntry) error) error {
	self, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer self.Close()
	return eachEntry(self, do)
}

// Own makes everything in the layer belong to owner, when its top does not
// yet: it is new (root made it), it was adopted from a system with one user
// for all games, or systemd gave the instance another uid than last time,
// because the one that its name hashes to was taken. The top is changed last,
// so that a run that was cut short is done again.
//
// Without CAP_CHOWN and CAP_DAC_READ_SEARCH it fails unless there is nothing
// to do. It answers whether anything was done.
func Own(layer *os.Root, owner Owner) (bool, error) {
	mine, err := owns(layer, ".", owner)
	if err != nil || mine {
		return false, err
	}
	if err := ownBelow(layer, owner); err != nil {
		return true, fmt.Errorf("cannot take over the upper layer: %w", err)
	}
	if err := layer.Lchown(".", owner.UID, owner.GID); err != nil {
		return true, fmt.Errorf("cannot take over the upper layer: %w", err)
	}
	return true, nil
}

// ownBelow hands over what is below dir. Devices are left out: in an upper
// layer they are overlayfs' whiteouts, which are root's.
func ownBelow(dir *os.Root, owner Owner) error {
	return eachIn(dir, func(entry fs.DirEntry) error {
		if entry.Type()&fs.ModeDevice != 0 {
			return nil
		}
		if entry.IsDir() {
			sub, err := dir.OpenRoot(entry.Name())
			if err != nil {
				return err
			}
			defer sub.Close()
			if err := ownBelow(sub, owner); err != nil {
				return err
			}
		}
		return dir.Lchown(entry.Name(), owner.UID, owner.GID)
	})
}

// owns tells whether name belongs to owner.
func owns(dir *os.Root, name string, owner Owner) (bool, error) {
	info, err := dir.Lstat(name)
	if err != nil {
		return false, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false, fmt.Errorf("cannot read the owner of %s: no stat_t", name)
	}
	return int(stat.Uid) == owner.UID && int(stat.Gid) == owner.GID, nil
}
