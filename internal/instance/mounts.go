package instance

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MountedOverlays says which overlays each mounted tree is made of, by the
// instance's name: a server that runs since before its settings were changed has
// those of before.
func (t *Tree) MountedOverlays() (map[string][]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, t.fail("look what is mounted", err)
	}
	defer f.Close()
	mounted, err := t.overlaysIn(f)
	return mounted, t.fail("look what is mounted", err)
}

// overlaysIn reads proc_pid_mountinfo(5): the mount point is the fifth field, and
// after one that is "-" come the file system's type, its source and its options.
func (t *Tree) overlaysIn(mountinfo io.Reader) (map[string][]string, error) {
	mounted := map[string][]string{}
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, 64<<10) // the options of a mount are a page at most
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		dash := slices.Index(fields, "-")
		if dash < 5 || len(fields) < dash+4 || fields[dash+1] != "overlay" {
			continue
		}
		point := fields[4]
		if filepath.Base(point) != "merged" || filepath.Dir(filepath.Dir(point)) != filepath.Join(t.root, runtimeDir) {
			continue
		}
		name := filepath.Base(filepath.Dir(point))
		for _, option := range strings.Split(fields[dash+3], ",") {
			for _, dir := range strings.Split(lowersOf(option), ":") {
				if o := t.overlayAt(dir); o != "" {
					mounted[name] = append(mounted[name], o)
				}
			}
		}
	}
	return mounted, lines.Err()
}

// lowersOf is the list of lower directories that an option is, or empty. Since
// Linux 6.8 each may be an option of its own (overlayfs.rst, "lowerdir+").
func lowersOf(option string) string {
	for _, key := range []string{"lowerdir=", "lowerdir+="} {
		if list, ok := strings.CutPrefix(option, key); ok {
			return list
		}
	}
	return ""
}

// overlayAt is the overlay that a lower directory is, or empty. A relative path
// begins at the root: the unit mounts there.
func (t *Tree) overlayAt(dir string) string {
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(t.root, dir)
	}
	if filepath.Dir(dir) != filepath.Join(t.root, overlaysDir) {
		return ""
	}
	return filepath.Base(dir)
}
