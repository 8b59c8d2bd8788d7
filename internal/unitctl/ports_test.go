package unitctl

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/test/machine"
)

// allowed are the rules that systemd has for a unit.
func (h *host) allowed(t *testing.T, unit string) string {
	t.Helper()
	return h.MustRun(t, "sh", "-c", "systemctl show --property=SocketBindAllow "+unit+" | sort -u")
}

func TestPorts(t *testing.T) {
	onSystemd(t, func(t *testing.T, h *host) {
		a := unit("a")
		able := h.Release() != machine.Bookworm
		const control = "/etc/systemd/system.control/left4me-server@a.service.d"
		set := func(want bool, rules ...server.PortRule) {
			t.Helper()
			if changed, err := h.m.AllowPorts(bounded(t), a, rules); err != nil || changed != (want && able) {
				t.Errorf("AllowPorts %v: %v, %v", rules, changed, err)
			}
		}
		first := []server.PortRule{{Low: 27000, High: 27000}, {TCP: true, Low: 27000, High: 27000}, {Low: 26900, High: 26999}}
		set(true, first...)
		set(false, first...)
		if !able {
			if h.Run(t.Context(), "test", "-e", control) == nil {
				t.Error("a systemd that cannot forbid ports was asked to")
			}
			if err := h.m.Forget(bounded(t), a); err != nil {
				t.Error(err)
			}
			return
		}
		want := "SocketBindAllow=ipv4:tcp27000\nSocketBindAllow=ipv4:udp26900-26999\nSocketBindAllow=ipv4:udp27000\n"
		if diff := cmp.Diff(want, h.allowed(t, a)); diff != "" {
			t.Errorf("at once: %s", diff)
		}
		h.do(t, h.m.Start, a, JobDone)
		set(true, server.PortRule{Low: 27001, High: 27001}) // of a unit that runs
		want = "SocketBindAllow=ipv4:udp27001\n"
		for _, command := range []string{"true", "systemctl daemon-reload", "systemctl daemon-reexec", "systemctl stop " + a} {
			h.MustRun(t, "sh", "-c", command)
			if diff := cmp.Diff(want, h.allowed(t, a)); diff != "" {
				t.Errorf("after %s: %s", command, diff)
			}
		}

		h.until(t, "connected again", func(e Event) bool { return e.Kind == Connected && e.Stamp.Conn > 1 })
		h.do(t, h.m.Start, a, JobDone)
		began := time.Now()
		for range 20 {
			if err := h.m.HoldPorts(bounded(t), a); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("HoldPorts takes %v", time.Since(began)/20)
		if diff := cmp.Diff(want, h.allowed(t, a)); diff != "" {
			t.Errorf("after HoldPorts: %s", diff)
		}
		h.do(t, h.m.Stop, a, JobDone)

		// What somebody else allows counts beside it, and stays.
		const own = "/etc/systemd/system/left4me-server@a.service.d"
		h.MustRun(t, "mkdir", own)
		if err := h.WriteFile(t.Context(), own+"/own.conf", []byte("[Service]\nSocketBindAllow=ipv4:udp:9999\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		h.MustRun(t, "systemctl", "daemon-reload")
		if diff := cmp.Diff(want+"SocketBindAllow=ipv4:udp9999\n", h.allowed(t, a)); diff != "" {
			t.Errorf("beside an administrator's: %s", diff)
		}
		if err := h.m.Forget(bounded(t), a); err != nil {
			t.Error(err)
		}
		if text := h.MustRun(t, "cat", control+"/"+controlFile(portsProperty)); strings.Contains(text, "27001") {
			t.Errorf("not taken back:\n%s", text)
		}
		h.MustRun(t, "test", "-e", own+"/own.conf")
		h.MustRun(t, "rm", "-r", own)
		set(true, first...)
		if err := h.m.Forget(bounded(t), a); err != nil {
			t.Error(err)
		}
		if h.Run(t.Context(), "test", "-e", control) == nil {
			t.Error("the drop-in is there after Forget")
		}
	})
}
