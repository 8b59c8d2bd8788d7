package machine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// bootAndWait makes this test binary boot a machine and wait to be killed.
const bootAndWait = "LEFT4MED_TEST_BOOT_AND_WAIT"

func TestMain(m *testing.M) {
	if release := os.Getenv(bootAndWait); release != "" {
		booted, err := Boot(context.Background(), Options{Release: Release(release)})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		leader, _ := booted.leaderPID()
		fmt.Println(booted.keeper.Process.Pid, leader, booted.scratch.dir, booted.scratch.cgroup)
		io.Copy(io.Discard, os.Stdin)
	}
	os.Exit(m.Run())
}

// leftovers is what there may be of a machine on the host.
type leftovers struct {
	keeper, leader int
	dir, cgroup    string
}

func (l leftovers) check(t *testing.T) {
	t.Helper()
	for _, path := range []string{l.dir, l.cgroup, "/run/systemd/nspawn/propagate/" + filepath.Base(l.dir)} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left behind (%v)", path, err)
		}
	}
	for _, pid := range []int{l.keeper, l.leader} {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && !bytes.Contains(status, []byte("State:\tZ")) { // a zombie waits for the host's init
			t.Errorf("process %d is left behind:\n%s", pid, status)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), l.dir) {
		t.Errorf("a mount is left behind:\n%s", mounts)
	}
}

func of(m *Machine) leftovers {
	leader, _ := m.leaderPID()
	return leftovers{m.keeper.Process.Pid, leader, m.scratch.dir, m.scratch.cgroup}
}

// watchEnd returns a function that waits for the end of a process that is not a
// child of ours.
func watchEnd(t *testing.T, pid int) (wait func()) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("cannot watch process %d: %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func() {
		t.Helper()
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if err == nil {
				return
			}
			if !errors.Is(err, unix.EINTR) {
				t.Fatalf("cannot watch process %d: %v", pid, err)
			}
		}
	}
}

func TestNothingIsLeftByClose(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, release Release) {
		m, err := Boot(t.Context(), Options{Release: release, Log: os.Stderr})
		if err != nil {
			t.Fatal(err)
		}
		l := of(m)
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(mounts), l.dir) {
			t.Errorf("the machine's tree is mounted on the host:\n%s", mounts)
		}
		// A process that asks to be left alone, and a mount of the machine's own.
		m.MustRun(t, "systemd-run", "-p", "SendSIGKILL=no", "sh", "-c", "trap '' TERM INT HUP; mount -t tmpfs none /mnt; sleep infinity")
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		l.check(t)
		if err := m.Close(); err != nil {
			t.Errorf("closed a second time: %v", err)
		}
	})
}

func TestNothingIsLeftByAKilledOwner(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, release Release) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		owner := exec.Command(self)
		owner.Env = append(os.Environ(), bootAndWait+"="+string(release))
		owner.Stderr = os.Stderr
		stdin, err := owner.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		stdout, err := owner.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := owner.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			t.Fatalf("the owner booted no machine: %v", errors.Join(err, owner.Wait()))
		}
		var l leftovers
		if _, err := fmt.Sscan(line, &l.keeper, &l.leader, &l.dir, &l.cgroup); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		ended := watchEnd(t, l.keeper)
		// The supervisor holds this lock for as long as it lives.
		held, err := os.Open(filepath.Join(l.dir, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if err := flock(held, syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
			t.Fatalf("a live machine's lock is free: %v", err)
		}
		if err := owner.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		owner.Wait() // "signal: killed", as just ordered
		ended()
		l.check(t)
	})
}

func TestNextBootSweepsAfterAKilledSupervisor(t *testing.T) {
	t.Parallel()
	m, err := Boot(t.Context(), Options{Release: Bookworm, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	l := of(m)
	held, err := os.Open(filepath.Join(l.dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := m.keeper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err == nil {
		t.Error("closing a machine whose supervisor was killed reports nothing")
	}
	// What is below the supervisor ends with the control pipe.
	if err := flock(held, syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	held.Close()
	next, err := Boot(t.Context(), Options{Release: Bookworm})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	l.check(t)
}

func TestAMachineThatCannotBootSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, base, want string }{
		{"no init", "var/lib", "systemd-nspawn ended with status 1"},
		{"no mount point", "var", "cp:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cache := t.TempDir()
			if err := os.MkdirAll(filepath.Join(baseTree(Trixie).dir(cache), test.base), 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := Boot(t.Context(), Options{Release: Trixie, Cache: cache})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			left, err := filepath.Glob(filepath.Join(cache, "machines", "trixie-*"))
			if err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestACacheOnAnOverlayIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	m := New(t, Trixie)
	// The root of a machine is an overlayfs, seen through its supervisor.
	cache := m.DiskPath("/srv")
	if err := os.MkdirAll(filepath.Join(baseTree(Trixie).dir(cache), "var", "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Boot(t.Context(), Options{Release: Trixie, Cache: cache})
	if err == nil || !strings.Contains(err.Error(), "overlayfs") {
		t.Errorf("got %v", err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "machines", "trixie-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
