package instance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/left4med/left4med/internal/server"
)

const overlaysDir = "overlays"

// Overlays lists the overlays there are, sorted by name, without their sizes and
// who uses them. An entry that could not be used says why. What is being removed
// is left out.
func (t *Tree) Overlays() ([]server.Overlay, error) {
	entries, err := t.entries(overlaysDir)
	if err != nil {
		return nil, t.fail("list the overlays", err)
	}
	overlays := []server.Overlay{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			o := server.Overlay{Name: e.Name(), Servers: []server.Name{}}
			for _, fault := range []func(string) string{t.overlay, t.untrusted} {
				if why := fault(o.Name); why != "" && o.Problem == "" {
					o.Problem = "it " + why
				}
			}
			overlays = append(overlays, o)
		}
	}
	slices.SortFunc(overlays, func(a, b server.Overlay) int { return strings.Compare(a.Name, b.Name) })
	return overlays, nil
}

// MeasureOverlay counts the files of an overlay and adds up their sizes in bytes.
// It follows no link and stays on the overlay's own file system. The error is
// ctx's, or says what could not be looked at; the numbers are then those of the
// rest.
func (t *Tree) MeasureOverlay(ctx context.Context, name string) (size uint64, files int, err error) {
	dir, err := t.openOverlay(name)
	if err != nil {
		return 0, 0, t.fail("look at the overlay "+server.Quote(name, 70), err)
	}
	defer dir.Close()
	m := measure{ctx: ctx, dir: dir}
	if info, err := dir.Stat("."); err == nil {
		m.device = deviceOf(info)
	}
	walked := fs.WalkDir(dir.FS(), ".", m.visit)
	return m.size, m.files, errors.Join(walked, m.err)
}

