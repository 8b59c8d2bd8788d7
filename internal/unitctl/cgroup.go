package unitctl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// Cgroup is the id of the control group in which a unit's processes are: the
// inode number of its directory in cgroup2's file system, which the kernel gives
// for the sockets that they open, too (sock_diag(7), INET_DIAG_CGROUP_ID). A unit
// has another one after each stop. It is to be loaded: systemd would load one to
// answer. The error says that it has none: it is not running.
func (m *Manager) Cgroup(ctx context.Context, unit string) (uint64, error) {
	doing := "find the control group of " + unit
	if err := checkUnit(unit); err != nil {
		return 0, err
	}
	l, err := m.live()
	if err != nil {
		return 0, err
	}
	reply, err := l.call(ctx, unitPathOf(unit), propsFace+".Get", serviceFace, "ControlGroup")
	if err != nil {
		return 0, explain(doing, err)
	}
	var value dbus.Variant
	if err := fields(reply.Body, &value); err != nil {
		return 0, explain(doing, err)
	}
	group, err := text(value.Value())
	if err != nil {
		return 0, explain(doing, err)
	}
	id, err := cgroupID(m.cgroups, *group)
	if err != nil {
		return 0, fmt.Errorf("cannot %s: %w", doing, err)
	}
	return id, nil
}

// cgroupID is the id of the control group at a path below the top of cgroup2's
// file system; systemd names groups so, beginning with a slash.
func cgroupID(top, group string) (uint64, error) {
	if !strings.HasPrefix(group, "/") || filepath.Clean(group) != group || group == "/" {
		return 0, fmt.Errorf("systemd names none (%q)", group)
	}
	info, err := os.Lstat(filepath.Join(top, group))
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || st.Ino == 0 {
		return 0, fmt.Errorf("%s is no control group", info.Name())
	}
	return st.Ino, nil
}
