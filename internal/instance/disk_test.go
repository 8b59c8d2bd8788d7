package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/left4med/left4med/internal/server"
)

// helperEnv makes the test binary play with a small disk of its own.
const helperEnv = "INSTANCE_TEST_DISK"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) == "" {
		os.Exit(m.Run())
	}
	if err := playDisk(os.Getenv(helperEnv)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// playDisk puts a small file system on root, in a mount namespace that this
// process was started with, and says how a full, a read-only and a mounted
// instance are reported, and what is left each time.
func playDisk(root string) error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("none", root, "tmpfs", 0, "mode=0755,size=256k"); err != nil {
		return err
	}
	tree, ctx := New(root), context.Background()
	ballast := filepath.Join(root, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is not full: %w", err)
	}
	say("full", tree.Create(ctx, "a", 7, testConfig()))
	fmt.Println("gone:", tree.Gone("a"))
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := tree.Create(ctx, "a", 7, testConfig()); err != nil {
		return err
	}
	if err := syscall.Mount("none", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	say("read-only", tree.Write(ctx, "a", 7, testConfig()))
	say("check", tree.Check("a"))
	if err := syscall.Mount("none", root, "", syscall.MS_REMOUNT, ""); err != nil {
		return err
	}
	merged := filepath.Join(root, "runtime/a/merged")
	sayMounted(tree)
	if err := syscall.Mount("none", merged, "tmpfs", 0, ""); err != nil {
		return err
	}
	sayMounted(tree)
	say("mounted", tree.Retire("a"))
	say("check", tree.Check("a"))
	if err := syscall.Unmount(merged, 0); err != nil {
		return err
	}
	return errors.Join(tree.Retire("a"), tree.Remove("a"))
}

func sayMounted(tree *Tree) {
	mounted, err := tree.Mounted("a")
	fmt.Printf("mounted: %v %v\n", mounted, err)
}

func say(what string, err error) {
	var e *server.Error
	if errors.As(err, &e) {
		fmt.Printf("%s: %s %s\n", what, e.Code, e.Detail)
		return
	}
	fmt.Printf("%s: %v\n", what, err)
}

func TestDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk in a namespace of its own")
	}
	self, err := os.Executable()
	must(t, err)
	root := t.TempDir()
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), helperEnv+"="+root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v; it said:\n%s", err, out)
	}
	const want = `full: storage cannot create the files of a: there is no space left for the settings layer (ROOT/instances/.a.new/layers/.1.new/left4dead2/cfg/.server.cfg.new); free some (df -h ROOT) and try again
gone: true
read-only: storage cannot write the settings of a: the instance's directory (ROOT/instances/a) cannot be written: the file system of ROOT is read-only; mount it writable and try again
check: <nil>
mounted: false <nil>
mounted: true <nil>
mounted: instance-files cannot retire the files of a: ROOT/runtime/a/merged is still mounted; stop left4me-overlay@a.service first, or run umount ROOT/runtime/a/merged
check: <nil>
`
	same(t, strings.Split(want, "\n"), strings.Split(strings.ReplaceAll(string(out), root, "ROOT"), "\n"))
}
