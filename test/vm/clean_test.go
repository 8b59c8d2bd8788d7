package vm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/test/machine"
)

// powerAndWait makes this test binary switch a machine on and wait to be killed.
const powerAndWait = "LEFT4MED_TEST_POWER_AND_WAIT"

func TestMain(m *testing.M) {
	if kernel := os.Getenv(powerAndWait); kernel != "" {
		disk, err := nameless()
		if err == nil {
			var q *qemu
			if q, err = power(kernel, disk, &console{}); err == nil {
				fmt.Println(q.cmd.Process.Pid)
				io.Copy(io.Discard, os.Stdin)
			}
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestNothingIsLeftByAKilledOwner(t *testing.T) {
	t.Parallel()
	tree, err := machine.EnsureVirtual(t.Context(), machine.Trixie, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := kernelOf(tree)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	owner := exec.Command(self)
	owner.Env = append(os.Environ(), powerAndWait+"="+kernel, "LEFT4MED_CACHE="+cache)
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
		t.Fatalf("the owner started no machine: %v", errors.Join(err, owner.Wait()))
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err != nil || !strings.HasPrefix(string(name), "qemu") {
		t.Fatalf("process %d is %q, %v", pid, name, err)
	}
	ended, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ended)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.Wait() // "signal: killed", as just ordered
	for {
		// Its end is the event: a qemu that outlives its owner ends this test by
		// the time-out of all.
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(ended), Events: unix.POLLIN}}, -1); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	noFiles(t, cache)
}

func TestADiskThatCannotBeFilledSaysWhyAndLeavesNothing(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("LEFT4MED_CACHE", cache)
	t.Setenv("LEFT4MED_DEB", "/dev/null")
	tree := t.TempDir() // without a shell, say
	disk, err := newDisk(t.Context(), tree, "x")
	if err == nil {
		disk.Close()
		t.Fatal("a disk was made of nothing")
	}
	if !strings.Contains(err.Error(), "root/proc") {
		t.Errorf("it does not say why: %v", err)
	}
	noFiles(t, cache)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), tree) {
		t.Errorf("a mount is left behind:\n%s", mounts)
	}
}

// noFiles wants no file in a cache but the programs that were built for it.
func noFiles(t *testing.T, cache string) {
	t.Helper()
	err := filepath.WalkDir(cache, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Base(filepath.Dir(path)) != "standin" {
			t.Errorf("%s is left behind", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