func (t *Tree) openOverlay(name string) (*os.Root, error) {
	if why := t.overlay(name); why != "" {
		return nil, server.Errorf(server.CodeOverlayNotFound, "it %s", why)
	}
	dir, err := t.open(overlaysDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	overlay, err := dir.OpenRoot(name) // whoever it belongs to: it is only looked at
	return overlay, in(dir, err)
}

// measure adds up what a walk comes by.
type measure struct {
	ctx    context.Context
	dir    *os.Root
	device uint64
	size   uint64
	files  int
	err    error // the first thing that could not be looked at
}

func (m *measure) visit(path string, e fs.DirEntry, err error) error {
	if m.ctx.Err() != nil {
		return m.ctx.Err()
	}
	if err != nil {
		if m.err == nil && !errors.Is(err, fs.ErrNotExist) { // what was removed meanwhile is no more
			m.err = in(m.dir, err)
		}
		return nil
	}
	info, err := e.Info()
	switch {
	case err != nil:
		return nil
	case e.IsDir() && deviceOf(info) != m.device:
		return fs.SkipDir
	case info.Mode().IsRegular():
		m.files++
		m.size += uint64(info.Size())
	}
	return nil
}

func deviceOf(info fs.FileInfo) uint64 {
	if st, ok := sysStat(info); ok {
		return st.Dev
	}
	return 0
}

// RetireOverlay moves an overlay out of the way, to overlays/.NAME.removed, so
// that no server can be given it any more. A link in its place is refused, like
// all that is no directory of root's own. The error's code is CodeOverlayNotFound
// when there is none.
func (t *Tree) RetireOverlay(name string) error {
	doing := "remove the overlay " + server.Quote(name, 70)
	if !server.IsOverlayName(name) {
		return server.Errorf(server.CodeOverlayNotFound, "there can be no overlay %s; `l4d2ctl list --overlays` shows which there are", server.Quote(name, 70))
	}
	dir, err := t.open(overlaysDir)
	if err == nil {
		defer dir.Close()
		err = t.plainDir(dir, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return server.Errorf(server.CodeOverlayNotFound, "there is no overlay %s; `l4d2ctl list --overlays` shows which there are", server.Quote(name, 70))
	}
	if err != nil {
		return t.fail(doing, err)
	}
	if err := t.removeOverlay(dir, removedName(name)); err != nil {
		return err
	}
	return t.fail(doing, t.rename(dir, name, removedName(name)))
}

// RemoveOverlay removes what RetireOverlay moved away. Done before, it does
// nothing.
func (t *Tree) RemoveOverlay(name string) error {
	dir, err := t.open(overlaysDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return t.fail("remove the overlay "+server.Quote(name, 70), err)
	}
	defer dir.Close()
	return t.removeOverlay(dir, removedName(name))
}

// removeOverlay removes a directory that was moved away. left4med has no
// capabilities: below what is another user's it removes nothing.
func (t *Tree) removeOverlay(dir *os.Root, entry string) error {
	err := t.removeAll(dir, entry)
	if err == nil {
		return nil
	}
	path := joined(dir, entry)
	if errors.Is(err, fs.ErrPermission) {
		e := server.Errorf(server.CodeInstanceFiles, "%s cannot be removed whole: some of it is another user's, and left4med has no capabilities; `rm -rf %s` as root does it", path, path)
		e.Err = err
		return e
	}
	return t.fail("remove "+path, err)
}

// SweepOverlays removes what removals that were cut short left behind. It goes on
// after an error and returns all of them.
func (t *Tree) SweepOverlays() error {
	entries, err := t.entries(overlaysDir)
	if err != nil {
		return t.fail("remove what is left of overlays", err)
	}
	var errs []error
	for _, e := range entries {
		name, begins := strings.CutPrefix(e.Name(), ".")
		if name, ends := strings.CutSuffix(name, ".removed"); begins && ends && server.IsOverlayName(name) {
			errs = append(errs, t.RemoveOverlay(name))
		}
	}
	return errors.Join(errs...)
}

// CheckOverlays returns an error with code CodeOverlayNotFound unless every
// overlay of cfg is a directory below overlays/, and one that root alone can
// change, but for those that the server has already: on a host of the system
// before they may still be another user's.
func (t *Tree) CheckOverlays(cfg server.Config, has []string) error {
	for _, o := range cfg.Overlays {
		why := t.overlay(o)
		if why == "" && !slices.Contains(has, o) {
			why = t.untrusted(o)
		}
		if why != "" {
			return &server.Error{Code: server.CodeOverlayNotFound, Field: "config.overlays",
				Detail: fmt.Sprintf("the overlay %s %s; put it there as a directory of root's own, or leave it out", server.Quote(o, 70), why)}
		}
	}
	return nil
}

// overlay says why something below overlays/ cannot be one.
func (t *Tree) overlay(name string) string {
	info, why := t.lookAtOverlay(name)
	if why == "" && !info.IsDir() {
		why = "is not a directory (" + kind(info.Mode()) + ")"
	}
	return why
}

// untrusted says why a directory below overlays/ is not root's alone. What is
// below its top is not looked at.
func (t *Tree) untrusted(name string) string {
	info, why := t.lookAtOverlay(name)
	path := filepath.Join(t.root, overlaysDir, name)
	switch {
	case why != "":
		return why
	case ownerOf(info) != t.uid:
		return fmt.Sprintf("belongs to uid %d (chown -R root:root %s)", ownerOf(info), path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("can be written by others than root (chmod -R go-w %s)", path)
	}
	return ""
}

func (t *Tree) lookAtOverlay(name string) (info fs.FileInfo, why string) {
	if !server.IsOverlayName(name) {
		return nil, "has no possible name"
	}
	absent := "is not below " + filepath.Join(t.root, overlaysDir)
	dir, err := t.open(overlaysDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent
	}
	if err != nil {
		return nil, "cannot be trusted: " + filepath.Join(t.root, overlaysDir) + " is no directory of root's own"
	}
	defer dir.Close()
	if info, err = dir.Lstat(name); err != nil {
		return nil, absent
	}
	return info, ""
}
