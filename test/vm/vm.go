package vm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/test/machine"
)

// bootTimeout bounds a boot that hangs. Under emulation it takes some twenty
// seconds on an idle host, and beside other tests many times that.
const bootTimeout = 15 * time.Minute

// Machine is a throw-away virtual Debian with the product on it. Its methods may
// be called from many goroutines at once, but only one of them at a time should
// switch it on and off.
type Machine struct {
	name    string
	kernel  string
	disk    *os.File
	console *console

	door *door

	mu   sync.Mutex
	boot *boot // nil when off
}

// boot is a machine that is on.
type boot struct {
	*qemu
	tunnel *tunnel
}

// New boots a virtual machine for a test, which fails at once when it cannot.
// It is closed when the test ends; of a test that failed, the end of its journal
// and console is logged before.
func New(t testing.TB, release machine.Release) *Machine {
	t.Helper()
	m, err := Boot(t.Context(), release, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			m.logTo(t)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func (m *Machine) logTo(t testing.TB) {
	// The test's own context has ended by now.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	journal, err := m.Output(ctx, "journalctl", "--no-pager", "--boot", "--lines=200", "--output=short-precise")
	t.Logf("the end of the journal of machine %s (%v):\n%s\nits console:\n%s", m.name, err, journal, m.Console())
}

// Boot makes a virtual machine, boots it and waits until its start-up has
// finished. The context bounds Boot, not the machine: that lives until Close, or
// until the calling process ends, however it ends. log is told when the tree
// must be built first.
func Boot(ctx context.Context, release machine.Release, log io.Writer) (*Machine, error) {
	if err := checkHost(); err != nil {
		return nil, err
	}
	tree, err := machine.EnsureVirtual(ctx, release, log)
	if err != nil {
		return nil, err
	}
	m := &Machine{
		name: string(release) + "-" + strings.ToLower(rand.Text()[:8]), console: &console{},
	}
	if m.kernel, err = kernelOf(tree); err != nil {
		return nil, err
	}
	if m.disk, err = newDisk(ctx, tree, m.name); err != nil {
		return nil, err
	}
	if err := m.openDoor(); err != nil {
		return nil, errors.Join(err, m.disk.Close())
	}
	if err := m.Start(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// checkHost says what this host lacks, and the command that cures it.
func checkHost() error {
	for program, pkg := range map[string]string{
		"qemu-system-x86_64": "qemu-system-x86", "mkfs.ext4": "e2fsprogs", "unshare": "util-linux",
	} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("virtual machines need %s: install it with: apt-get install %s", program, pkg)
		}
	}
	return nil
}

// Start switches a machine on that is off, and waits until it is booted: with
// all units active, or with some failed.
func (m *Machine) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bootTimeout, fmt.Errorf("not done within %s", bootTimeout))
	defer cancel()
	q, err := power(m.kernel, m.disk, m.console)
	if err != nil {
		return err
	}
	tunnel, err := newTunnel(ctx, q.line, q.gone)
	if err != nil {
		return m.failed("boot", errors.Join(err, q.kill()))
	}
	m.mu.Lock()
	m.boot = &boot{q, tunnel}
	m.mu.Unlock()
	out, err := m.Output(ctx, "systemctl", "is-system-running", "--wait")
	// It fails for every state but running.
	if state := strings.TrimSpace(out); state != "running" && state != "degraded" {
		return m.failed("boot", fmt.Errorf("the system is %q: %w", state, err))
	}
	return nil
}

// Kill cuts the power and leaves the machine off.
func (m *Machine) Kill() error {
	m.mu.Lock()
	b := m.boot
	m.boot = nil
	m.mu.Unlock()
	if b == nil {
		return m.failed("cut the power of", errOff)
	}
	if err := b.kill(); err != nil {
		return m.failed("cut the power of", err)
	}
	return nil
}

var errOff = errors.New("the machine is off")

// now is the machine's line, when it is on.
func (m *Machine) now() (*tunnel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.boot == nil {
		return nil, errOff
	}
	return m.boot.tunnel, nil
}

// Close ends the machine at once, as if its power were cut.
func (m *Machine) Close() error {
	m.mu.Lock()
	on := m.boot != nil
	m.mu.Unlock()
	var err error
	if on {
		err = m.Kill()
	}
	m.door.close()
	m.disk.Close()
	return err
}

// Console is the end of what the machine and qemu said, over all boots.
func (m *Machine) Console() string { return m.console.String() }

// failed is the error of something that could not be done to the machine.
func (m *Machine) failed(verb string, err error) error {
	return fmt.Errorf("cannot %s machine %s: %w; the end of its console:\n%s", verb, m.name, err, m.Console())
}

// console keeps the end of what is written to it.
type console struct {
	mu  sync.Mutex
	end []byte
}

const consoleBytes = 8 << 10

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = append(c.end, p...)
	if over := len(c.end) - consoleBytes; over > 0 {
		c.end = append(c.end[:0], c.end[over:]...)
	}
	return len(p), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.end)
}
