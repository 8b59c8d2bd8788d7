package machine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Path is where a path of the running machine is reached from the host: for
// sockets and for reading, as in Path("/run/systemd/private"). It holds for
// this boot alone and is empty while the machine is off. An absolute symbolic
// link on the way leads out to the host: WriteFile and ReadFile have no such
// hole.
func (m *Machine) Path(inside string) string {
	leader, err := m.leaderPID()
	if err != nil {
		return ""
	}
	return filepath.Join("/proc", strconv.Itoa(leader), "root", path.Clean("/"+inside))
}

// DiskPath is where a path on the machine's disk is reached from the host, also
// while the machine is off. Nothing mounted in the machine (/run, /tmp, an
// overlay of its own) is seen there.
func (m *Machine) DiskPath(inside string) string {
	clean := path.Clean("/" + inside)
	if rest, found := strings.CutPrefix(clean+"/", "/var/lib/"); found {
		return filepath.Join(m.scratch.dir, "varlib", rest)
	}
	return filepath.Join("/proc", strconv.Itoa(m.keeper.Process.Pid), "root", m.scratch.dir, "root", clean)
}

// WriteFile writes a file in the machine as root, replacing one that is there,
// and makes the directories above it.
func (m *Machine) WriteFile(ctx context.Context, inside string, data []byte, mode os.FileMode) error {
	return m.install(ctx, bytes.NewReader(data), inside, mode)
}

// CopyIn copies a file of the host into the machine, with its permissions and
// owned by root, replacing one that is there, and makes the directories above.
func (m *Machine) CopyIn(ctx context.Context, host, inside string) error {
	file, err := os.Open(host)
	if err != nil {
		return fmt.Errorf("cannot copy into machine %s: %w", m.scratch.name, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("cannot copy into machine %s: %w", m.scratch.name, err)
	}
	return m.install(ctx, file, inside, info.Mode())
}

func (m *Machine) install(ctx context.Context, data io.Reader, inside string, mode os.FileMode) error {
	cmd := m.Command(ctx, "install", "-D", "--mode="+strconv.FormatUint(uint64(mode.Perm()), 8), "--", "/dev/stdin", inside)
	cmd.Stdin = data
	_, err := Output(cmd)
	return err
}

// ReadFile reads a file in the machine as root.
func (m *Machine) ReadFile(ctx context.Context, inside string) ([]byte, error) {
	out, err := m.Output(ctx, "cat", "--", inside)
	if err != nil {
		return nil, err
	}
	return []byte(out), nil
}

// InstallDeb installs packages of the host in the machine, all in one go, as
// apt-get install does: over an older, the same or a newer version too. There
// is no network inside: what they depend on must be in the base tree.
func (m *Machine) InstallDeb(ctx context.Context, debs ...string) error {
	var inside []string
	for _, deb := range debs {
		to := path.Join("/var/tmp", filepath.Base(deb))
		if err := m.CopyIn(ctx, deb, to); err != nil {
			return err
		}
		inside = append(inside, to)
	}
	install := append([]string{
		"DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes", "--no-install-recommends",
		"--reinstall", "--allow-downgrades", "install",
	}, inside...)
	if err := m.Run(ctx, "env", install...); err != nil {
		return err
	}
	return m.Run(ctx, "rm", append([]string{"--"}, inside...)...)
}
