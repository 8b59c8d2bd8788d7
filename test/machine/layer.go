package machine

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed layer.sh
var layerScript string

// layerKept is how long a layer that no machine stands on is kept: as long as
// somebody may be working with what is in it.
const layerKept = time.Hour

// Layer is what machines may have on their disk beside the base tree. It is
// made once and kept, under the hash of all that goes into it, so that it is
// never stale: a machine that stands on it has no more to do than one that
// stands on the base alone.
type Layer struct {
	// Files are put in: a path inside, and the host's file with its permissions.
	Files map[string]string
	// Script is what sh runs then, as root in a chroot without systemd. What it
	// starts ends with it.
	Script string
}

// ensure returns the layer's directory, made first if need be, and the lock that
// keeps it from being swept for as long as it is open.
func (l *Layer) ensure(ctx context.Context, cache, base string, release Release, progress io.Writer) (string, *os.File, error) {
	key, err := l.key(base)
	if err != nil {
		return "", nil, fmt.Errorf("cannot make a layer: %w", err)
	}
	place := cached{
		dir:   filepath.Join(cache, "layers", string(release)+"-"+key),
		what:  "layer on Debian " + string(release),
		guard: string(release),
		needs: bootPrograms(),
		build: func(ctx context.Context, aside string) error {
			if err := sweepLayers(filepath.Dir(aside), release, layerKept); err != nil {
				return err
			}
			return l.build(ctx, base, aside)
		},
	}
	for {
		if err := place.ensure(ctx, progress); err != nil {
			return "", nil, err
		}
		used, err := useLayer(place.dir)
		if !errors.Is(err, fs.ErrNotExist) {
			return place.dir, used, err
		}
		// It was swept before we had its lock.
	}
}

// key is a hash of all that a layer is made of.
func (l *Layer) key(base string) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\x00%s\x00%s", filepath.Base(base), layerScript, l.Script)
	for _, inside := range slices.Sorted(maps.Keys(l.Files)) {
		file, err := os.Open(l.Files[inside])
		if err != nil {
			return "", err
		}
		info, err := file.Stat()
		if err == nil {
			fmt.Fprintf(hash, "\x00%s\x00%o\x00%d\x00", inside, info.Mode(), info.Size())
			_, err = io.Copy(hash, file)
		}
		file.Close()
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:6]), nil
}

// build makes the layer in a directory.
func (l *Layer) build(ctx context.Context, base, dir string) error {
	for _, sub := range []string{"", "upper", "work", "varlib"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
		return err
	}
	command := []string{"unshare", "--mount", "sh", "-c", layerScript, "layer.sh", base, dir, l.Script}
	for _, inside := range slices.Sorted(maps.Keys(l.Files)) {
		command = append(command, l.Files[inside], inside)
	}
	var log bytes.Buffer
	if err := runBound(ctx, &log, command); err != nil {
		return fmt.Errorf("layer.sh: %w\n%s", err, lastLines(log.String(), 20))
	}
	return nil
}

// useLayer takes a layer's lock, which its users share, and dates it anew.
func useLayer(dir string) (*os.File, error) {
	file, err := sharedLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	mine, err := file.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(file.Name()); err == nil && !os.SameFile(mine, there) {
			err = fs.ErrNotExist
		}
	}
	if now := time.Now(); err == nil {
		err = os.Chtimes(file.Name(), now, now)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// sweepLayers removes the layers of a release that nobody uses and nobody has
// used for so long, and what a builder that was killed has left. The caller
// holds the guard, so no layer of the release is being built.
func sweepLayers(parent string, release Release, kept time.Duration) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("cannot look for old layers: %w", err)
	}
	for _, entry := range entries {
		name := filepath.Join(parent, entry.Name())
		rest, hidden := strings.CutPrefix(entry.Name(), ".")
		if !entry.IsDir() || !strings.HasPrefix(rest, string(release)+"-") {
			continue
		}
		if !hidden {
			if name, err = retire(name, kept); err != nil {
				return fmt.Errorf("cannot remove an old layer: %w", err)
			}
		}
		if name != "" {
			if err := os.RemoveAll(name); err != nil {
				return fmt.Errorf("cannot remove an old layer: %w", err)
			}
		}
	}
	return nil
}

// retire renames a layer that may go, so that nobody begins to use it, and
// returns its new name: "" for one that stays.
func retire(dir string, kept time.Duration) (string, error) {
	file, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || time.Since(info.ModTime()) < kept || !tryLock(file) {
		return "", err
	}
	away := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir))
	return away, os.Rename(dir, away)
}
