package orchestrator

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/test/machine"
)

// hookUnit fails for a, and works for as long as a file of its instance is there.
const hookUnit = `[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo %i >>/root/hooked; while [ -e /root/hold-%i ]; do sleep 0.05; done; test %i != a'
`

// A unit that fails holds up no other server's, and one at work when the daemon
// ends is waited for, so that it is not started again.
func TestUnitsOfAlerts(t *testing.T) {
	t.Parallel()
	needMachines(t)
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := newMachine(t, release)
		if err := m.WriteFile(t.Context(), "/etc/systemd/system/hook@.service", []byte(hookUnit), 0o644); err != nil {
			t.Fatal(err)
		}
		m.MustRun(t, "systemctl", "daemon-reload")
		m.MustRun(t, "touch", "/root/hooked", "/root/hold-b")
		rule := server.AlertRule{Name: "ops", On: []server.AlertEvent{server.AlertDown}, Format: server.FormatJSON, Units: []string{"hook@%i.service"}}
		db := filepath.Join(t.TempDir(), "state.db")
		b := newBench(t, m, newRelay(t, m), db, rule)
		names := []server.Name{"a", "b"}
		for _, name := range names {
			if _, err := b.Create(t.Context(), name, server.ConfigPatch{}, root()); err != nil {
				t.Fatal(err)
			}
		}
		b.settle(t)
		if _, _, err := b.Request(t.Context(), server.JobStart, names, root()); err != nil {
			t.Fatal(err)
		}
		b.settle(t)
		for _, name := range names {
			m.MustRun(t, "systemctl", "stop", name.Unit())
			m.MustRun(t, "timeout", "30", "sh", "-c", "until grep -qx "+string(name)+" /root/hooked; do sleep 0.05; done")
		}

		ended := make(chan struct{})
		go func() { defer close(ended); b.end() }()
		<-b.jobsCtx.Done()
		m.MustRun(t, "rm", "/root/hold-b")
		<-ended
		s, err := store.Open(t.Context(), db, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		waiting, err := s.WaitingAlerts(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		got := map[store.AlertTarget]int{}
		for target, w := range waiting {
			got[target] = w.Count
		}
		if diff := cmp.Diff(map[store.AlertTarget]int{{Rule: "ops", Target: "hook@%i.service"}: 1}, got); diff != "" {
			t.Errorf("what waits, of which a's alone should (-want +got):\n%s", diff)
		}
	})
}
