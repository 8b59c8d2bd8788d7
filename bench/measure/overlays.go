package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// gameData is where the installation, the instances and their layers are.
const gameData = "/var/lib/left4me"

// Overlays is what many instances of one installation cost.
type Overlays struct {
	// Bytes on the disk (st_blocks, stat(2)) when each has run once: of the
	// installation that all share, of the first instance, and of all further ones.
	Installation, First, Further int64
	// Plain is mount(8) alone, Unit the start of an overlay's unit with the unit
	// before it, each one by one.
	Plain, Unit []time.Duration
	// Mounted is from one l4d2ctl start of all to each overlay.
	Mounted []time.Duration
	Stops   []Stop
}

// Stop is one round of stopping all that ran.
type Stop struct {
	Way       string        `json:"way"`
	Unmounted time.Duration `json:"unmounted"` // until the last overlay is gone
	Returned  time.Duration `json:"returned"`
}

// The ways to stop many servers.
const (
	StopByLeft4med = "l4d2ctl stop, all names"
	StopByOne      = "systemctl stop, all names"
)

// MeasureOverlays mounts the overlays of the servers, which are stopped, one by
// one, then starts and stops all in each way, so many rounds. Afterwards all are
// stopped and disabled.
func MeasureOverlays(ctx context.Context, names []string, rounds int) (Overlays, error) {
	var all Overlays
	b, err := newBatcher(ctx, names)
	if err != nil {
		return all, err
	}
	defer b.close()
	if err := b.stopAll(); err != nil {
		return all, err
	}
	if all.Plain, err = b.plainMounts(); err != nil {
		return all, fmt.Errorf("cannot measure plain mounts: %w", err)
	}
	if all.Unit, err = b.unitMounts(); err != nil {
		return all, fmt.Errorf("cannot measure the units of overlays: %w", err)
	}
	for range rounds {
		for _, way := range []string{StopByLeft4med, StopByOne} {
			mounted, stop, err := b.stopRound(way)
			if err != nil {
				return all, fmt.Errorf("cannot measure %q: %w", way, err)
			}
			all.Mounted, all.Stops = append(all.Mounted, mounted...), append(all.Stops, stop)
		}
	}
	err = errors.Join(
		use(&all.Installation, "installation"),
		use(&all.First, "instances/"+names[0], "runtime/"+names[0]),
	)
	for _, name := range names[1:] {
		err = errors.Join(err, use(&all.Further, "instances/"+name, "runtime/"+name))
	}
	return all, errors.Join(err, b.stopAll())
}

// plainMounts mounts and unmounts as many overlays on the installation.
func (b *batcher) plainMounts() ([]time.Duration, error) {
	dir, err := os.MkdirTemp(gameData, "bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, sub := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	options := fmt.Sprintf("nosuid,nodev,userxattr,lowerdir=%s/installation,upperdir=%[2]s/upper,workdir=%[2]s/work", gameData, dir)
	merged := filepath.Join(dir, "merged")
	var took []time.Duration
	for range b.names {
		begin := time.Now()
		if err := b.run("mount", "-t", "overlay", "bench", merged, "-o", options); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
		if err := b.run("umount", merged); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// unitMounts starts the unit of each overlay, until its start is over. Nothing
// needs it, so it goes again by itself.
func (b *batcher) unitMounts() ([]time.Duration, error) {
	defer b.bare.follow(nil)
	var took []time.Duration
	for _, name := range b.names {
		unit, done := overlayUnit(name), make(chan time.Time, 1)
		b.bare.follow(func(s *dbus.Signal, at time.Time) {
			if mountedBy(s) == unit {
				select {
				case done <- at:
				default: // its end is a job, too
				}
			}
		})
		begin := time.Now()
		if err := b.calls.call(managerPath, manager+".StartUnit", nil, unit, "replace"); err != nil {
			return nil, err
		}
		select {
		case at := <-done:
			took = append(took, at.Sub(begin))
		case <-time.After(time.Minute):
			return nil, fmt.Errorf("%s is not started within a minute", unit)
		}
		if err := b.unmounted(); err != nil {
			return nil, err
		}
	}
	return took, nil
}

func overlayUnit(name string) string { return "left4me-overlay@" + name + ".service" }

// mountedBy is the unit of whose job a JobRemoved signal tells that it is done
// (org.freedesktop.systemd1(5)).
func mountedBy(s *dbus.Signal) string {
	if s.Name != manager+".JobRemoved" || len(s.Body) != 4 || s.Body[3] != "done" {
		return ""
	}
	unit, _ := s.Body[2].(string)
	return unit
}

// stopRound starts all at once and stops all at once.
func (b *batcher) stopRound(way string) ([]time.Duration, Stop, error) {
	if err := b.stopAll(); err != nil {
		return nil, Stop{}, err
	}
	b.bare.quiet(settled)
	missing, at := map[string]bool{}, make(chan time.Time, len(b.names))
	for _, name := range b.names {
		missing[overlayUnit(name)] = true
	}
	b.bare.follow(func(s *dbus.Signal, now time.Time) {
		if unit := mountedBy(s); missing[unit] {
			delete(missing, unit)
			at <- now
		}
	})
	defer b.bare.follow(nil)
	begin := time.Now()
	if err := b.start(ByLeft4med); err != nil {
		return nil, Stop{}, err
	}
	var mounted []time.Duration
	for range b.names {
		select {
		case now := <-at:
			mounted = append(mounted, now.Sub(begin))
		case <-time.After(time.Minute):
			return nil, Stop{}, fmt.Errorf("%d of %d overlays are mounted after a minute", len(mounted), len(b.names))
		}
	}
	b.bare.quiet(settled)

	returned := make(chan error, 1)
	stop := Stop{Way: way}
	begin = time.Now()
	go func() {
		err := b.stop(way)
		stop.Returned = time.Since(begin)
		returned <- err
	}()
	err := b.unmounted()
	stop.Unmounted = time.Since(begin)
	err = errors.Join(err, <-returned)
	return mounted, stop, err
}

func (b *batcher) stop(way string) error {
	if way == StopByLeft4med {
		return b.run("l4d2ctl", append([]string{"stop"}, b.names...)...)
	}
	return b.run("systemctl", append([]string{"stop"}, b.units...)...)
}

// unmounted waits until no server's overlay is mounted, which the kernel tells
// those who ask: mountinfo changes without a word to an ordinary reader.
func (b *batcher) unmounted() error {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		left := bytes.Count(mounts, []byte(" - overlay l4d2-"))
		switch {
		case left == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d overlays are still mounted", left)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-b.ctx.Done():
			return context.Cause(b.ctx)
		}
	}
}

// use adds what trees below gameData take on the disk, each file once.
func use(sum *int64, trees ...string) error {
	seen := map[uint64]bool{}
	for _, tree := range trees {
		err := filepath.WalkDir(filepath.Join(gameData, tree), func(_ string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			stat, ok := info.Sys().(*syscall.Stat_t)
			if ok && !seen[stat.Ino] {
				seen[stat.Ino] = true
				*sum += stat.Blocks * 512
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("cannot measure disk use: %w", err)
		}
	}
	return nil
}
