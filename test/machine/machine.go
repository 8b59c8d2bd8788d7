package machine

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

//go:embed supervise.sh
var superviseScript string

// Bounds of waits whose context sets no nearer one. Booting takes about half a
// second; a unit that ignores its stop signal holds a shutdown up by systemd's
// DefaultTimeoutStopSec=, 90 s.
const (
	bootTimeout     = 90 * time.Second
	shutdownTimeout = 3 * time.Minute
	consoleBytes    = 64 << 10
)

// Options say what machine to boot.
type Options struct {
	Release Release
	// Cache is the directory of base and scratch trees; empty means CacheDir.
	Cache string
	// Layer is what the machine has on its disk beside the base tree. Nil is
	// nothing.
	Layer *Layer
	// Log is told when a base tree or layer is built. Nil means nobody is.
	Log io.Writer
}

// Machine is a throw-away Debian with a real systemd as PID 1. Its methods may
// be called from many goroutines at once, but only one of them at a time should
// switch it on and off.
type Machine struct {
	release Release
	scratch *scratch
	nsenter string

	keeper  *exec.Cmd
	control io.WriteCloser
	notify  *net.UnixConn
	console *tail
	gone    chan struct{} // closed when the supervisor has ended
	goneErr error         // why, once gone is closed
	readers sync.WaitGroup

	mu      sync.Mutex
	power   power
	changed chan struct{} // closed and replaced at every change of power
}

// Boot boots a new machine and waits until its start-up has finished. The
// context bounds Boot, not the machine: that lives until Close, or until the
// calling process ends, however it ends.
func Boot(ctx context.Context, options Options) (*Machine, error) {
	m, err := launch(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("cannot boot a %s machine: %w", options.Release, err)
	}
	if err := m.Start(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// launch makes a machine that is switched off.
func launch(ctx context.Context, options Options) (*Machine, error) {
	if _, err := ParseRelease(string(options.Release)); err != nil {
		return nil, err
	}
	if err := checkHost(bootPrograms()); err != nil {
		return nil, err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return nil, err
	}
	cgroups, err := cgroupRoot()
	if err != nil {
		return nil, err
	}
	cache := options.Cache
	if cache == "" {
		if cache, err = CacheDir(); err != nil {
			return nil, err
		}
	}
	base, err := ensureTree(ctx, cache, baseTree(options.Release), options.Log)
	if err != nil {
		return nil, err
	}
	ground := ground{base: base, varlib: filepath.Join(base, "var", "lib")}
	if options.Layer != nil {
		dir, used, err := options.Layer.ensure(ctx, cache, base, options.Release, options.Log)
		if err != nil {
			return nil, err
		}
		defer used.Close() // as with the scratch's
		ground.layer, ground.varlib, ground.lock = filepath.Join(dir, "upper"), filepath.Join(dir, "varlib"), used
	}
	place, err := newScratch(ctx, cache, cgroups, options.Release)
	if err != nil {
		return nil, err
	}
	defer place.lock.Close() // the supervisor holds it from here on
	m := &Machine{
		release: options.Release, scratch: place, nsenter: nsenter,
		console: &tail{limit: consoleBytes},
		gone:    make(chan struct{}), changed: make(chan struct{}),
		power: power{off: true},
	}
	if err := m.furnish(ctx, ground); err != nil {
		return nil, errors.Join(err, os.RemoveAll(place.dir))
	}
	if err := m.supervise(ground); err != nil {
		return nil, errors.Join(err, os.RemoveAll(place.dir))
	}
	return m, nil
}

// ground is what a machine's tree stands on: directories of the host.
type ground struct {
	base   string
	layer  string   // between the base and the machine's own; "" is none
	varlib string   // what /var/lib begins as
	lock   *os.File // to be held for as long as the layer is used; nil without one
}

// furnish fills the scratch tree with what makes this machine another one than
// its siblings, and with a /var/lib on the host's own file system.
func (m *Machine) furnish(ctx context.Context, on ground) error {
	etc := filepath.Join(m.scratch.dir, "upper", "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		return fmt.Errorf("cannot furnish the tree: %w", err)
	}
	for _, file := range []struct {
		path, content string
		mode          os.FileMode
	}{
		// Set, so that no boot counts as the first (machine-id(5)).
		{filepath.Join(etc, "machine-id"), randomHex(16) + "\n", 0o444},
		{filepath.Join(etc, "hostname"), m.scratch.name + "\n", 0o644},
		{filepath.Join(etc, "hosts"), "127.0.0.1 localhost " + m.scratch.name + "\n::1 localhost\n", 0o644},
		{filepath.Join(m.scratch.dir, "supervise.sh"), superviseScript, 0o755},
	} {
		if err := os.WriteFile(file.path, []byte(file.content), file.mode); err != nil {
			return fmt.Errorf("cannot furnish the tree: %w", err)
		}
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", on.varlib+"/.", filepath.Join(m.scratch.dir, "varlib")).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot furnish the tree: cp: %w: %s", err, out)
	}
	return nil
}

// supervise starts supervise.sh and the readers of what it reports.
func (m *Machine) supervise(on ground) error {
	address := "@" + filepath.Base(m.scratch.cgroup) // an abstract socket: it needs no file
	notify, err := listenNotify(address)
	if err != nil {
		return err
	}
	events, eventsWriter, err := os.Pipe()
	if err != nil {
		notify.Close()
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	defer eventsWriter.Close()

	cmd := exec.Command("sh", filepath.Join(m.scratch.dir, "supervise.sh"), "keep",
		m.scratch.dir, on.base, on.layer, m.scratch.cgroup, m.scratch.name, address)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + searchPath, "LANG=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = m.console, m.console
	cmd.ExtraFiles = []*os.File{eventsWriter, m.scratch.lock}
	if on.lock != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, on.lock)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS}
	control, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		notify.Close()
		events.Close()
		return fmt.Errorf("cannot start the supervisor: %w", err)
	}
	m.keeper, m.control, m.notify = cmd, control, notify

	m.readers.Go(func() { m.readNotify(notify) })
	m.readers.Go(func() { m.readEvents(events) })
	go func() {
		m.goneErr = cmd.Wait()
		close(m.gone)
	}()
	return nil
}

