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
