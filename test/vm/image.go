package vm

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

//go:embed image.sh
var imageScript string

// diskBytes is the size of a disk, most of it a hole.
const diskBytes = 1 << 30

// inside are the places of what is put in.
const (
	insideAgent = "/usr/local/sbin/left4med-vm-agent"
	insideDeb   = "/var/tmp/left4med.deb"
	insideGame  = "/var/tmp/srcds_run"
)

// furnish is what is done to a tree, in it, before its first boot.
func furnish(name string) string {
	return strings.Join([]string{
		"echo " + name + " >/etc/hostname",
		"echo 127.0.0.1 localhost " + name + " >/etc/hosts",
		"tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id", // set, so that no boot counts as the first
		"dpkg --install " + insideDeb,
		insideGame + " --make-tree " + host.Installation,
		"chown -R left4me:left4me " + host.Installation,
		"rm " + insideDeb + " " + insideGame,
		"cat >/etc/systemd/system/left4med-vm-agent.service <<'END'\n" + agentUnit + "END",
		"systemctl --quiet enable left4med-vm-agent.service",
		// A machine without network is as online as it will be.
		"systemctl --quiet mask getty@tty1.service serial-getty@.service",
	}, "\n")
}

// agentUnit runs the agent as soon as its line is there. The commands that it
// runs are none of its own: its end is not theirs.
const agentUnit = `[Unit]
Description=Commands from outside
DefaultDependencies=no
BindsTo=dev-virtio\x2dports-` + portName + `.device
After=dev-virtio\x2dports-` + portName + `.device dbus.socket
[Service]
ExecStart=` + insideAgent + ` /dev/virtio-ports/` + portName + `
KillMode=process
OOMScoreAdjust=-1000
[Install]
WantedBy=sysinit.target
`

// newDisk makes the disk of a machine: a file without a name.
func newDisk(ctx context.Context, tree, name string) (*os.File, error) {
	deb, err := host.Package()
	if err != nil {
		return nil, err
	}
	game, err := host.Program("./test/standin/srcds_run")
	if err != nil {
		return nil, err
	}
	agent, err := host.Program("./test/vm/agent")
	if err != nil {
		return nil, err
	}
	disk, err := nameless()
	if err != nil {
		return nil, fmt.Errorf("cannot make a disk: %w", err)
	}
	command := []string{
		"unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-c", imageScript, "image.sh", tree, furnish(name),
		agent, insideAgent, deb, insideDeb, game, insideGame,
	}
	var said strings.Builder
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &said, &said, []*os.File{disk}
	cmd.WaitDelay = 5 * time.Second
	if err := <-runBound(cmd); err != nil {
		disk.Close()
		return nil, fmt.Errorf("cannot fill a disk: %w\n%s", errors.Join(err, context.Cause(ctx)), said.String())
	}
	return disk, nil
}

// nameless makes an empty file of a disk's size.
func nameless() (*os.File, error) {
	cache, err := machine.CacheDir()
	if err != nil {
		return nil, err
	}
	disk, err := os.CreateTemp(cache, ".disk-")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Remove(disk.Name()), disk.Truncate(diskBytes)); err != nil {
		disk.Close()
		return nil, err
	}
	return disk, nil
}

// kernelOf finds the kernel of a tree.
func kernelOf(tree string) (string, error) {
	kernels, err := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
	if err != nil {
		return "", err
	}
	if len(kernels) == 0 {
		return "", fmt.Errorf("there is no kernel in %s", tree)
	}
	return slices.Max(kernels), nil
}
