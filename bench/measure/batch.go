package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/godbus/dbus/v5"
)

// The ways to enable and start many servers.
const (
	ByLeft4med = "l4d2ctl start, all names"
	ByRaw      = "D-Bus: enable, reload, StartUnit each"
	ByOne      = "systemctl enable --now, all names"
	ByEach     = "systemctl enable --now, one by one"
)

// settled is how long systemd must say nothing before and after a round.
const settled = 500 * time.Millisecond

// Batch is one round of starting many servers that were stopped and disabled.
type Batch struct {
	Way      string        `json:"way"`
	Active   time.Duration `json:"active"`   // until systemd says that the last one is active
	Returned time.Duration `json:"returned"` // until the command, or the last command, has returned
	Reloads  int           `json:"reloads"`  // of systemd
}

// StartMany starts all the servers in each of the ways, in turn, so many rounds.
// Before each, all are stopped and disabled, and their overlays unmounted.
// left4med is down while the others do it: it shall not slow them.
func StartMany(ctx context.Context, names []string, rounds int) ([]Batch, error) {
	b, err := newBatcher(ctx, names)
	if err != nil {
		return nil, err
	}
	defer b.close()
	defer b.run("systemctl", "start", "left4med.socket", "left4med.service")
	var all []Batch
	for range rounds {
		for _, way := range []string{ByLeft4med, ByRaw, ByOne, ByEach} {
			result, err := b.round(way)
			if err != nil {
				return all, fmt.Errorf("cannot measure %q: %w", way, err)
			}
			all = append(all, result)
		}
	}
	return all, b.stopAll()
}

type batcher struct {
	ctx          context.Context
	bare         *listener
	calls        *bus
	names, units []string
}

func newBatcher(ctx context.Context, names []string) (*batcher, error) {
	b := &batcher{ctx: ctx, names: names}
	var err error
	if b.bare, err = newListener(); err != nil {
		return nil, err
	}
	if b.calls, err = dialBus(nil); err != nil {
		b.bare.bus.Close()
		return nil, err
	}
	for _, name := range names {
		b.units = append(b.units, "left4me-server@"+name+".service")
	}
	return b, nil
}

func (b *batcher) close() {
	b.calls.Close()
	b.bare.bus.Close()
}

func (b *batcher) round(way string) (Batch, error) {
	if err := b.stopAll(); err != nil {
		return Batch{}, err
	}
	daemon := "stop"
	if way == ByLeft4med {
		daemon = "start"
	}
	if err := b.run("systemctl", daemon, "left4med.socket", "left4med.service"); err != nil {
		return Batch{}, err
	}
	b.bare.quiet(settled)

	watch := newActive(b.units)
	b.bare.follow(watch.signal)
	defer b.bare.follow(nil)
	reloads := b.bare.reloaded()
	begin := time.Now()
	if err := b.start(way); err != nil {
		return Batch{}, err
	}
	returned := time.Now()
	active, err := b.allActive(watch, returned)
	if err != nil {
		return Batch{}, err
	}
	b.bare.quiet(settled) // a reload may come last
	return Batch{
		Way: way, Active: active.Sub(begin), Returned: returned.Sub(begin),
		Reloads: b.bare.reloaded() - reloads,
	}, nil
}

func (b *batcher) start(way string) error {
	switch way {
	case ByLeft4med:
		return b.run("l4d2ctl", append([]string{"start"}, b.names...)...)
	case ByOne:
		return b.run("systemctl", append([]string{"enable", "--now", "--quiet"}, b.units...)...)
	case ByEach:
		for _, unit := range b.units {
			if err := b.run("systemctl", "enable", "--now", "--quiet", unit); err != nil {
				return err
			}
		}
		return nil
	}
	if err := b.calls.call(managerPath, manager+".EnableUnitFiles", nil, b.units, false, true); err != nil {
		return err
	}
	if err := b.calls.call(managerPath, manager+".Reload", nil); err != nil {
		return err
	}
	return forEach(b.units, func(unit string) error {
		return b.calls.call(managerPath, manager+".StartUnit", nil, unit, "replace")
	})
}

func (b *batcher) run(name string, args ...string) error {
	cmd := exec.CommandContext(b.ctx, name, args...)
	cmd.Stderr = os.Stderr
	if name == "l4d2ctl" {
		cmd.Stderr = nil // a line for each server
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s …: %w", name, args[0], err)
	}
	return nil
}

// active is which units systemd has said to be active, and when it said so of
// the last.
type active struct {
	missing map[dbus.ObjectPath]bool
	last    time.Time
	done    chan struct{}
}

func newActive(units []string) *active {
	a := &active{missing: map[dbus.ObjectPath]bool{}, done: make(chan struct{})}
	for _, unit := range units {
		a.missing[unitPath(unit)] = true
	}
	return a
}

func (a *active) signal(s *dbus.Signal, at time.Time) {
	if !a.missing[s.Path] {
		return
	}
	if state, ok := changed(s, unitFace, "ActiveState"); !ok || state != "active" {
		return
	}
	delete(a.missing, s.Path)
	if len(a.missing) == 0 {
		a.last = at
		close(a.done)
	}
}

// allActive waits until all are active and says since when. A unit may get
// there without a signal of its own, around a reload: therefore the list is
// asked, too.
func (b *batcher) allActive(watch *active, returned time.Time) (time.Time, error) {
	deadline := returned.Add(2 * time.Minute)
	for {
		select {
		case <-watch.done:
			return watch.last, nil
		case <-time.After(50 * time.Millisecond):
		}
		listed, err := b.calls.list("left4me-server@*.service")
		if err != nil {
			return time.Time{}, err
		}
		running := map[string]bool{}
		for _, u := range listed {
			running[u.Name] = u.Active == "active"
		}
		missing := 0
		for _, unit := range b.units {
			if !running[unit] {
				missing++
			}
		}
		switch now := time.Now(); {
		case missing == 0:
			return now, nil
		case now.After(deadline):
			return now, fmt.Errorf("%d of %d servers are not active", missing, len(b.units))
		}
	}
}

// stopAll stops and disables all, whoever started them, and waits until nothing
// of them is left.
func (b *batcher) stopAll() error {
	err := forEach(b.units, func(unit string) error {
		return b.calls.call(managerPath, manager+".StopUnit", nil, unit, "replace")
	})
	if err != nil {
		return fmt.Errorf("cannot stop the servers: %w", err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		left, err := b.calls.list("left4me-server@*.service", "left4me-overlay@*.service", "left4me-upper@*.service")
		if err != nil {
			return err
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d units do not stop, among them %s", len(left), left[0].Name)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, unit := range b.units { // systemd allows five starts a minute
		err := b.calls.call(managerPath, manager+".ResetFailedUnit", nil, unit)
		if refused := (dbus.Error{}); err != nil && (!errors.As(err, &refused) || refused.Name != noSuchUnit) {
			return fmt.Errorf("cannot reset the start counter of %s: %w", unit, err)
		}
	}
	if err := b.calls.call(managerPath, manager+".DisableUnitFiles", nil, b.units, false); err != nil {
		return fmt.Errorf("cannot disable the servers: %w", err)
	}
	return b.calls.call(managerPath, manager+".Reload", nil)
}
