// Package adopt takes over the directories around an instance's upper layer from
// a system in which one user owned all of them and ran every game. The game may
// still run meanwhile, and is hostile: each directory is opened once, without
// following links, and whatever is done is done to what was opened. What that
// user could have changed in the meantime is looked at again once it no longer
// can.
//
// The upper layer itself is left alone: package upper takes it over, with the
// game's own uid, before the next mount.
package adopt

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The directories of an instance, and the modes that root's have.
const (
	runtimeDir = "runtime"
	upperDir   = "upper"
	workDir    = "work"
	mergedDir  = "merged"

	topMode    = 0o711
	workMode   = 0o700
	mergedMode = 0o755
)

// Owner is the uid and gid that the directories shall belong to.
type Owner struct{ UID, GID int }

// Runtime makes runtime/NAME below root, and work and merged in it, belong to
// owner, with the modes that they have in a new instance. It answers the paths of
// those that it changed, below root; done again, it changes none. One that does
// not exist is no error: left4med makes it.
//
// Before it changes anything, it refuses what is not as the old system made it:
// a link or a mount in the place of a directory, or anything beside the three.
// CAP_CHOWN and CAP_DAC_READ_SEARCH are all that it needs.
func Runtime(root, name string, owner Owner) ([]string, error) {
	t := &taker{root: root, owner: owner, step: func(string) {}}
	if err := t.run(name); err != nil {
		return t.changed, fmt.Errorf("cannot take over the directories of %s: %w", name, err)
	}
	return t.changed, nil
}

type taker struct {
	root    string
	owner   Owner
	changed []string

	// step is called between looking and changing; a test exchanges something
	// there, as the old owner could.
	step func(what string)
}

func (t *taker) run(name string) error {
	runtime, err := t.openRuntime()
	if err != nil {
		return err
	}
	defer runtime.close()
	top, err := runtime.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer top.close()
	before, err := t.look(top)
	if err != nil {
		return err
	}
	t.step("looked")
	if err := t.own(top, topMode); err != nil {
		return err
	}
	t.step("owned")
	// From here on nobody else can exchange anything in it.
	after, err := t.look(top)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("something in %s was exchanged meanwhile; look at it, then try again", top.path)
	}
	if after.work.there {
		if err := t.ownBelow(top, workDir, workMode); err != nil {
			return err
		}
	}
	if after.merged.there && !after.merged.mounted {
		return t.ownBelow(top, mergedDir, mergedMode)
	}
	return nil
}

// openRuntime opens runtime/, which must be owner's already, like root: the
// package's tmpfiles.d(5) sees to both.
func (t *taker) openRuntime() (*dir, error) {
	root, err := openAt(unix.AT_FDCWD, t.root, t.root)
	if err != nil {
		return nil, err
	}
	defer root.close()
	runtime, err := root.open(runtimeDir)
	if err != nil {
		return nil, err
	}
	for _, d := range []*dir{root, runtime} {
		e, err := d.look("")
		if err == nil && (e.uid != t.owner.UID || e.mode&0o022 != 0) {
			err = fmt.Errorf("%s belongs to uid %d and has mode %04o, so others may change what is in it; "+
				"run systemd-tmpfiles --create left4me.conf", d.path, e.uid, e.mode)
		}
		if err != nil {
			runtime.close()
			return nil, err
		}
	}
	return runtime, nil
}

// layout is what is in runtime/NAME.
type layout struct{ upper, work, merged entry }

// look says what is in runtime/NAME, and refuses what does not belong there.
func (t *taker) look(top *dir) (layout, error) {
	var l layout
	if e, err := top.look(""); err != nil {
		return l, err
	} else if e.mounted {
		return l, fmt.Errorf("%s is a mount point; unmount it, or move what is there to a directory", top.path)
	}
	for _, place := range []struct {
		name  string
		entry *entry
	}{{upperDir, &l.upper}, {workDir, &l.work}, {mergedDir, &l.merged}} {
		e, err := top.look(place.name)
		if err != nil {
			return l, err
		}
		path := filepath.Join(top.path, place.name)
		switch {
		case !e.there:
		case !e.directory:
			return l, fmt.Errorf("%s is no directory; move it away", path)
		case e.mounted && place.name != mergedDir:
			return l, fmt.Errorf("%s is a mount point, and must lie on the file system of %s", path, top.path)
		}
		*place.entry = e
	}
	if err := top.only(upperDir, workDir, mergedDir); err != nil || !l.work.there {
		return l, err
	}
	return l, t.lookAtWork(top)
}

// lookAtWork refuses a work directory with anything but the kernel's own, which
// are root's: root removes what is in it once the server is deleted.
func (t *taker) lookAtWork(top *dir) error {
	work, err := top.open(workDir)
	if err != nil {
		return err
	}
	defer work.close()
	kernels := []string{"work", "index"} // ovl_workdir_create in fs/overlayfs/super.c
	if err := work.only(kernels...); err != nil {
		return err
	}
	for _, name := range kernels {
		if e, err := work.look(name); err != nil {
			return err
		} else if e.there && (!e.directory || e.mounted || e.uid != t.owner.UID) {
			return fmt.Errorf("%s is not what the kernel made for the overlay; stop the server and move %s away",
				filepath.Join(work.path, name), work.path)
		}
	}
	return nil
}

// ownBelow opens a directory of one that is owner's by now, and makes it so too.
func (t *taker) ownBelow(top *dir, name string, mode uint32) error {
	d, err := top.open(name)
	if err != nil {
		return err
	}
	defer d.close()
	return t.own(d, mode)
}

// own makes an open directory owner's, with a mode.
func (t *taker) own(d *dir, mode uint32) error {
	e, err := d.look("")
	if err != nil || e.uid == t.owner.UID && e.gid == t.owner.GID && e.mode == mode {
		return err
	}
	if err := d.own(t.owner, mode); err != nil {
		return err
	}
	if below, err := filepath.Rel(t.root, d.path); err == nil {
		t.changed = append(t.changed, below)
	}
	return nil
}
