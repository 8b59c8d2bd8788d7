package unitctl

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestCgroup(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		a := unit("a")
		h.do(t, h.m.Start, a, JobDone)
		first, err := h.m.Cgroup(bounded(t), a)
		if err != nil {
			t.Fatal(err)
		}
		inside := h.MustRun(t, "sh", "-c", "stat --format=%i /sys/fs/cgroup$(systemctl show --property=ControlGroup --value "+a+")")
		if got := strconv.FormatUint(first, 10); got != strings.TrimSpace(inside) {
			t.Errorf("got %s, the machine says %s", got, inside)
		}
		h.do(t, h.m.Restart, a, JobDone)
		if second, err := h.m.Cgroup(bounded(t), a); err != nil || second == first {
			t.Errorf("after a restart %d, before it %d: %v", second, first, err)
		}
		h.do(t, h.m.Stop, a, JobDone)
		if id, err := h.m.Cgroup(bounded(t), a); err == nil {
			t.Errorf("a unit that does not run has %d", id)
		}
	})
}

func TestCgroupID(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	if err := os.MkdirAll(filepath.Join(top, "a.slice/b.service"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if id, err := cgroupID(top, "/a.slice/b.service"); err != nil || id == 0 {
		t.Errorf("%d, %v", id, err)
	}
	for _, bad := range []string{"", "/", "a.slice", "/a.slice/../a.slice", "/a.slice/", "/none", "/file"} {
		if id, err := cgroupID(top, bad); err == nil {
			t.Errorf("%q has %d", bad, id)
		}
	}
}
