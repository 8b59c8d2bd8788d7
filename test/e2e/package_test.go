package e2e_test

import (
	"errors"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/e2e"
	"github.com/left4med/left4med/test/machine"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }

// sh runs a shell line as root and returns both its streams. apt-get gives dpkg
// a terminal, which ends lines with a carriage return too.
func sh(t testing.TB, h *e2e.Host, line string) string {
	t.Helper()
	return strings.ReplaceAll(h.MustRun(t, "sh", "-euc", "{ "+line+"\n} 2>&1"), "\r\n", "\n")
}

// says fails the test for each part that a text lacks.
func says(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("nothing says %q in:\n%s", part, text)
		}
	}
}

// exists says which of the paths are there, links that lead nowhere included.
func exists(t testing.TB, h *e2e.Host, paths ...string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, p := range paths {
		found[p] = h.Run(t.Context(), "sh", "-c", `[ -e "$1" ] || [ -L "$1" ]`, "sh", p) == nil
	}
	return found
}

// run is one run of a game: it is the same as long as nothing touched it.
func run(t testing.TB, h *e2e.Host, name string) map[string]string {
	t.Helper()
	return h.Show(t, "left4me-server@"+name+".service", "MainPID", "InvocationID", "ActiveState")
}

func link(name string) string {
	return "/etc/systemd/system/multi-user.target.wants/left4me-server@" + name + ".service"
}

func TestPackageInstalls(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := e2e.New(t, release)
		type facts struct {
			Daemon, Socket map[string]string
			Failed         string
			SocketMode     string
			Database       string
			Users          string
		}
		got := facts{
			Daemon:     h.Show(t, "left4med.service", "ActiveState", "UnitFileState", "NRestarts"),
			Socket:     h.Show(t, "left4med.socket", "ActiveState", "UnitFileState"),
			Failed:     h.MustRun(t, "systemctl", "list-units", "--failed", "--no-legend"),
			SocketMode: h.MustRun(t, "stat", "--format=%A %U", client.DefaultSocket),
			Database:   h.MustRun(t, "stat", "--format=%A %U", "/var/lib/left4med"),
			Users:      h.MustRun(t, "sh", "-c", "getent passwd left4me | cut -d: -f1,6; getent group left4med-operators | cut -d: -f1"),
		}
		want := facts{
			Daemon:     map[string]string{"ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"},
			Socket:     map[string]string{"ActiveState": "active", "UnitFileState": "enabled"},
			SocketMode: "srw-rw-rw- root\n",
			Database:   "drwx------ root\n",
			Users:      "left4me:/var/lib/left4me\nleft4med-operators\n",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a fresh installation (-want +got):\n%s", diff)
		}
		version := strings.TrimSpace(h.MustRun(t, "dpkg-query", "--show", "--showformat=${Version}", "left4med"))
		says(t, h.MustRun(t, "left4med", "-version"), version)
		says(t, h.Ctl(t, "version"), "l4d2ctl "+version, "left4med "+version)

		t.Run("sandbox", func(t *testing.T) {
			// 1.5 of 10, in tenths.
			h.MustRun(t, "systemd-analyze", "security", "--no-pager", "--threshold=15", "left4med.service")
		})
		t.Run("units", func(t *testing.T) {
			out := sh(t, h, "systemd-analyze verify --man=yes $(dpkg -L left4med | grep -E '/systemd/system/(left4med[.]|.*[.]slice)')")
			if out != "" {
				t.Errorf("systemd-analyze verify:\n%s", out)
			}
		})
		t.Run("manual pages", func(t *testing.T) {
			pages := strings.Fields(sh(t, h, "dpkg -L left4med | grep '/man/.*[.]gz$'"))
			if len(pages) < 3 {
				t.Fatalf("pages: %q", pages)
			}
			for _, page := range pages {
				if out := sh(t, h, "man --warnings --local-file "+page+" >/dev/null"); out != "" {
					t.Errorf("%s:\n%s", page, out)
				}
			}
		})
		t.Run("completion", func(t *testing.T) {
			out := sh(t, h, "bash -c '. /usr/share/bash-completion/bash_completion; "+
				". /usr/share/bash-completion/completions/l4d2ctl; complete -p l4d2ctl'")
			says(t, out, "l4d2ctl")
			sh(t, h, "test -s /usr/share/zsh/vendor-completions/_l4d2ctl")
			sh(t, h, "test -s /usr/share/fish/vendor_completions.d/l4d2ctl.fish")
		})
	})
}

