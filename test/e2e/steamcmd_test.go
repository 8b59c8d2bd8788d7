package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// TestSteamCMD runs the units that install the game as the daemon does, with the
// stand-in for SteamCMD: each fault has its own status, and leaves what was there.
func TestSteamCMD(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		s := &steam{lab: lab{&host.Host{Machine: machine.New(t, release)}}}
		if err := s.InstallProduct(t.Context()); err != nil {
			t.Fatal(err)
		}
		contains(t, s.run(t, "left4me-install", server.InstallNoSteamCMD), "fault SteamCMD is not there: looked for /usr/games/steamcmd, ")
		if err := s.InstallSteamCMD(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.request(t, map[string]any{"space": int64(1) << 60})
		contains(t, s.run(t, "left4me-install", server.InstallNoSpace), "fault the game needs 1073741824 GiB of disk")
		s.request(t, map[string]any{"space": 1 << 20})
		s.tell(t, "fail linux commit") // the Windows files are there by then
		s.run(t, "left4me-install", server.InstallSteamCMDFailed)
		same(t, "the installation after a first one that failed", "", s.shell(t, "ls -A "+host.Installation))
		s.tell(t, "fail any offline")
		s.run(t, "left4me-install-check", server.InstallNoNetwork)

		s.tell(t)
		contains(t, s.run(t, "left4me-install", server.InstallDone), "step fetching the Linux files\n", "\nprogress committing 9", "build installed 1001\n")
		s.tell(t, "build 1002")
		contains(t, s.run(t, "left4me-install-check", server.InstallDone), "build installed 1001\n", "build latest 1002\n")
		before := s.files(t)
		for _, c := range []struct {
			name, directives string
			exit             server.InstallExit
			says             string
		}{
			{"Platform", "fail any platform", server.InstallInvalidPlatform, "fault Steam refuses the Linux files"},
			{"LinuxDisk", "fail linux state 0x202", server.InstallDiskFull, "fault the disk became full"},
			{"Space", "size 99000000000000000", server.InstallNoSpace, "fault the update needs"},
			{"Connection", "fail any connection", server.InstallNoNetwork, "(No Connection)"},
			{"Guard", "fail any guard", server.InstallSteamGuard, "fault Steam Guard wants a code"},
			{"Commit", "fail any commit", server.InstallSteamCMDFailed, "by signal: killed"},
		} {
			t.Run(c.name, func(t *testing.T) {
				s.tell(t, c.directives, "build 1002")
				contains(t, s.run(t, "left4me-install", c.exit), c.says)
				same(t, "the installation", before, s.files(t))
			})
		}
		t.Run("Account", func(t *testing.T) { s.account(t, before) })
		t.Run("KillSteamCMD", func(t *testing.T) {
			s.kill(t, "steamcmd", before)
			contains(t, s.ran(t, "left4me-install", server.InstallSteamCMDFailed), "by signal: killed")
		})
		t.Run("Kill", func(t *testing.T) { s.kill(t, "left4me-install", before) })
		t.Run("PowerCut", func(t *testing.T) {
			s.hung(t)
			if err := s.PowerCut(t.Context()); err != nil {
				t.Fatal(err)
			}
			same(t, "the installation", before, s.files(t))
		})
		t.Run("Resume", func(t *testing.T) {
			s.tell(t, "owned", "build 1002", "fail any state 0x202")
			s.run(t, "left4me-install", server.InstallDiskFull)
			s.tell(t, "owned", "build 1002")
			out := s.run(t, "left4me-install", server.InstallDone)
			contains(t, out, "build installed 1002\n")
			if strings.Contains(out, "progress downloading 0 ") {
				t.Errorf("it began anew:\n%s", out)
			}
		})
		s.configure(t, "[start]\nsettle = \"1s\"\n")
		s.running(t, "a")
		same(t, "what a game sees", "build 1002\n", s.asGame(t, "a", "cat left4dead2/build.txt"))
	})
}

// steam is a machine with the product, and a stand-in for SteamCMD in the place
// of the game.
type steam struct {
	lab
	cursor string // the place in the journal where the present run began
}

