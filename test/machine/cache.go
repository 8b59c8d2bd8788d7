package machine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// overlayfsMagic is the type that statfs(2) tells of an overlayfs.
const overlayfsMagic = 0x794c7630

// CacheDir is where base trees are kept and machines have their scratch trees:
// $LEFT4MED_CACHE, or left4med below $XDG_CACHE_HOME, below $HOME/.cache, or
// below /var/cache. It must not lie on an overlayfs, which cannot carry another
// one's upper layer.
func CacheDir() (string, error) {
	dir := os.Getenv("LEFT4MED_CACHE")
	if dir == "" {
		parent, err := os.UserCacheDir()
		if err != nil { // neither XDG_CACHE_HOME nor HOME
			parent = "/var/cache"
		}
		dir = filepath.Join(parent, "left4med")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("cannot place the cache: %w", err)
	}
	return dir, nil
}

// lock opens path, creating it, and takes the exclusive flock(2) on it. Closing
// the file gives it back.
func lock(ctx context.Context, path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open a lock: %w", err)
	}
	taken := make(chan error, 1)
	go func() { taken <- flock(file, syscall.LOCK_EX) }()
	select {
	case err = <-taken:
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		return file, nil
	case <-ctx.Done():
		// flock cannot be interrupted: let it succeed and give it back then.
		go func() { <-taken; file.Close() }()
		return nil, fmt.Errorf("cannot lock %s: %w", path, context.Cause(ctx))
	}
}

// sharedLock opens a file that is there and takes the shared flock(2) on it. It
// is held exclusively for moments only.
func sharedLock(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open a lock: %w", err)
	}
	if err := flock(file, syscall.LOCK_SH); err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return file, nil
}

// tryLock says whether it got the exclusive flock(2).
func tryLock(file *os.File) bool {
	return flock(file, syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}

// scratch is the place of one machine: a directory, a cgroup of the same name,
// and the lock that is held for as long as the machine's supervisor lives.
type scratch struct {
	name, dir, cgroup string
	lock              *os.File
}

// newScratch makes the place of a new machine, and first clears away those of
// machines whose supervisor was killed.
func newScratch(ctx context.Context, cache, cgroups string, release Release) (*scratch, error) {
	parent := filepath.Join(cache, "machines")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make a place for machines: %w", err)
	}
	var fileSystem syscall.Statfs_t
	if err := syscall.Statfs(parent, &fileSystem); err != nil {
		return nil, fmt.Errorf("cannot make a place for machines: %w", err)
	}
	if fileSystem.Type == overlayfsMagic {
		return nil, fmt.Errorf("%s is on an overlayfs, which cannot carry another one's upper layer: "+
			"set LEFT4MED_CACHE to a directory on a plain file system", cache)
	}
	// Without it, another process could take our directory for an abandoned one
	// before its lock is ours.
	guard, err := lock(ctx, filepath.Join(parent, ".lock"))
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	if err := sweep(ctx, parent, cgroups); err != nil {
		return nil, err
	}

	name := fmt.Sprintf("%s-%s", release, randomHex(4))
	s := &scratch{name: name, dir: filepath.Join(parent, name), cgroup: cgroupOf(cgroups, name)}
	for _, dir := range []string{"", "lower", "layer", "upper", "work", "root", "varlib"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o755); err != nil {
			return nil, fmt.Errorf("cannot make a machine's tree: %w", err)
		}
	}
	if s.lock, err = lock(ctx, filepath.Join(s.dir, "lock")); err != nil {
		return nil, err
	}
	return s, nil
}

// sweep removes what supervisors that were killed could not. Their mounts went
// with their namespaces.
func sweep(ctx context.Context, parent, cgroups string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("cannot look for left-over machines: %w", err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		dir := filepath.Join(parent, entry.Name())
		file, err := os.Open(filepath.Join(dir, "lock"))
		switch {
		case errors.Is(err, fs.ErrNotExist): // its maker was killed before it could lock
		case err != nil:
			return fmt.Errorf("cannot look for left-over machines: %w", err)
		default:
			defer file.Close()
			if !tryLock(file) {
				continue // alive
			}
		}
		// The lock goes a moment before the last process does; the cgroup goes
		// after it, and then nothing writes to the tree any more.
		if err := removeCgroup(ctx, cgroupOf(cgroups, entry.Name())); err != nil {
			return fmt.Errorf("cannot remove a left-over machine's cgroup: %w", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("cannot remove a left-over machine: %w", err)
		}
	}
	return nil
}

func cgroupOf(root, machine string) string { return filepath.Join(root, "left4med-"+machine) }

// removeCgroup removes a tree of cgroups, the innermost first, and kills what
// is still in it. The kernel refuses while the last of the killed has not quite
// left, which it tells nobody: hence the short, bounded retry.
func removeCgroup(ctx context.Context, dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0); err != nil {
		return err
	}
	ctx, cancel := bounded(ctx, 10*time.Second)
	defer cancel()
	for i := len(dirs) - 1; i >= 0; {
		err := os.Remove(dirs[i])
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			i--
			continue
		}
		if !errors.Is(err, syscall.EBUSY) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
	return nil
}

// randomHex returns n random bytes in hexadecimal.
func randomHex(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // crypto/rand: it never fails, it would crash the program
	return hex.EncodeToString(raw)
}