func TestPackageUpgrades(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := e2e.Bare(t, release)
		old, err := e2e.Repack(t.Context(), h.Deb(), "0.0.1", t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := h.InstallDeb(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		h.InstallGame(t)
		h.Ctl(t, "initialize", "a", "--hostname", "kept over the upgrade")
		h.Ctl(t, "start", "a")
		sh(t, h, "echo '# mine' >>/etc/left4me/left4med.toml")
		game, daemon := run(t, h, "a"), h.Show(t, "left4med.service", "MainPID")
		socket := h.Show(t, "left4med.socket", "InvocationID", "ActiveState")

		if err := h.InstallDeb(t.Context(), h.Deb()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(game, run(t, h, "a")); diff != "" {
			t.Errorf("the game over an upgrade (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(socket, h.Show(t, "left4med.socket", "InvocationID", "ActiveState")); diff != "" {
			t.Errorf("the socket over an upgrade (-before +after):\n%s", diff)
		}
		if cmp.Equal(daemon, h.Show(t, "left4med.service", "MainPID")) {
			t.Error("the upgrade left the old daemon running")
		}
		s := h.WaitServer(t, "a", e2e.State(client.StateRunning))
		if s.Config.Hostname != "kept over the upgrade" || s.Drift != client.DriftNone {
			t.Errorf("the server after the upgrade: %+v", s)
		}
		says(t, sh(t, h, "tail -n 1 /etc/left4me/left4med.toml"), "# mine")

		// What the admin switched off stays off.
		h.MustRun(t, "systemctl", "disable", "--now", "left4med.service", "left4med.socket")
		if err := h.InstallDeb(t.Context(), h.Deb()); err != nil {
			t.Fatal(err)
		}
		off := map[string]string{"ActiveState": "inactive", "UnitFileState": "disabled"}
		for _, unit := range []string{"left4med.service", "left4med.socket"} {
			if diff := cmp.Diff(off, h.Show(t, unit, "ActiveState", "UnitFileState")); diff != "" {
				t.Errorf("%s, disabled before an upgrade (-want +got):\n%s", unit, diff)
			}
		}
	})
}

func TestPackageRemovesAndPurges(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := e2e.New(t, release)
		h.InstallGame(t)
		for _, name := range []string{"a", "b", "c"} {
			h.Ctl(t, "initialize", name)
		}
		h.Ctl(t, "start", "a")
		h.MustRun(t, "systemctl", "enable", "left4me-server@b.service")
		game := run(t, h, "a")

		t.Run("remove", func(t *testing.T) {
			out := sh(t, h, "apt-get --quiet=2 --yes remove left4med")
			says(t, out, "these games run on, with nobody to start them again should they crash: a\n",
				"without this package none starts at the next boot: a b\n", "systemctl disable --now left4me-server@NAME")
			if diff := cmp.Diff(game, run(t, h, "a")); diff != "" {
				t.Errorf("the game over a removal (-before +after):\n%s", diff)
			}
			want := map[string]bool{link("a"): true, link("b"): true, link("c"): false, client.DefaultSocket: false, "/var/lib/left4med/state.db": true}
			got := exists(t, h, link("a"), link("b"), link("c"), client.DefaultSocket, "/var/lib/left4med/state.db")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("after a removal (-want +got):\n%s", diff)
			}
		})
		t.Run("reinstall", func(t *testing.T) {
			if err := h.InstallDeb(t.Context(), h.Deb()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(game, run(t, h, "a")); diff != "" {
				t.Errorf("the game over a reinstallation (-before +after):\n%s", diff)
			}
			h.WaitServer(t, "a", func(s client.Server) bool { return s.State == client.StateRunning && s.Drift == client.DriftNone })
		})
		t.Run("purge keeps data and games", func(t *testing.T) {
			out := sh(t, h, "apt-get --quiet=2 --yes purge left4med")
			says(t, out, "removing "+link("a"), "removing "+link("b"), "removing /var/lib/left4med",
				"removing the settings", "removing the group left4med-operators",
				"keeping the game data in /var/lib/left4me", "still running: left4me-server@a.service")
			if diff := cmp.Diff(game, run(t, h, "a")); diff != "" {
				t.Errorf("the game over a purge (-before +after):\n%s", diff)
			}
			want := map[string]bool{
				link("a"): false, link("b"): false, "/var/lib/left4med": false, "/etc/left4me": false, "/run/left4med": false,
				"/etc/systemd/system/multi-user.target.wants/left4med.service":          false,
				"/etc/systemd/system/sockets.target.wants/left4med.socket":              false,
				"/var/lib/left4me/instances/a":                                          true,
				"/var/lib/left4me/installation/srcds_run":                               true,
				"/var/lib/systemd/deb-systemd-helper-enabled/left4med.service.dsh-also": false,
			}
			var paths []string
			for p := range want {
				paths = append(paths, p)
			}
			if diff := cmp.Diff(want, exists(t, h, paths...)); diff != "" {
				t.Errorf("after a purge (-want +got):\n%s", diff)
			}
		})
		t.Run("purge of data waits for games", func(t *testing.T) {
			if err := h.InstallDeb(t.Context(), h.Deb()); err != nil {
				t.Fatal(err)
			}
			out := sh(t, h, "LEFT4MED_PURGE_DATA=1 apt-get --quiet=2 --yes purge left4med")
			says(t, out, "keeping the game data in /var/lib/left4me, since these still run: left4me-server@a.service")
			if diff := cmp.Diff(game, run(t, h, "a")); diff != "" {
				t.Errorf("the game over a purge of its data (-before +after):\n%s", diff)
			}
		})
		t.Run("purge of data", func(t *testing.T) {
			if err := h.InstallDeb(t.Context(), h.Deb()); err != nil {
				t.Fatal(err)
			}
			h.MustRun(t, "systemctl", "disable", "--now", "left4me-server@a.service")
			out := sh(t, h, "LEFT4MED_PURGE_DATA=1 apt-get --quiet=2 --yes purge left4med")
			says(t, out, "removing /var/lib/left4me\n", "removing the user left4me")
			left := sh(t, h, "getent passwd left4me || true; getent group left4me left4med-operators || true; "+
				"ls -d /var/lib/left4me* /etc/left4me* || true; find / -xdev -name '*left4me*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/var/log/*' -o -xdev -name '*l4d2*' -not -path '/proc/*'")
			for line := range strings.Lines(left) {
				if strings.HasPrefix(line, "ls: cannot access") {
					continue
				}
				t.Errorf("a purge left %s", line)
			}
		})
	})
}