// Close ends the machine at once, as if its power were cut, and removes
// everything of it. It may be called more than once.
func (m *Machine) Close() error {
	m.control.Close()
	<-m.gone
	m.notify.Close()
	m.readers.Wait()
	if m.goneErr != nil {
		return m.failed("clear away", m.goneErr)
	}
	return nil
}

// Start switches a machine on that is off, and waits until it is booted.
func (m *Machine) Start(ctx context.Context) error {
	m.update(func(p *power) { p.off, p.ready = false, false })
	// A supervisor that has ended cannot be told; waiting for it says why.
	_, tellErr := io.WriteString(m.control, "boot\n")
	if err := m.WaitBooted(ctx); err != nil {
		return errors.Join(err, tellErr)
	}
	return nil
}

// WaitBooted waits until the start-up of the machine, which may just be booting
// again, has finished: with all units active, or with some failed (see State).
func (m *Machine) WaitBooted(ctx context.Context) error { return m.waitBoot(ctx, 1) }

// waitBoot waits until the machine's nth boot, or a later one, has finished.
func (m *Machine) waitBoot(ctx context.Context, n int) error {
	ctx, cancel := bounded(ctx, bootTimeout)
	defer cancel()
	err := m.wait(ctx, func(p power) (bool, error) {
		if p.off {
			return false, fmt.Errorf("systemd-nspawn ended with status %d", p.status)
		}
		return p.ready && p.boots >= n, nil
	})
	if err != nil {
		return m.failed("boot", err)
	}
	// PID 1 counts itself as ready when its first jobs are done; this returns
	// when its job queue is empty.
	state, err := m.State(ctx, "--wait")
	if err != nil {
		return m.failed("boot", err)
	}
	if state != "running" && state != "degraded" {
		return m.failed("boot", fmt.Errorf("the system is %s", state))
	}
	return nil
}

// Reboot reboots the machine as an operator does, with systemctl reboot, and
// waits until it is booted again.
func (m *Machine) Reboot(ctx context.Context) error {
	ctx, cancel := bounded(ctx, shutdownTimeout)
	defer cancel()
	next := m.now().boots + 1
	// The shutdown may well kill the command before it has answered.
	asked := m.Run(ctx, "systemctl", "--no-block", "reboot")
	if err := m.waitBoot(ctx, next); err != nil {
		return errors.Join(err, asked)
	}
	return nil
}

// Poweroff shuts the machine down cleanly. Start switches it on again.
func (m *Machine) Poweroff(ctx context.Context) error {
	ctx, cancel := bounded(ctx, shutdownTimeout)
	defer cancel()
	asked := m.Run(ctx, "systemctl", "--no-block", "poweroff")
	if err := m.wait(ctx, func(p power) (bool, error) { return p.off, nil }); err != nil {
		return m.failed("power off", errors.Join(err, asked))
	}
	return nil
}

// PowerCut kills everything in the machine in one moment, as losing its power
// would, boots it again and waits until it is booted. What was written but not
// synced survives all the same: the page cache is the host's.
func (m *Machine) PowerCut(ctx context.Context) error {
	if err := m.Kill(ctx); err != nil {
		return err
	}
	return m.Start(ctx)
}

// Kill is the first half of PowerCut: it leaves the machine off.
func (m *Machine) Kill(ctx context.Context) error {
	now := m.now()
	if now.leader == nil {
		return m.failed("cut the power of", errOff)
	}
	// With the first process of a pid namespace the kernel kills all others.
	if err := now.leader.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return m.failed("cut the power of", err)
	}
	if err := m.wait(ctx, func(p power) (bool, error) { return p.off, nil }); err != nil {
		return m.failed("cut the power of", err)
	}
	return nil
}

// Release is what the machine runs.
func (m *Machine) Release() Release { return m.release }

// Name is the machine's name and host name, of its own among all machines.
func (m *Machine) Name() string { return m.scratch.name }

// Boots counts how often the machine has been switched on or has rebooted.
func (m *Machine) Boots() int { return m.now().boots }

// Console is the end of what the machine, and systemd-nspawn, wrote to the
// console over all boots.
func (m *Machine) Console() string { return m.console.String() }

// failed is the error of something that could not be done to the machine. The
// console mostly tells why.
func (m *Machine) failed(verb string, err error) error {
	return fmt.Errorf("cannot %s machine %s: %w; the end of its console:\n%s",
		verb, m.scratch.name, err, lastLines(m.Console(), 20))
}

func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %s", limit))
}
