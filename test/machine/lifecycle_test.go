package machine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/test/machine"
)

// traces is what tells one boot of a machine from another, and what must not.
type traces struct{ BootID, ManagerStart, MachineID, Disk, State, Run string }

func tracesOf(t *testing.T, m *machine.Machine) traces {
	t.Helper()
	return traces{
		BootID:       m.MustRun(t, "cat", "/proc/sys/kernel/random/boot_id"),
		ManagerStart: m.MustRun(t, "systemctl", "show", "--property=UserspaceTimestampMonotonic"),
		MachineID:    m.MustRun(t, "cat", "/etc/machine-id"),
		Disk:         m.MustRun(t, "cat", "/etc/kept"),
		State:        m.MustRun(t, "cat", "/var/lib/left4me/kept"),
		Run:          m.MustRun(t, "sh", "-c", "cat /run/lost 2>/dev/null || echo gone"),
	}
}

func TestSwitchedOffAndOn(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := machine.New(t, release)
		ctx := t.Context()
		const leave = `mkdir -p /var/lib/left4me
			for f in /etc/kept /var/lib/left4me/kept /run/lost; do echo here >"$f"; done`
		m.MustRun(t, "sh", "-euc", leave+`
			printf '[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/x.service
			systemctl enable x.service`)

		before := tracesOf(t, m)
		for i, step := range []struct {
			name string
			do   func() error
		}{
			{"reboot", func() error { return m.Reboot(ctx) }},
			{"power cut", func() error { return m.PowerCut(ctx) }},
			{"power off and on", func() error {
				if err := m.Poweroff(ctx); err != nil {
					return err
				}
				if m.Path("/run") != "" {
					t.Error("a machine that is off has a path")
				}
				if err := m.Run(ctx, "true"); err == nil || !strings.Contains(err.Error(), "the machine is off") {
					t.Errorf("a command on a machine that is off: %v", err)
				}
				return m.Start(ctx)
			}},
			{"second reboot", func() error { return m.Reboot(ctx) }},
		} {
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			after := tracesOf(t, m)
			want := before
			want.Run = "gone\n"
			if before.BootID == after.BootID || before.ManagerStart == after.ManagerStart {
				t.Errorf("%s: the boot looks like the one before: %+v", step.name, after)
			}
			want.BootID, want.ManagerStart = after.BootID, after.ManagerStart
			if diff := cmp.Diff(want, after); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, diff)
			}
			if got := m.MustRun(t, "systemctl", "is-active", "x.service"); got != "active\n" {
				t.Errorf("%s: enabled unit is %q", step.name, got)
			}
			if got, want := m.Boots(), i+2; got != want {
				t.Errorf("%s: %d boots, want %d", step.name, got, want)
			}
			m.MustRun(t, "sh", "-euc", leave)
			before = tracesOf(t, m)
		}
		if got := strings.Count(m.MustRun(t, "journalctl", "--list-boots", "--no-pager", "--quiet"), "\n"); got < 4 {
			t.Errorf("the journal knows %d boots", got)
		}
	})
}

func TestMachinesAreApart(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		// The same unit in two machines must not share a cgroup.
		a, b := machine.New(t, release), machine.New(t, release)
		for _, m := range []*machine.Machine{a, b} {
			m.MustRun(t, "systemd-run", "--unit=same", "sleep", "infinity")
		}
		a.MustRun(t, "systemctl", "kill", "--signal=KILL", "same")
		a.MustRun(t, "systemctl", "stop", "--no-block", "same")
		if got := b.MustRun(t, "systemctl", "is-active", "same"); got != "active\n" {
			t.Errorf("a unit of the same name in another machine is %q", got)
		}
		if a.MustRun(t, "cat", "/etc/machine-id") == b.MustRun(t, "cat", "/etc/machine-id") {
			t.Error("two machines have one machine id")
		}
	})
}

// TestWhatTheProductNeeds holds on to what the product leans on, so that a host
// that cannot show it says so here.
func TestWhatTheProductNeeds(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := machine.New(t, release)
		for _, need := range []struct{ name, script string }{
			{"overlay on the game data", `
				mkdir -p /var/lib/left4me/lower /var/lib/left4me/upper /var/lib/left4me/work /var/lib/left4me/merged
				cd /var/lib/left4me; echo old >lower/f
				mount -t overlay -o userxattr,nosuid,nodev,lowerdir=lower,upperdir=upper,workdir=work none merged
				rm merged/f; umount merged; test -c upper/f; rm -r /var/lib/left4me`},
			{"sandboxed unit", `
				systemd-run --wait --pipe --quiet -p DynamicUser=yes -p User=l4d2-versus-1 -p PrivateUsers=yes \
					-p ProtectSystem=strict -p PrivateNetwork=yes -p PrivateTmp=yes -p PrivateDevices=yes \
					-p SystemCallFilter=@system-service -p RestrictNamespaces=yes -p StateDirectory=versus-1 \
					sh -euc 'test "$(id -u)" -ge 61184; touch "$STATE_DIRECTORY/f"; ! touch /etc/f 2>/dev/null; test "$(ls /sys/class/net)" = lo'`},
			{"IP filter", `
				socat -u TCP-LISTEN:7000,bind=127.0.0.1,fork,reuseaddr - & listener=$!
				trap 'kill $listener' EXIT
				until ss -Hltn sport = 7000 | grep -q .; do sleep 0.01; done
				systemd-run --wait --quiet socat -u OPEN:/dev/null TCP:127.0.0.1:7000
				! systemd-run --wait --quiet -p IPAddressDeny=any socat -u OPEN:/dev/null TCP:127.0.0.1:7000,connect-timeout=1 2>/dev/null`},
			{"polkit", `
				pkcheck --process $$ --action-id org.freedesktop.systemd1.manage-units`},
			{"re-execution", `
				systemctl daemon-reexec; systemctl daemon-reload; systemctl is-active dbus.service`},
			{"death of dbus-daemon", `
				systemctl kill --signal=KILL dbus.service
				systemctl start dbus.service; busctl list >/dev/null`},
		} {
			t.Run(need.name, func(t *testing.T) {
				m.MustRun(t, "bash", "-euc", need.script)
			})
		}
	})
}
