package e2e_test

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

func TestPackageInstalls(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := bare(t, release)
		h.install(t, h.deb)
		type facts struct {
			Daemon, Socket map[string]string
			Probe, ProbeOf map[string]string
			Web            map[string]string
			Failed         string
			SocketMode     string
			Database       string
			Settings       string
			Users          string
		}
		got := facts{
			Daemon:     h.show(t, "left4med.service", "ActiveState", "UnitFileState", "NRestarts"),
			Socket:     h.show(t, "left4med.socket", "ActiveState", "UnitFileState"),
			Probe:      h.show(t, "left4med-probe.socket", "ActiveState", "UnitFileState"),
			ProbeOf:    h.show(t, "left4med-probe.service", "LoadState", "Result"),
			Web:        h.show(t, "left4med-web.service", "ActiveState", "UnitFileState", "NRestarts"),
			Failed:     h.MustRun(t, "systemctl", "list-units", "--failed", "--no-legend"),
			SocketMode: h.MustRun(t, "stat", "--format=%A %U", client.DefaultSocket, probe.Socket),
			Database:   h.MustRun(t, "stat", "--format=%A %U", "/var/lib/left4med", "/var/lib/left4med-web", "/var/lib/left4med-web/web.db"),
			Settings:   h.MustRun(t, "stat", "--format=%A %U:%G", "/etc/left4me/left4med.toml", "/etc/left4me/web.toml"),
			Users:      h.MustRun(t, "sh", "-c", "getent passwd left4me | cut -d: -f1,6; getent group left4med-operators | cut -d: -f1"),
		}
		want := facts{
			Daemon:     map[string]string{"ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"},
			Socket:     map[string]string{"ActiveState": "active", "UnitFileState": "enabled"},
			SocketMode: "srw-rw-rw- root\nsrw------- root\n",
			Probe:      map[string]string{"ActiveState": "active", "UnitFileState": "enabled"},
			ProbeOf:    map[string]string{"LoadState": "loaded", "Result": "success"},
			Web:        map[string]string{"ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"},
			Database:   "drwx------ root\ndrwx------ left4med-web\n-rw------- left4med-web\n",
			Settings:   "-rw-r----- root:root\n-rw-r----- root:left4med-web\n",
			Users:      "left4me:/var/lib/left4me\nleft4med-operators\n",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a fresh installation (-want +got):\n%s", diff)
		}
		version := strings.TrimSpace(h.MustRun(t, "dpkg-query", "--show", "--showformat=${Version}", "left4med"))
		h.told(t, h.MustRun(t, "left4med", "-version"), version)
		h.told(t, h.MustRun(t, "/usr/libexec/left4me/left4med-probe", "-version"), version)
		h.told(t, h.MustRun(t, "left4med-web", "version"), "left4med-web "+version)
		h.told(t, h.MustCtl(t, "version"), "l4d2ctl "+version, "left4med "+version)

		t.Run("sandbox", func(t *testing.T) { exposure(t, h) })
		t.Run("units", func(t *testing.T) {
			out := h.sh(t, "systemd-analyze verify --man=yes $(dpkg -L left4med | grep -E '/systemd/system/(left4med[.-]|.*[.]slice)')")
			if out != "" {
				t.Errorf("systemd-analyze verify:\n%s", out)
			}
		})
		t.Run("follows systemd", func(t *testing.T) { followsSystemd(t, h) })
		t.Run("manual pages", func(t *testing.T) {
			pages := strings.Fields(h.sh(t, "dpkg -L left4med | grep '/man/.*[.]gz$'"))
			if len(pages) < 3 {
				t.Fatalf("pages: %q", pages)
			}
			for _, page := range pages {
				if out := h.sh(t, "man --warnings --local-file "+page+" >/dev/null"); out != "" {
					t.Errorf("%s:\n%s", page, out)
				}
			}
		})
		t.Run("completion", func(t *testing.T) {
			out := h.sh(t, "bash -c '. /usr/share/bash-completion/bash_completion; "+
				". /usr/share/bash-completion/completions/l4d2ctl; complete -p l4d2ctl'")
			h.told(t, out, "l4d2ctl")
			out = h.sh(t, "bash -c '. /usr/share/bash-completion/bash_completion; "+
				". /usr/share/bash-completion/completions/left4med-web; complete -p left4med-web'")
			h.told(t, out, "left4med-web")
			h.sh(t, "test -s /usr/share/zsh/vendor-completions/_left4med-web")
			h.sh(t, "test -s /usr/share/fish/vendor_completions.d/left4med-web.fish")
			h.sh(t, "test -s /usr/share/zsh/vendor-completions/_l4d2ctl")
			h.sh(t, "test -s /usr/share/fish/vendor_completions.d/l4d2ctl.fish")
		})
	})
}