// request writes what the daemon would.
func (s *steam) request(t *testing.T, request map[string]any) {
	t.Helper()
	data, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WriteFile(t.Context(), "/var/lib/left4med/install.json", data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tell gives the stand-in other directives.
func (s *steam) tell(t *testing.T, directives ...string) {
	t.Helper()
	s.write(t, host.SteamCMDControl, strings.Join(directives, "\n")+"\n")
}

// run starts a unit, waits for its end, and answers what it said.
func (s *steam) run(t *testing.T, unit string, exit server.InstallExit) string {
	t.Helper()
	s.begin(t)
	err := s.Run(t.Context(), "systemctl", "start", unit)
	if (err == nil) != (exit == server.InstallDone) {
		t.Errorf("systemctl start %s: %v", unit, err)
	}
	return s.ran(t, unit, exit)
}

// begin notes where the journal is.
func (s *steam) begin(t *testing.T) {
	t.Helper()
	out := s.shell(t, "journalctl --sync; journalctl --quiet --lines=1 --show-cursor --output=cat")
	_, s.cursor, _ = strings.Cut(strings.TrimSpace(out), "-- cursor: ")
}

// ran compares how a run ended, and answers what was said meanwhile, by whomever:
// with a match, journalctl of systemd 252 leaves out the first line after a cursor.
func (s *steam) ran(t *testing.T, unit string, exit server.InstallExit) string {
	t.Helper()
	out := s.shell(t, "journalctl --sync; journalctl --quiet --output=cat --after-cursor='"+s.cursor+"'")
	if status := strings.TrimSpace(s.systemctl(t, "show", "-P", "ExecMainStatus", unit)); status != fmt.Sprint(int(exit)) {
		t.Errorf("%s ended with status %s, want %d\n%s", unit, status, exit, out)
	}
	return out
}

// files is the whole installation, but for what SteamCMD keeps of a download.
func (s *steam) files(t *testing.T) string {
	t.Helper()
	return s.shell(t, "cd "+host.Installation+" && find . -path ./steamapps/downloading -prune -o -printf '%M %u %g %p %l\\n' | sort; "+
		"find . -path ./steamapps/downloading -prune -o -type f -exec sha256sum {} + | sort; ls /var/lib/left4me/steam")
}

// account logs in with a password, which nobody but SteamCMD learns.
func (s *steam) account(t *testing.T, before string) {
	const file, password = "/etc/left4me/steam-account", "hunter2;rm -rf"
	if err := s.WriteFile(t.Context(), file, []byte("user = kim\npassword = "+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer s.MustRun(t, "rm", file)
	s.tell(t, "account kim other")
	contains(t, s.run(t, "left4me-install", server.InstallLoginFailed), `the login of "kim" (Invalid Password)`)
	same(t, "the installation", before, s.files(t))
	s.tell(t, "owned", "build 1002", "fail any hang")
	s.hung(t)
	if seen := s.shell(t, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep 'hunter[2]' || true"); seen != "" {
		t.Errorf("in /proc: %s", seen)
	}
	s.systemctl(t, "stop", "left4me-install")
	contains(t, s.ran(t, "left4me-install", server.InstallSteamCMDFailed), "the update was stopped by another hand")
	same(t, "the installation", before, s.files(t))
	if seen := s.shell(t, "journalctl --output=verbose | grep 'hunter[2]' || true"); seen != "" {
		t.Errorf("in the journal: %s", seen)
	}
}

// hung starts an update that hangs when half of the files are renamed, and waits
// until it does.
func (s *steam) hung(t *testing.T) {
	t.Helper()
	s.begin(t)
	s.systemctl(t, "start", "--no-block", "left4me-install")
	ctx := within(t, "SteamCMD hangs")
	for s.Run(ctx, "grep", "-q", "build 1002", host.Installation+"/left4dead2/build.txt") != nil {
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// kill kills a program of the unit in the middle of an update. Once the unit has
// ended, the installation is as it was.
func (s *steam) kill(t *testing.T, program, before string) {
	s.tell(t, "owned", "build 1002", "fail any hang")
	s.hung(t)
	s.shell(t, `for pid in $(cat /sys/fs/cgroup$(systemctl show -P ControlGroup left4me-install)/cgroup.procs); do
		if [ "$(basename "$(readlink /proc/$pid/exe)")" = `+program+` ]; then kill -9 $pid; fi; done`)
	ctx := within(t, "the unit has ended")
	for s.Run(ctx, "systemctl", "is-failed", "--quiet", "left4me-install") != nil {
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	same(t, "the installation", before, s.files(t))
}
