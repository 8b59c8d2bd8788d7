package machine_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/test/machine"
)

func TestBootsToRunning(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := machine.New(t, release)
		type facts struct{ State, Init, Version, Failed, Hostname, Loopback string }
		state, err := m.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := facts{
			State:    state,
			Init:     m.MustRun(t, "cat", "/proc/1/comm"),
			Version:  strings.Fields(m.MustRun(t, "systemctl", "--version"))[1],
			Failed:   m.MustRun(t, "systemctl", "list-units", "--failed", "--no-legend"),
			Hostname: m.MustRun(t, "hostname"),
			Loopback: m.MustRun(t, "sh", "-c", "ip -brief address show up | awk '{print $1, $3}'"),
		}
		version := map[machine.Release]string{machine.Bookworm: "252", machine.Trixie: "257"}[release]
		want := facts{
			State: "running", Init: "systemd\n", Version: version, Hostname: m.Name() + "\n",
			Loopback: "lo 127.0.0.1/8\n",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a fresh machine (-want +got):\n%s", diff)
		}
		if !strings.Contains(m.Console(), "Reached target") {
			t.Errorf("the console has nothing of the boot:\n%s", m.Console())
		}
		if journal, err := m.Journal(t.Context(), "--unit=init.scope"); err != nil || journal == "" {
			t.Errorf("journal: %q, %v", journal, err)
		}
	})
}

func TestCommands(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := machine.New(t, release)

		t.Run("failure", func(t *testing.T) {
			_, err := m.Output(t.Context(), "sh", "-c", "echo out; echo err >&2; exit 3")
			var failure *machine.CommandError
			if !errors.As(err, &failure) {
				t.Fatalf("got %v, want a CommandError", err)
			}
			failure.Err = nil
			want := &machine.CommandError{
				Args:     []string{"sh", "-c", "echo out; echo err >&2; exit 3"},
				ExitCode: 3, Stdout: "out\n", Stderr: "err\n",
			}
			if diff := cmp.Diff(want, failure); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
		t.Run("stdin", func(t *testing.T) {
			cmd := m.Command(t.Context(), "tr", "a-z", "A-Z")
			cmd.Stdin = strings.NewReader("in")
			if out, err := machine.Output(cmd); err != nil || out != "IN" {
				t.Errorf("got %q, %v", out, err)
			}
		})
		t.Run("environment", func(t *testing.T) {
			want := []string{
				"HOME=/root", "LANG=C.UTF-8", "LOGNAME=root",
				"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				"SHELL=/bin/bash", "USER=root",
			}
			got := strings.Fields(m.MustRun(t, "sh", "-c", "env -u PWD -u SHLVL -u _ | sort"))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
		t.Run("another user", func(t *testing.T) {
			m.MustRun(t, "sh", "-euc", "groupadd -g 900 ops; useradd -u 1234 -m -G ops kim")
			kim, err := m.LookupUser(t.Context(), "kim")
			if err != nil {
				t.Fatal(err)
			}
			want := machine.User{Name: "kim", UID: 1234, GID: 1234, Groups: []int{1234, 900}, Home: "/home/kim"}
			if diff := cmp.Diff(want, kim); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			out, err := machine.Output(m.CommandAs(t.Context(), kim, "sh", "-c",
				`id -u; id -g; id -G; echo ~; grep CapEff /proc/self/status; cat /etc/shadow 2>/dev/null || echo refused`))
			if err != nil {
				t.Fatal(err)
			}
			if want := "1234\n1234\n1234 900\n/home/kim\nCapEff:\t0000000000000000\nrefused\n"; out != want {
				t.Errorf("got %q, want %q", out, want)
			}
			nobody := machine.User{Name: "stranger", UID: 4321, GID: 4321, Home: "/"}
			if out, err := machine.Output(m.CommandAs(t.Context(), nobody, "id", "-G")); err != nil || out != "4321\n" {
				t.Errorf("a user the machine does not know: %q, %v", out, err)
			}
		})
		t.Run("shell", func(t *testing.T) {
			argv, err := m.Shell()
			if err != nil {
				t.Fatal(err)
			}
			cmd := m.Command(t.Context(), "true")
			cmd.Path, cmd.Args = argv[0], argv
			cmd.Stdin = strings.NewReader("tty; pwd; exit\n")
			out, err := machine.Output(cmd)
			if err != nil || !strings.Contains(out, "/dev/pts/") || !strings.Contains(out, "/root") {
				t.Errorf("got %q, %v", out, err)
			}
		})
	})
}

func TestFiles(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := machine.New(t, release)
		ctx := t.Context()
		const content = "eins\x00zwei\n"
		if err := m.WriteFile(ctx, "/srv/a/b", []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		host := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(host, []byte("#!/bin/sh\necho ran\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := m.CopyIn(ctx, host, "/var/lib/tool/script"); err != nil {
			t.Fatal(err)
		}
		if got := m.MustRun(t, "stat", "--format=%a %u %g", "/srv/a/b", "/var/lib/tool/script"); got != "640 0 0\n755 0 0\n" {
			t.Errorf("modes and owners: %q", got)
		}
		if got := m.MustRun(t, "/var/lib/tool/script"); got != "ran\n" {
			t.Errorf("script: %q", got)
		}
		if got, err := m.ReadFile(ctx, "/srv/a/b"); err != nil || string(got) != content {
			t.Errorf("ReadFile: %q, %v", got, err)
		}
		for _, path := range []string{m.Path("/srv/a/b"), m.DiskPath("/srv/a/b")} {
			if got, err := os.ReadFile(path); err != nil || string(got) != content {
				t.Errorf("%s: %q, %v", path, got, err)
			}
		}
		if _, err := os.Stat(m.DiskPath("/var/lib/tool/script")); err != nil {
			t.Error(err)
		}
		conn, err := net.Dial("unix", m.Path("/run/systemd/private"))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
}

func TestInstallDeb(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := machine.New(t, release)
		pkg := func(version, depends string) string {
			control := "Package: hello-test\nVersion: " + version + "\nArchitecture: all\n" +
				"Maintainer: nobody <nobody@localhost>\nDescription: test\nDepends: " + depends + "\n"
			if err := m.WriteFile(t.Context(), "/root/pkg/DEBIAN/control", []byte(control), 0o644); err != nil {
				t.Fatal(err)
			}
			deb := m.MustRun(t, "sh", "-euc", "cd; dpkg-deb --build pkg p.deb >&2; cat p.deb")
			file := filepath.Join(t.TempDir(), "p.deb")
			if err := os.WriteFile(file, []byte(deb), 0o644); err != nil {
				t.Fatal(err)
			}
			return file
		}
		for _, version := range []string{"1", "2", "2", "1"} {
			if err := m.InstallDeb(t.Context(), pkg(version, "systemd, dbus")); err != nil {
				t.Fatal(err)
			}
			if got := m.MustRun(t, "dpkg-query", "-W", "-f", "${Version}", "hello-test"); got != version {
				t.Errorf("version %s after installing %s", got, version)
			}
		}
		if err := m.InstallDeb(t.Context(), pkg("3", "not-there")); err == nil {
			t.Error("a package with an unknown dependency was installed")
		}
	})
}