// exposure says how systemd rates our units, of 10, and that none got worse than
// was decided.
func exposure(t *testing.T, h *packaged) {
	for _, u := range []struct {
		unit    string
		ceiling float64
	}{
		{"left4med.service", 1.5},
		{"left4med-probe.service", 1.2},
		{"left4med-web.service", 1.2},
		{"left4me-server@a.service", 1.5},
		{"left4me-upper@a.service", 3.0},
		{"left4me-clear@a.service", 0.9},
		{"left4me-adopt@a.service", 1.2},
		{"left4me-backup@a.service", 0.9},
		{"left4me-verify@a.service", 0.9},
		{"left4me-restore@a.service", 0.9},
		{"left4me-overlay@a.service", 5.6},
		{"left4me-install.service", 1.5},
		{"left4me-install-check.service", 1.5},
		{"left4me-install-restore.service", 0.9},
	} {
		var score float64
		out := h.MustRun(t, "systemd-analyze", "security", "--no-pager", u.unit)
		_, last, _ := strings.Cut(out, "Overall exposure level for "+u.unit+": ")
		if _, err := fmt.Sscan(last, &score); err != nil {
			t.Errorf("no score in\n%s", out)
			continue
		}
		t.Logf("systemd-analyze security %s: %.1f", u.unit, score)
		if score > u.ceiling {
			t.Errorf("%s is rated %.1f, and may be %.1f\n%s", u.unit, score, u.ceiling, out)
		}
	}
}

// followsSystemd looks at the part of the games' unit that depends on systemd's
// version, and that it is put right when systemd is replaced.
func followsSystemd(t *testing.T, h *packaged) {
	const dropIn = "/usr/lib/systemd/system/left4me-server@.service.d/by-version.conf"
	check := func(when string) {
		t.Helper()
		mode := h.show(t, "left4me-server@a.service", "LoadState", "RestartMode", "BindLogSockets")
		want := map[string]string{"LoadState": "loaded"}
		if h.Release().Systemd() >= 254 {
			want["RestartMode"] = "direct"
		}
		if h.Release().Systemd() >= 257 {
			want["BindLogSockets"] = "no"
		}
		if diff := cmp.Diff(want, mode); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
		if complaints := h.sh(t, "systemd-analyze verify --man=no left4me-server@a.service 2>&1 | grep -i unknown || true"); complaints != "" {
			t.Errorf("%s, systemd does not understand the unit:\n%s", when, complaints)
		}
	}
	check("after the installation")
	// As if systemd of the other release had been here before.
	h.sh(t, "set -- "+dropIn+"; if test -e $1; then rm -r ${1%/*}; else mkdir ${1%/*}; printf '[Service]\nRestartMode=direct\n' >$1; fi; "+
		"dpkg-trigger --by-package=systemd --no-await /usr/lib/systemd/systemd; dpkg --triggers-only left4med")
	check("after systemd was replaced")
}

