package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// crashHost is a machine whose left4med is killed again and again.
type crashHost struct{ *host.Host }

// newCrashHost boots a machine with the product. Starts count as succeeded
// after a tenth of a second, and systemd restarts a killed daemon at once.
func newCrashHost(t *testing.T, release machine.Release) *crashHost {
	t.Helper()
	h := &crashHost{host.New(t, release)}
	h.write(t, "/etc/left4me/left4med.toml", "[start]\nsettle = \"100ms\"\n")
	h.write(t, "/etc/systemd/system/left4med.service.d/test.conf", "[Service]\nRestartSec=20ms\n")
	h.MustRun(t, "systemctl", "daemon-reload")
	h.MustRun(t, "systemctl", "restart", "left4med.service")
	return h
}

// useFaultyDaemon puts a daemon in place that can be killed at named points.
func (h *crashHost) useFaultyDaemon(t *testing.T) {
	t.Helper()
	program, err := faultyDaemon()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.CopyIn(t.Context(), program, "/usr/sbin/left4med.faulty"); err != nil {
		t.Fatal(err)
	}
	h.MustRun(t, "mv", "/usr/sbin/left4med.faulty", "/usr/sbin/left4med")
	h.MustRun(t, "systemctl", "restart", "left4med.service")
}

// faultyDaemon builds it once for each test process, as the Makefile builds the
// shipped one but for one more tag, and keeps it beside the build cache.
var faultyDaemon = sync.OnceValues(func() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = "/var/cache"
	}
	out := filepath.Join(dir, "left4med", "faulty", "left4med")
	temp := fmt.Sprintf("%s.%d", out, os.Getpid()) // test processes may do this at the same time
	build := exec.Command("go", "build", "-trimpath", "-tags", "sqlite_omit_load_extension,osusergo,netgo,faults",
		"-ldflags", `-s -w -X main.version=faulty -linkmode external -extldflags "-static"`, "-o", temp, "./cmd/left4med")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the daemon with its fault points: %w\n%s", err, text)
	}
	return out, os.Rename(temp, out)
})

func (h *crashHost) write(t *testing.T, path, text string) {
	t.Helper()
	if err := h.WriteFile(t.Context(), path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// api is a client for this boot.
func (h *crashHost) api(t *testing.T) *client.Client {
	c := h.Client()
	t.Cleanup(c.Close)
	return c
}

// state is a file of the daemon's state directory, seen from outside.
func (h *crashHost) state(name string) string {
	return h.DiskPath("/var/lib/left4med/" + name)
}

// arm makes the daemon kill itself when it passes the point for the nth time
// from now on.
func (h *crashHost) arm(t *testing.T, point string, n int) {
	t.Helper()
	temp := h.state("fault.new")
	if err := errors.Join(os.WriteFile(temp, fmt.Appendf(nil, "%s:%d", point, n), 0o600), os.Rename(temp, h.state("fault.kill"))); err != nil {
		t.Fatal(err)
	}
}

// disarm says whether the daemon was armed still, and lets it live.
func (h *crashHost) disarm(t *testing.T) bool {
	t.Helper()
	err := os.Remove(h.state("fault.kill"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// daemonProcess is the daemon's process, held by a pidfd, so that it is killed
// at a moment of our choice and not when a command has come that far.
func (h *crashHost) daemonProcess(ctx context.Context) (*os.Process, error) {
	leader := filepath.Base(filepath.Dir(h.Path("/")))
	for {
		if pid := childOf(leader, "left4med"); pid != 0 {
			return os.FindProcess(pid)
		}
		select { // it is about to be started; nothing tells of a process that begins
		case <-ctx.Done():
			return nil, fmt.Errorf("left4med does not run: %w", context.Cause(ctx))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// childOf finds the child of a process by its name, 0 when there is none.
func childOf(parent, name string) int {
	children, err := os.ReadFile(filepath.Join("/proc", parent, "task", parent, "children"))
	if err != nil {
		return 0
	}
	for field := range strings.FieldsSeq(string(children)) {
		exe, err := os.ReadFile(filepath.Join("/proc", field, "comm"))
		if err != nil || strings.TrimSpace(string(exe)) != name {
			continue
		}
		if pid, err := strconv.Atoi(field); err == nil {
			return pid
		}
	}
	return 0
}

// kill kills the daemon and returns when it is dead.
func (h *crashHost) kill(ctx context.Context) error {
	p, err := h.daemonProcess(ctx)
	if err != nil {
		return err
	}
	defer p.Release()
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return awaitDeath(ctx, p)
}

// awaitDeath returns when a process, which need not be a child, has ended.
func awaitDeath(ctx context.Context, p *os.Process) error {
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return context.Cause(ctx)
}

// waitLimit bounds a wait. It only decides when a broken product is broken.
func waitLimit(t *testing.T, what string) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Minute, fmt.Errorf("not within 2 minutes: %s", what))
	t.Cleanup(cancel)
	return ctx
}
