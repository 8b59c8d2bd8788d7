package unitctl

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/left4med/left4med/internal/server"
)

const (
	// settle is how long further changes of files are gathered into one event.
	settle = 20 * time.Millisecond
	// watchRetry is the pause before what cannot be watched is tried again.
	watchRetry = 5 * time.Second
)

// watchFiles tells of enablement and masks that changed without systemd (ln -s,
// rm, a package), which it does not signal, until ctx ends.
func (m *Manager) watchFiles(ctx context.Context) {
	told := ""
	for ctx.Err() == nil {
		err := m.watchOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if why := err.Error(); why != told {
			told = why
			m.log.Warn().Err(err).Msg("cannot watch enablement links; changes that systemd does not tell are seen by the next resync")
		}
		if !sleep(ctx, watchRetry) {
			return
		}
	}
}

// watchOnce watches until ctx ends or watching fails.
func (m *Manager) watchOnce(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	dirs := &watchedDirs{watcher: w, seen: make(map[string]os.FileInfo)}
	if err := m.watchDirs(dirs); err != nil {
		return err
	}
	// Whatever changed before the watches stood was not seen.
	gather := time.NewTimer(0)
	defer gather.Stop()
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return errors.New("the watch of the unit directories ended")
			}
			if m.concerns(e) {
				gather.Reset(settle)
			}
		case err, ok := <-w.Errors:
			if !ok {
				return errors.New("the watch of the unit directories ended")
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
			gather.Reset(settle)
		case <-retry:
			gather.Reset(0)
		case <-gather.C:
			// A directory that came, went or was replaced is watched anew
			// before it is told, so that nothing falls between.
			retry = nil
			if err := m.watchDirs(dirs); err != nil {
				retry = time.After(watchRetry)
			}
			m.queue.push(Event{Kind: UnitFilesChanged, At: time.Now()})
		}
	}
}

// concerns says whether a change may be one of enablement or masks.
func (m *Manager) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	name := filepath.Base(e.Name)
	_, instance := server.Instance(name)
	return instance || name == server.Template || isWantsDir(name) || e.Name == m.unitPath || e.Name == m.runPath
}

// watchDirs watches the unit path, the directory of runtime masks and every
// .wants and .requires directory.
func (m *Manager) watchDirs(w *watchedDirs) error {
	if err := w.add(m.unitPath); err != nil {
		return err
	}
	// Runtime masks are rare: that their directory may be missing is no reason
	// not to watch the others.
	_ = w.add(m.runPath)
	dirs, err := m.wantsDirs()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := w.add(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// watchedDirs notices when another directory stands at a watched path.
type watchedDirs struct {
	watcher *fsnotify.Watcher
	seen    map[string]os.FileInfo
}

func (w *watchedDirs) add(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		w.drop(dir)
		return err
	}
	if old, ok := w.seen[dir]; ok && os.SameFile(old, st) && w.watching(dir) {
		return nil
	}
	w.drop(dir)
	if err := w.watcher.Add(dir); err != nil {
		return err
	}
	w.seen[dir] = st
	return nil
}

func (w *watchedDirs) drop(dir string) {
	if _, ok := w.seen[dir]; ok {
		delete(w.seen, dir)
		_ = w.watcher.Remove(dir) // gone already when the directory was removed
	}
}

func (w *watchedDirs) watching(dir string) bool {
	for _, d := range w.watcher.WatchList() {
		if d == dir {
			return true
		}
	}
	return false
}