func TestPackageUpgrades(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := bare(t, release)
		h.install(t, h.repack(t, "0.0.1"))
		h.layOutGame(t)
		h.MustCtl(t, "initialize", "a", "--hostname", "kept over the upgrade")
		h.MustCtl(t, "start", "a")
		h.sh(t, "echo '# mine' >>/etc/left4me/left4med.toml")
		game, daemon := h.game(t, "a"), h.show(t, "left4med.service", "MainPID")
		socket := h.show(t, "left4med.socket", "InvocationID", "ActiveState")
		h.MustRun(t, "systemctl", "start", "left4med-probe.service")
		hand, page := h.show(t, "left4med-probe.service", "MainPID"), h.show(t, "left4med-web.service", "MainPID")
		h.sh(t, "echo correct-horse-7 | left4med-web user add kim --role admin")

		h.install(t, h.deb)
		h.untouched(t, "a", game)
		if diff := cmp.Diff(socket, h.show(t, "left4med.socket", "InvocationID", "ActiveState")); diff != "" {
			t.Errorf("the socket over an upgrade (-before +after):\n%s", diff)
		}
		if cmp.Equal(daemon, h.show(t, "left4med.service", "MainPID")) {
			t.Error("the upgrade left the old daemon running")
		}
		if now := h.show(t, "left4med-probe.service", "MainPID"); cmp.Equal(hand, now) || now["MainPID"] == "0" {
			t.Errorf("the probe over an upgrade: %v, and then %v", hand, now)
		}
		if now := h.show(t, "left4med-web.service", "MainPID", "ActiveState"); now["MainPID"] == page["MainPID"] || now["ActiveState"] != "active" {
			t.Errorf("the web frontend over an upgrade: %v, and then %v", page, now)
		}
		h.told(t, h.sh(t, "left4med-web user list"), "kim")
		s := h.MustAwait(t, t.Context(), "a", host.InState(client.StateRunning))
		if s.Config.Hostname != "kept over the upgrade" || s.Drift != client.DriftNone {
			t.Errorf("the server after the upgrade: %+v", s)
		}
		h.told(t, h.sh(t, "tail -n 1 /etc/left4me/left4med.toml"), "# mine")

		// What the admin switched off stays off.
		h.MustRun(t, "systemctl", "disable", "--now", "left4med.service", "left4med.socket", "left4med-web.service")
		h.install(t, h.deb)
		off := map[string]string{"ActiveState": "inactive", "UnitFileState": "disabled"}
		for _, unit := range []string{"left4med.service", "left4med.socket", "left4med-web.service"} {
			if diff := cmp.Diff(off, h.show(t, unit, "ActiveState", "UnitFileState")); diff != "" {
				t.Errorf("%s, disabled before an upgrade (-want +got):\n%s", unit, diff)
			}
		}
	})
}

