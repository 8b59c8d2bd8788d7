package unitctl

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestLimits(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		a := unit("a")
		const control = "/etc/systemd/system.control/left4me-server@a.service.d"
		set := func(want bool, limits server.Limits) {
			t.Helper()
			if changed, err := h.m.SetLimits(bounded(t), a, limits); err != nil || changed != want {
				t.Errorf("SetLimits %+v: %v, %v", limits, changed, err)
			}
		}
		is := func(when, want string) {
			t.Helper()
			got := h.MustRun(t, "systemctl", "show", "--property=MemoryMax,MemoryHigh,CPUWeight,AllowedCPUs", a)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		const (
			none   = "CPUWeight=[not set]\nAllowedCPUs=\nMemoryHigh=1610612736\nMemoryMax=2147483648\n"
			first  = "CPUWeight=50\nAllowedCPUs=0\nMemoryHigh=805306368\nMemoryMax=1073741824\n"
			second = "CPUWeight=[not set]\nAllowedCPUs=0-1\nMemoryHigh=1610612736\nMemoryMax=2147483648\n"
		)
		set(false, server.Limits{})
		if h.Run(t.Context(), "test", "-e", control) == nil {
			t.Error("limits were set where none are wanted")
		}
		set(true, server.Limits{MemoryMax: 1 << 30, CPUWeight: 50, CPUs: []int{0}})
		set(false, server.Limits{MemoryMax: 1 << 30, CPUWeight: 50, CPUs: []int{0}})
		is("before a start", first)
		h.do(t, h.m.Start, a, JobDone)
		is("in a run", first)
		set(true, server.Limits{CPUs: []int{0, 1}})
		set(false, server.Limits{CPUs: []int{0, 1}})
		for _, command := range []string{"true", "systemctl daemon-reload", "systemctl stop " + a} {
			h.MustRun(t, "sh", "-c", command)
			is("after "+command, second)
		}
		set(true, server.Limits{})
		set(false, server.Limits{})
		is("of no limits", none)
		if err := h.m.Forget(bounded(t), a); err != nil {
			t.Error(err)
		}
		if h.Run(t.Context(), "test", "-e", control) == nil {
			t.Error("the drop-ins are there after Forget")
		}

		// What an administrator has set by hand is not ours.
		h.MustRun(t, "systemctl", "set-property", a, "MemoryMax=3G")
		set(false, server.Limits{})
		if err := h.m.Forget(bounded(t), a); err != nil {
			t.Error(err)
		}
		h.MustRun(t, "test", "-e", control+"/"+controlFile("MemoryMax"))
	})
}

// TestUsage reads what is known of a unit that runs, and nothing of others.
func TestUsage(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		var units []string
		for range usageBatch { // more than one round
			units = append(units, unit("absent"))
		}
		units = append(units, unit("a"))
		h.do(t, h.m.Start, unit("a"), JobDone)
		got, err := h.m.Usage(bounded(t), units)
		if err != nil || len(got) != len(units) {
			t.Fatalf("%d of %d: %v", len(got), len(units), err)
		}
		if diff := cmp.Diff(server.Usage{}, got[0]); diff != "" {
			t.Errorf("a unit that does not run:\n%s", diff)
		}
		last := got[len(got)-1]
		shown := h.MustRun(t, "systemctl", "show", "--value", "--property=TasksCurrent", unit("a"))
		if (shown == "[not set]\n") != (last.Tasks == nil) {
			t.Errorf("systemd says %s, Usage %+v", shown, last)
		}
		for _, n := range []int{100, 1000} {
			began := time.Now()
			if _, err := h.m.Usage(bounded(t), slices.Repeat([]string{unit("a")}, n)); err != nil {
				t.Error(err)
			}
			t.Logf("%d units: %v", n, time.Since(began))
		}
		if _, err := h.m.Usage(bounded(t), []string{"dbus.service"}); err == nil {
			t.Error("a unit of somebody else was asked about")
		}
	})
}
