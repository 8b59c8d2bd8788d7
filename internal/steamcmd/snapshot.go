package steamcmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The names below the data root.
const (
	installation = "installation"
	home         = "steam"          // SteamCMD's home
	previous     = "steam/previous" // the snapshot, while an update runs
	partial      = "steam/partial"  // what a first installation has so far, between two tries
	leftover     = ".left4me-back"  // ends the name of a file that is being put back
	manifest     = "manifest.json"  // in the snapshot, beside its tree
	tree         = "tree"           // hard links to the installation's files
	appManifest  = "steamapps/appmanifest_" + App + ".acf"
	program      = "srcds_run"
)

// kept are SteamCMD's own directories, which an update that failed leaves, so
// that the next one does not fetch everything again.
var kept = []string{"steamapps/downloading", "steamapps/temp"}

// entry is what a snapshot knows of one file of the installation.
type entry struct {
	Path    string      `json:"path"`
	Mode    fs.FileMode `json:"mode"`
	Size    int64       `json:"size,omitempty"`
	ModTime time.Time   `json:"mtime,omitzero"`
	Target  string      `json:"target,omitempty"` // of a link
}

// record is a snapshot's manifest.
type record struct {
	Fresh   bool    `json:"fresh"` // there was no game: nothing is kept but that
	Entries []entry `json:"entries,omitempty"`
}

// copied says whether a snapshot holds a copy of a file and no link to it:
// SteamCMD may write its own records in place.
func copied(name string) bool {
	return path.Dir(name) == "steamapps" && strings.HasSuffix(name, ".acf")
}

// snapshots keeps the installation as it is and puts it back. root is the data
// root. A snapshot is complete once it has its name.
type snapshots struct{ root *os.Root }

// exists says whether an update was cut off, or runs.
func (s snapshots) exists() (bool, error) {
	_, err := s.root.Lstat(previous)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// take keeps the installation by hard links: it takes no space and no time.
func (s snapshots) take(fresh bool) error {
	const unfinished = previous + ".new"
	err := s.root.RemoveAll(unfinished)
	if err == nil {
		err = s.fill(unfinished, fresh)
	}
	if err == nil {
		err = s.root.Rename(unfinished, previous)
	}
	if err != nil {
		_ = s.root.RemoveAll(unfinished) // or the next one does
	}
	return err
}

// fill makes a snapshot in a new directory.
func (s snapshots) fill(dir string, fresh bool) error {
	if err := s.root.MkdirAll(dir+"/"+tree, 0o700); err != nil {
		return err
	}
	rec := record{Fresh: fresh}
	if !fresh {
		err := s.walk(func(e entry) error {
			rec.Entries = append(rec.Entries, e)
			return s.keep(e, dir+"/"+tree+"/"+e.Path)
		})
		if err != nil {
			return err
		}
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return s.write(dir+"/"+manifest, data)
}

// keep puts one entry of the installation into a snapshot's tree.
func (s snapshots) keep(e entry, to string) error {
	from := installation + "/" + e.Path
	switch {
	case e.Mode.IsDir():
		return s.root.Mkdir(to, 0o700)
	case e.Mode.IsRegular() && copied(e.Path):
		return s.copy(from, to, e)
	case e.Mode.IsRegular():
		return s.root.Link(from, to)
	}
	return nil // a link is in the manifest
}

// walk calls do for all that the installation holds, parents first, but for
// what is kept of it anyway.
func (s snapshots) walk(do func(entry) error) error {
	dir, err := s.root.OpenRoot(installation)
	if err != nil {
		return err
	}
	defer dir.Close()
	return fs.WalkDir(dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains(kept, name) {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil || name == "." {
			return err
		}
		e := entry{Path: name, Mode: info.Mode()}
		switch {
		case info.Mode().IsRegular():
			e.Size, e.ModTime = info.Size(), info.ModTime()
		case info.Mode()&fs.ModeSymlink != 0:
			if e.Target, err = dir.Readlink(name); err != nil {
				return err
			}
		}
		return do(e)
	})
}

// read reads the snapshot's manifest.
func (s snapshots) read() (record, error) {
	data, err := s.root.ReadFile(previous + "/" + manifest)
	if err != nil {
		return record{}, err
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return record{}, fmt.Errorf("the snapshot in %s cannot be read: %w", previous, err)
	}
	return rec, nil
}

// drop removes the snapshot.
func (s snapshots) drop() error {
	const old = previous + ".old"
	if err := s.root.RemoveAll(old); err != nil {
		return err
	}
	if err := s.root.Rename(previous, old); err != nil {
		return err
	}
	return s.root.RemoveAll(old)
}

// sync writes what SteamCMD fetched to the disk: a power cut shall not leave
// empty files and no snapshot. A snapshot that is put back needs none: its files
// are on the disk, and their names get there in the order they were made.
func (s snapshots) sync() error {
	dir, err := s.root.Open(installation)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

func (s snapshots) write(name string, data []byte) error {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func (s snapshots) copy(from, to string, e entry) error {
	in, err := s.root.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := s.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.Mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	return s.root.Chtimes(to, e.ModTime, e.ModTime)
}
