package upper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Report says what a Mirror did.
type Report struct {
	Made    int // directories made
	Present int // directories that were there already
	// Skipped are paths where something else stands in the layer: a file, a
	// link, or a whiteout of a directory that the game removed.
	Skipped []string
}

// Mirror makes the directories that a game sees in its lower layers, topmost
// first, in the upper layer too, so that they belong to the caller's uid and
// the game can write in each: the lower ones are another user's.
//
// As in the overlay itself, the topmost layer that has a name decides what it
// is: a file or a whiteout there hides the directories of the same name below.
// A lower directory that cannot be read is an error, reported with all others
// of its kind after the rest was done.
func Mirror(layer *os.Root, lowers []*os.Root) (Report, error) {
	var m mirrorer
	from := make([]lowerDir, len(lowers))
	for i, lower := range lowers {
		from[i] = lowerDir{root: lower, path: lower.Name()}
	}
	if err := m.visit(layer, from, "."); err != nil {
		m.errs = append(m.errs, err)
	}
	slices.Sort(m.report.Skipped)
	return m.report, errors.Join(m.errs...)
}

// lowerDir is an open directory of a lower layer and where it is.
type lowerDir struct {
	root *os.Root
	path string
}

type mirrorer struct {
	report Report
	errs   []error
}

// visit mirrors what is below one directory, which is open in the layer and in
// each of the lowers that has it. An error means that the layer itself could
// not be written.
func (m *mirrorer) visit(layer *os.Root, lowers []lowerDir, path string) error {
	for name, from := range m.merge(lowers) {
		if err := m.enter(layer, from, path, name); err != nil {
			return err
		}
	}
	return nil
}

// merge reads a directory of the lowers and answers the directories in it that
// the overlay will show, each with the lowers that it is made of.
func (m *mirrorer) merge(lowers []lowerDir) map[string][]lowerDir {
	merged := make(map[string][]lowerDir)
	closed := make(map[string]bool) // names that are no directory from here down
	for _, lower := range lowers {
		err := eachIn(lower.root, func(entry fs.DirEntry) error {
			switch name := entry.Name(); {
			case closed[name]:
			case entry.IsDir():
				merged[name] = append(merged[name], lower)
			default:
				closed[name] = true
			}
			return nil
		})
		if err != nil {
			m.unreadable(lower.path, err)
		}
	}
	return merged
}

// enter mirrors one directory and what is below it.
func (m *mirrorer) enter(layer *os.Root, from []lowerDir, path, name string) error {
	path = strings.TrimPrefix(path+"/"+name, "./")
	switch err := layer.Mkdir(name, dirMode); {
	case err == nil:
		m.report.Made++
	case errors.Is(err, fs.ErrExist):
		info, err := layer.Lstat(name)
		if err != nil {
			return fmt.Errorf("cannot look at %s in the upper layer: %w", path, err)
		}
		if !info.IsDir() {
			m.report.Skipped = append(m.report.Skipped, path)
			return nil
		}
		m.report.Present++
	default:
		return fmt.Errorf("cannot make %s in the upper layer: %w", path, err)
	}
	sub, err := layer.OpenRoot(name)
	if errors.Is(err, fs.ErrPermission) {
		// The game took its own right to enter away; so it shall be.
		m.report.Skipped = append(m.report.Skipped, path)
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open %s in the upper layer: %w", path, err)
	}
	defer sub.Close()
	lowers := m.open(from, name)
	defer closeAll(lowers)
	err = m.visit(sub, lowers, path)
	if errors.Is(err, fs.ErrPermission) {
		m.report.Skipped = append(m.report.Skipped, path)
		return nil
	}
	return err
}

// open opens one directory in each lower that has it.
func (m *mirrorer) open(from []lowerDir, name string) []lowerDir {
	lowers := make([]lowerDir, 0, len(from))
	for _, parent := range from {
		path := filepath.Join(parent.path, name)
		root, err := parent.root.OpenRoot(name)
		if err != nil {
			m.unreadable(path, err)
			continue
		}
		lowers = append(lowers, lowerDir{root: root, path: path})
	}
	return lowers
}

func closeAll(dirs []lowerDir) {
	for _, dir := range dirs {
		dir.root.Close()
	}
}

func (m *mirrorer) unreadable(path string, err error) {
	m.errs = append(m.errs, fmt.Errorf("cannot read the lower directory %s: %w", path, err))
}
