package upper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// Clear removes everything below the layer's top and leaves the top itself,
// which now belongs to owner. It answers how many entries it removed.
//
// It holds two directories open at a time however deep the tree is: the
// directories inside one are first moved up to the top, under names of ours,
// and taken apart from there. A run that was cut short is simply done again.
// Directories that their owner may not enter need CAP_DAC_READ_SEARCH, those
// of another owner CAP_CHOWN too.
func Clear(layer *os.Root, owner Owner) (int, error) {
	c := &clearer{layer: layer, owner: owner}
	if err := c.run(); err != nil {
		return c.removed, fmt.Errorf("cannot empty the upper layer: %w", err)
	}
	return c.removed, nil
}

type clearer struct {
	layer   *os.Root
	owner   Owner
	removed int
	moved   int // how many names for moved directories were used
}

func (c *clearer) run() error {
	top, err := c.seize(c.layer)
	if err != nil {
		return err
	}
	return c.drain(top, c.takeApart)
}

// takeApart removes one entry of the top.
func (c *clearer) takeApart(entry fs.DirEntry) error {
	name := entry.Name()
	if entry.IsDir() {
		if err := c.emptyOut(name); err != nil {
			return err
		}
	}
	return c.remove(c.layer, name)
}

// emptyOut empties a directory of the top: its directories move to the top, the
// rest is removed.
func (c *clearer) emptyOut(name string) error {
	dir, err := c.layer.OpenRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	self, err := c.seize(dir)
	if err != nil {
		return err
	}
	return c.drain(self, func(entry fs.DirEntry) error {
		if !entry.IsDir() {
			return c.remove(dir, entry.Name())
		}
		// To move a directory elsewhere one must be able to write to itself.
		sub, err := dir.OpenRoot(entry.Name())
		if err != nil {
			return err
		}
		defer sub.Close()
		held, err := c.seize(sub)
		if err != nil {
			return err
		}
		defer held.Close()
		return c.moveUp(name + "/" + entry.Name())
	})
}

// seize makes a directory ours and writable, through its own descriptor:
// [os.Root.Chmod] needs fchmodat2, which Debian 12's kernel does not have.
// The caller closes what it gets.
func (c *clearer) seize(dir *os.Root) (*os.File, error) {
	self, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	if err := c.seizeOpen(dir, self); err != nil {
		self.Close()
		return nil, err
	}
	return self, nil
}

func (c *clearer) seizeOpen(dir *os.Root, self *os.File) error {
	mine, err := owns(dir, ".", c.owner)
	if err != nil {
		return err
	}
	if !mine {
		if err := self.Chown(c.owner.UID, c.owner.GID); err != nil {
			return err
		}
	}
	return self.Chmod(dirMode)
}

// moveUp gives a directory a free name at the top. A rename onto a name that is
// taken fails, unless an empty directory has it, which is as good as removed.
func (c *clearer) moveUp(path string) error {
	for {
		c.moved++
		err := c.layer.Rename(path, ".removed-"+strconv.Itoa(c.moved))
		switch {
		case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOTDIR):
			continue
		default:
			return err
		}
	}
}

// remove removes one entry. One that is already gone was listed twice or
// overwritten by moveUp.
func (c *clearer) remove(dir *os.Root, name string) error {
	err := dir.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		c.removed++
	}
	return err
}

// drain reads a directory again and again, since removing while reading may
// hide entries, until it is empty, and closes it.
func (c *clearer) drain(self *os.File, do func(fs.DirEntry) error) error {
	defer self.Close()
	for {
		seen := false
		err := eachEntry(self, func(entry fs.DirEntry) error {
			seen = true
			return do(entry)
		})
		if err != nil || !seen {
			return err
		}
		if _, err := self.Seek(0, 0); err != nil {
			return err
		}
	}
}
