package steamcmd

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// restore puts the installation back as the snapshot has it and removes the
// snapshot. It may be cut off and repeated. What it answers are the files that
// were written in place, of which no hard link keeps the former content: there
// the installation is not as it was.
func (s snapshots) restore() (damaged []string, err error) {
	rec, err := s.read()
	if err != nil {
		return nil, err
	}
	if rec.Fresh {
		err = s.setAside()
	} else {
		damaged, err = s.putBack(rec)
	}
	if err != nil {
		return nil, err
	}
	return damaged, s.drop()
}

// setAside takes away what a first installation has so far, for the next try.
func (s snapshots) setAside() error { return s.moveAll(installation, partial) }

// takeUp puts it there again.
func (s snapshots) takeUp() error {
	if _, err := s.root.Lstat(partial); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.moveAll(partial, installation); err != nil {
		return err
	}
	return s.root.Remove(partial)
}

// moveAll moves what is in one directory into another, over what has its name.
func (s snapshots) moveAll(from, to string) error {
	entries, err := s.list(from)
	if err != nil || len(entries) == 0 {
		return err
	}
	if err := s.root.Mkdir(to, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, name := range entries {
		if err := s.root.RemoveAll(to + "/" + name); err != nil {
			return err
		}
		if err := s.root.Rename(from+"/"+name, to+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

// list answers the names in a directory, sorted.
func (s snapshots) list(dir string) ([]string, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (s snapshots) putBack(rec record) (damaged []string, err error) {
	was := map[string]entry{}
	for _, e := range rec.Entries {
		was[e.Path] = e
	}
	if err := s.removeOthers(was); err != nil {
		return nil, err
	}
	for _, e := range rec.Entries {
		if err := s.putBackOne(e); err != nil {
			return nil, err
		}
		if !e.Mode.IsRegular() {
			continue
		}
		info, err := s.root.Lstat(installation + "/" + e.Path)
		if err != nil {
			return nil, err
		}
		if info.Size() != e.Size || !info.ModTime().Equal(e.ModTime) {
			damaged = append(damaged, e.Path)
		}
	}
	return damaged, nil
}

// removeOthers removes what was not there, or was something else.
func (s snapshots) removeOthers(was map[string]entry) error {
	var others []string
	err := s.walk(func(e entry) error {
		before, known := was[e.Path]
		keeps := e.Mode.IsDir() && slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(k, e.Path+"/") })
		if !keeps && (!known || before.Mode.Type() != e.Mode.Type()) {
			others = append(others, e.Path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range others { // a directory before what is in it, which goes with it
		if err := s.root.RemoveAll(installation + "/" + name); err != nil {
			return err
		}
	}
	return nil
}

func (s snapshots) putBackOne(e entry) error {
	to, from := installation+"/"+e.Path, previous+"/"+tree+"/"+e.Path
	now, err := s.root.Lstat(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := err == nil
	switch {
	case e.Mode.IsDir():
		if there {
			return nil
		}
		return s.root.Mkdir(to, e.Mode.Perm())
	case e.Mode&fs.ModeSymlink != 0:
		return s.replace(to, func(tmp string) error { return s.root.Symlink(e.Target, tmp) })
	case !e.Mode.IsRegular():
		return nil
	case copied(e.Path):
		return s.replace(to, func(tmp string) error { return s.copy(from, tmp, e) })
	}
	kept, err := s.root.Lstat(from)
	if err != nil {
		return err
	}
	// Renaming one name of a file over another of the same file does nothing.
	if !there || !os.SameFile(now, kept) {
		if err := s.replace(to, func(tmp string) error { return s.root.Link(from, tmp) }); err != nil {
			return err
		}
	}
	if kept.Mode() == e.Mode {
		return nil
	}
	return s.root.Chmod(to, e.Mode.Perm())
}

// replace makes a file beside its place and renames it there.
func (s snapshots) replace(to string, make func(tmp string) error) error {
	tmp := path.Dir(to) + "/." + path.Base(to) + leftover
	if err := s.root.RemoveAll(tmp); err != nil {
		return err
	}
	if err := make(tmp); err != nil {
		return err
	}
	return s.root.Rename(tmp, to)
}