// In a chroot, as image builders use, there is no systemd to talk to.
func TestPackageWithoutSystemd(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		h := e2e.Bare(t, release)
		// The machine's own tree, without what is mounted in it.
		sh(t, h, "mount --bind / /mnt; mount -t proc proc /mnt/proc")
		deb := path.Join("/opt", path.Base(h.Deb()))
		if err := h.CopyIn(t.Context(), h.Deb(), deb); err != nil {
			t.Fatal(err)
		}
		out := sh(t, h, "chroot /mnt dpkg --install "+deb)
		if strings.Contains(out, "left4med:") {
			t.Errorf("complaints:\n%s", out)
		}
		sh(t, h, `cd /mnt; test -L etc/systemd/system/multi-user.target.wants/left4med.service
			test -L etc/systemd/system/sockets.target.wants/left4med.socket
			grep -q ^left4me: etc/passwd; grep -q ^left4med-operators: etc/group; test -d var/lib/left4me/instances`)
		sh(t, h, "chroot /mnt dpkg --purge left4med")
		sh(t, h, `cd /mnt; ! test -L etc/systemd/system/multi-user.target.wants/left4med.service; ! test -e var/lib/left4med; test -d var/lib/left4me`)
		var failure *machine.CommandError
		if err := h.Run(t.Context(), "chroot", "/mnt", "dpkg", "--status", "left4med"); !errors.As(err, &failure) {
			t.Errorf("the package after a purge: %v", err)
		}
	})
}