func TestPackageRemovesAndPurges(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := bare(t, release)
		h.install(t, h.deb)
		h.layOutGame(t)
		for _, name := range []string{"a", "b", "c"} {
			h.MustCtl(t, "initialize", name)
		}
		h.MustCtl(t, "start", "a")
		h.MustRun(t, "systemctl", "enable", "left4me-server@b.service")
		game := h.game(t, "a")

		t.Run("remove", func(t *testing.T) {
			out := h.sh(t, "apt-get --quiet=2 --yes remove left4med")
			h.told(t, out, "these games run on, with nobody to start them again should they crash: a\n",
				"without this package none starts at the next boot: a b\n", "systemctl disable --now left4me-server@NAME")
			h.untouched(t, "a", game)
			h.present(t, map[string]bool{h.enablement("a"): true, h.enablement("b"): true, h.enablement("c"): false, client.DefaultSocket: false, probe.Socket: false, "/var/lib/left4med/state.db": true})
		})
		t.Run("reinstall", func(t *testing.T) {
			h.install(t, h.deb)
			h.untouched(t, "a", game)
			h.MustAwait(t, t.Context(), "a", func(s *client.Server) bool {
				return s != nil && s.State == client.StateRunning && s.Drift == client.DriftNone
			})
		})
		t.Run("purge keeps data and games", func(t *testing.T) {
			out := h.sh(t, "apt-get --quiet=2 --yes purge left4med")
			h.told(t, out, "removing "+h.enablement("a"), "removing "+h.enablement("b"), "removing /var/lib/left4med\n", "removing /var/lib/left4med-web\n",
				"removing the settings", "removing the user left4med-web", "removing the group left4med-operators",
				"keeping the game data in /var/lib/left4me", "still running: left4me-server@a.service")
			h.untouched(t, "a", game)
			h.present(t, map[string]bool{
				h.enablement("a"): false, h.enablement("b"): false, "/var/lib/left4med": false, "/var/lib/left4med-web": false, "/etc/left4me": false, "/run/left4med": false, "/run/left4me/root/usr": true,
				"/etc/systemd/system/multi-user.target.wants/left4med.service":          false,
				"/etc/systemd/system/multi-user.target.wants/left4med-web.service":      false,
				"/etc/systemd/system/sockets.target.wants/left4med.socket":              false,
				"/etc/systemd/system/sockets.target.wants/left4med-probe.socket":        false,
				"/var/lib/left4me/instances/a":                                          true,
				"/var/lib/left4me/installation/srcds_run":                               true,
				"/var/lib/systemd/deb-systemd-helper-enabled/left4med.service.dsh-also": false,
			})
		})
		t.Run("purge of data waits for games", func(t *testing.T) {
			h.install(t, h.deb)
			out := h.sh(t, "LEFT4MED_PURGE_DATA=1 apt-get --quiet=2 --yes purge left4med")
			h.told(t, out, "keeping the game data in /var/lib/left4me, since these still run: left4me-server@a.service")
			h.untouched(t, "a", game)
		})
		t.Run("purge of data", func(t *testing.T) {
			h.install(t, h.deb)
			h.MustRun(t, "systemctl", "disable", "--now", "left4me-server@a.service")
			out := h.sh(t, "LEFT4MED_PURGE_DATA=1 apt-get --quiet=2 --yes purge left4med")
			h.told(t, out, "removing /var/lib/left4me\n", "removing the user left4me")
			left := h.sh(t, `getent passwd left4me left4med-web || true
				getent group left4me left4med-web left4med-operators || true
				find / /run /var/lib -xdev \( -name '*left4me*' -o -name '*l4d2*' \) -not -path '/var/log/*'`)
			for line := range strings.Lines(left) {
				t.Errorf("a purge left %s", line)
			}
		})
	})
}

// In a chroot, as image builders use, there is no systemd to talk to.
func TestPackageWithoutSystemd(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := bare(t, release)
		// The machine's own tree, without what is mounted in it.
		h.sh(t, "mount --bind / /mnt; mount -t proc proc /mnt/proc")
		deb := path.Join("/opt", path.Base(h.deb))
		if err := h.CopyIn(t.Context(), h.deb, deb); err != nil {
			t.Fatal(err)
		}
		out := h.sh(t, "chroot /mnt dpkg --install "+deb)
		if strings.Contains(out, "left4med:") {
			t.Errorf("complaints:\n%s", out)
		}
		h.sh(t, `cd /mnt; test -L etc/systemd/system/multi-user.target.wants/left4med.service
			test -L etc/systemd/system/multi-user.target.wants/left4med-web.service
			test -L etc/systemd/system/sockets.target.wants/left4med.socket; test -L etc/systemd/system/sockets.target.wants/left4med-probe.socket
			grep -q ^left4me: etc/passwd; grep -q ^left4med-operators: etc/group; test -d var/lib/left4me/instances`)
		h.sh(t, "chroot /mnt dpkg --purge left4med")
		h.sh(t, `cd /mnt; ! test -L etc/systemd/system/multi-user.target.wants/left4med.service; ! test -e var/lib/left4med; test -d var/lib/left4me`)
		var failure *machine.CommandError
		if err := h.Run(t.Context(), "chroot", "/mnt", "dpkg", "--status", "left4med"); !errors.As(err, &failure) {
			t.Errorf("the package after a purge: %v", err)
		}
	})
}
