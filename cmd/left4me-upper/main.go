// Command left4me-upper works inside the upper layer of one instance, as that
// instance's own uid, for the units left4me-upper@, left4me-clear@,
// left4me-backup@, left4me-verify@ and left4me-restore@, which show it that layer
// and nothing else that can be written.
//
//	left4me-upper prepare NAME   before the overlay is mounted: takes the layer over,
//	                             moves away what in it hides the settings, and mirrors
//	                             the lower layers' directories into it; reads
//	                             L4D2_LOWERDIRS
//	left4me-upper clear NAME     on reset and delete: empties the layer that was moved away
//	left4me-upper backup NAME    writes an archive of the layer to standard output
//	left4me-upper verify NAME    reads a backup from standard input, and says whether it is whole
//	left4me-upper restore NAME   empties the layer and extracts the backup on standard input into it
//
// It exits with 0 when all is done, 1 when something could not be, 2 on usage.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/left4med/left4med/internal/upper"
)

// dataRoot is where the game data lies; the units mount it at this place.
const dataRoot = "/var/lib/left4me"

// Exit statuses.
const (
	exitDone = iota
	exitFailed
	exitUsage
)

func main() { os.Exit(run(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) != 2 || !plainName(args[1]) {
		fmt.Fprintln(stderr, "usage: left4me-upper prepare|clear|backup|verify|restore NAME")
		return exitUsage
	}
	owner := upper.Owner{UID: os.Getuid(), GID: os.Getgid()}
	var err error
	switch name := args[1]; args[0] {
	case "prepare":
		if err = trusted(dataRoot, name, 0); err == nil {
			err = prepare(dataRoot, name, getenv("L4D2_LOWERDIRS"), owner, stdout)
		}
	case "clear":
		err = clearRemoved(dataRoot, name, owner, stdout)
	case "backup":
		err = backup(dataRoot, name, stdout, stderr)
	case "verify":
		err = verify(name, stdin, stdout)
	case "restore":
		err = restore(dataRoot, name, owner, stdin, stdout)
	default:
		fmt.Fprintf(stderr, "left4me-upper: unknown command %q\n", args[0])
		return exitUsage
	}
	if err != nil {
		fmt.Fprintf(stderr, "left4me-upper: %v\n", err)
		return exitFailed
	}
	return exitDone
}

// plainName keeps a name from being a path. Which names a server may have is
// not decided here: an orphan of an older rule must be served too.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsRune(name, '/')
}

// trusted refuses an instance that a game could have put together: its unit may
// be started although nobody has adopted it. After this, L4D2_LOWERDIRS is root's
// word, also for the unit that mounts them, and the layer no link.
func trusted(root, name string, uid int) error {
	err := upper.Trust(root, "runtime/"+name, uid)
	if err == nil {
		err = upper.Trust(root, "instances/"+name, uid)
	}
	if err != nil {
		return fmt.Errorf("cannot prepare the overlay of %s: %w; nothing of it is used until it is adopted (l4d2ctl initialize --adopt %s)", name, err, name)
	}
	layer := filepath.Join(root, "runtime", name, "upper")
	if info, err := os.Lstat(layer); err == nil && !info.IsDir() {
		return fmt.Errorf("cannot prepare the overlay of %s: %s is no directory; move it away", name, layer)
	}
	return nil
}

func prepare(root, name, lowerDirs string, owner upper.Owner, stdout io.Writer) error {
	lowers, err := openLowers(root, lowerDirs)
	defer func() {
		for _, lower := range lowers {
			lower.Close()
		}
	}()
	if err != nil {
		return err
	}
	layer, err := os.OpenRoot(filepath.Join(root, "runtime", name, "upper"))
	if err != nil {
		return fmt.Errorf("cannot open the upper layer of %s: %w", name, err)
	}
	defer layer.Close()
	taken, err := upper.Own(layer, owner)
	if err != nil {
		return err
	}
	if taken {
		fmt.Fprintf(stdout, "upper layer of %s now belongs to uid %d\n", name, owner.UID)
	}
	if err := uncover(root, lowerDirs, layer, lowers[0], owner, stdout); err != nil {
		return err
	}
	report, err := upper.Mirror(layer, lowers)
	fmt.Fprintf(stdout, "upper layer of %s: %d directories made, %d present, %d skipped\n",
		name, report.Made, report.Present, len(report.Skipped))
	return err
}

// uncover sees to it that the game finds the settings, whatever stands in its upper
// layer. They are the topmost of the lower layers; should something else ever be,
// what the game made of that is its own business.
func uncover(root, lowerDirs string, layer, settings *os.Root, owner upper.Owner, stdout io.Writer) error {
	first, _, _ := strings.Cut(lowerDirs, ":")
	if path, _ := lowerPath(root, first); !strings.HasPrefix(path, filepath.Join(root, "instances")+"/") {
		return nil
	}
	did, err := upper.Uncover(layer, settings, owner)
	for _, line := range did {
		fmt.Fprintln(stdout, line)
	}
	return err
}

// maxLowerDirs is how long L4D2_LOWERDIRS may be, in bytes. mount(2) takes one
// page, 4096 bytes, for all options; the rest is for the other ones. Written
// relative to the data root ("overlays/17") some 300 overlays fit.
const maxLowerDirs = 3840

// openLowers opens the lower layers, given relative to root or absolute. All
// must lie below root: whatever is a lower layer becomes readable to a game.
func openLowers(root, dirs string) ([]*os.Root, error) {
	if dirs == "" {
		return nil, errors.New("cannot prepare the overlay: L4D2_LOWERDIRS is empty in instance.env; initialize the server again")
	}
	if len(dirs) > maxLowerDirs {
		return nil, fmt.Errorf("cannot prepare the overlay: L4D2_LOWERDIRS is %d bytes long and the kernel takes %d; give the server fewer overlays", len(dirs), maxLowerDirs)
	}
	var lowers []*os.Root
	for dir := range strings.SplitSeq(dirs, ":") {
		path, ok := lowerPath(root, dir)
		if !ok {
			return lowers, fmt.Errorf("cannot use the lower directory %q: it is not a plain path below %s", dir, root)
		}
		lower, err := os.OpenRoot(path)
		if err != nil {
			return lowers, fmt.Errorf("cannot open the lower directory %s; install it again or take it out of the server's overlays: %w", path, err)
		}
		lowers = append(lowers, lower)
	}
	return lowers, nil
}

// lowerPath answers the absolute path of a lower directory, and false for one
// that leads out of root or that mount(8) would take apart.
func lowerPath(root, dir string) (string, bool) {
	rel := strings.TrimPrefix(dir, root+"/")
	ok := rel != "." && filepath.IsLocal(rel) && filepath.Clean(rel) == rel && !strings.ContainsAny(rel, `,\"`)
	return filepath.Join(root, rel), ok
}

func clearRemoved(root, name string, owner upper.Owner, stdout io.Writer) error {
	layer, err := os.OpenRoot(filepath.Join(root, "runtime", "."+name+".removed", "upper"))
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(stdout, "nothing to remove of %s\n", name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open the upper layer of %s: %w", name, err)
	}
	defer layer.Close()
	removed, err := upper.Clear(layer, owner)
	fmt.Fprintf(stdout, "removed %d entries of %s\n", removed, name)
	return err
}
