package steamcmd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

func TestFirstInstallation(t *testing.T) {
	t.Parallel()
	for name, directives := range map[string][]string{"owned": {"owned"}, "by way of the Windows files": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.tell(t, directives...)
			exit, out := p.update(t)
			same(t, "exit", server.InstallDone, exit)
			contains(t, out, "progress reconfiguring 0 0\n", "progress committing 9", "build installed 1001\n", "steamcmd: Loading Steam API...OK\n")
			same(t, "what is left", nil, p.left(t))
			files := p.files(t)
			same(t, "the Windows files", "", files["srcds.exe"])
			if files["srcds_run"] == "" {
				t.Errorf("no srcds_run in %v", files)
			}
		})
	}
}

// TestFaults: an update that fails leaves what was there, and says why.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		directives []string
		account    Account
		exit       server.InstallExit
		says       string
	}{
		{"Offline", []string{"fail any offline"}, Account{}, server.InstallNoNetwork, "no connection to Steam"},
		{"Connection", []string{"fail any connection"}, Account{}, server.InstallNoNetwork, "(No Connection)"},
		{"DiskFull", []string{"owned", "fail any state 0x202"}, Account{}, server.InstallDiskFull, "the disk became full"},
		{"OtherState", []string{"owned", "fail any state 0x6"}, Account{}, server.InstallSteamCMDFailed, "in state 0x6"},
		{"Refused", []string{"fail any refused No subscription"}, Account{}, server.InstallSteamCMDFailed, `"No subscription"`},
		{"MissingConfiguration", []string{"fail any refused Missing configuration"}, Account{}, server.InstallSteamCMDFailed, "asking SteamCMD once more"},
		{"Platform", []string{"fail any platform"}, Account{}, server.InstallInvalidPlatform, "refuses the Linux files"},
		{"PlatformThenLinux", []string{"fail linux platform"}, Account{}, server.InstallInvalidPlatform, "fetching the Linux files"},
		{"LinuxDiskFull", []string{"fail linux state 0x202"}, Account{}, server.InstallDiskFull, "the disk became full"},
		{"LinuxCommit", []string{"fail linux commit"}, Account{}, server.InstallSteamCMDFailed, "by signal: killed"},
		{"WindowsCommit", []string{"fail windows commit"}, Account{}, server.InstallSteamCMDFailed, "by signal: killed"},
		{"Login", []string{"owned", "account kim right"}, Account{"kim", "hunter2"}, server.InstallLoginFailed, `the login of "kim" (Invalid Password)`},
		{"Guard", []string{"owned", "fail any guard"}, Account{"kim", "hunter2"}, server.InstallSteamGuard, "Steam Guard wants a code"},
		{"Crash", []string{"owned", "fail any crash"}, Account{}, server.InstallSteamCMDFailed, "by signal: killed"},
		{"Commit", []string{"owned", "fail any commit"}, Account{}, server.InstallSteamCMDFailed, "by signal: killed"},
		{"Forget", []string{"owned", "fail any forget"}, Account{}, server.InstallSteamCMDFailed, "no "},
		{"Space", []string{"owned", "size 99000000000000000"}, Account{}, server.InstallNoSpace, "make room"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := installed(t)
			before := p.files(t)
			p.Account = c.account
			p.tell(t, append(c.directives, "build 1002")...)
			exit, out := p.update(t)
			same(t, "exit", c.exit, exit)
			contains(t, out, c.says)
			same(t, "the installation", before, p.files(t))
			same(t, "what is left", nil, p.left(t))
			if strings.Contains(out, "hunter2") {
				t.Errorf("the password is in the journal:\n%s", out)
			}

			p.Account = Account{}
			p.tell(t, "owned", "build 1003")
			if exit, out := p.update(t); exit != server.InstallDone || !strings.Contains(out, "build installed 1003\n") {
				t.Errorf("afterwards: exit %d\n%s", exit, out)
			}
		})
	}
}

func TestNoSteamCMD(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.Places = []string{"/nowhere/steamcmd", "/nowhere/else"}
	exit, out := p.update(t)
	same(t, "exit", server.InstallNoSteamCMD, exit)
	contains(t, out, "/nowhere/steamcmd, /nowhere/else")
	p.Request.SteamCMD = p.Root
	exit, out = p.update(t)
	same(t, "exit", server.InstallNoSteamCMD, exit)
	contains(t, out, "is no program")
}

func TestNoSpaceForTheFirst(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.Request.Space = 1 << 60
	exit, out := p.update(t)
	same(t, "exit", server.InstallNoSpace, exit)
	contains(t, out, "the game needs 1073741824 GiB of disk")
	same(t, "what is left", nil, p.left(t))
}

// TestInPlace: what SteamCMD writes over cannot be put back, and that is told.
func TestInPlace(t *testing.T) {
	t.Parallel()
	p := installed(t)
	p.tell(t, "owned", "build 1002", "fail any inplace")
	exit, out := p.update(t)
	same(t, "exit", server.InstallDamaged, exit)
	contains(t, out, "in state 0x626", `1 files of the installation were written in place`, `"left4dead2/motd.txt"`, "--validate")
	p.tell(t, "owned", "build 1001")
	p.Request.Validate = true
	if exit, out := p.update(t); exit != server.InstallDone {
		t.Errorf("exit %d\n%s", exit, out)
	}
	contains(t, p.files(t)["left4dead2/motd.txt"], "Welcome")
}

// TestResumes: what has been fetched is not fetched again, be it of the first
// installation or of an update.
func TestResumes(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *place{"first": newPlace, "update": installed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			before := p.files(t)
			p.tell(t, "owned", "build 1002", "fail any state 0x202")
			exit, _ := p.update(t)
			same(t, "exit", server.InstallDiskFull, exit)
			same(t, "the installation", before, p.files(t))
			p.tell(t, "owned", "build 1002")
			exit, out := p.update(t)
			same(t, "exit", server.InstallDone, exit)
			if strings.Contains(out, "progress downloading 0 ") {
				t.Errorf("it began anew:\n%s", out)
			}
			same(t, "what is left", nil, p.left(t))
		})
	}
}

// TestFirstLeavesNothing: a first installation that fails is none, also when the
// Windows files are there already.
func TestFirstLeavesNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.tell(t, "fail linux commit")
	exit, _ := p.update(t)
	same(t, "exit", server.InstallSteamCMDFailed, exit)
	same(t, "the installation", map[string]string{}, p.files(t))
	same(t, "what is left", []string{"partial"}, p.left(t))
	p.tell(t)
	exit, _ = p.update(t)
	same(t, "exit", server.InstallDone, exit)
	same(t, "what is left", nil, p.left(t))
}

// TestCutOff: a run that was killed with its SteamCMD is put right by the next
// one, or by Restore.
func TestCutOff(t *testing.T) {
	t.Parallel()
	p := installed(t)
	before := p.files(t)
	cutOff := func() {
		root, err := os.OpenRoot(p.Root)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if err := (snapshots{root}).take(false); err != nil {
			t.Fatal(err)
		}
		top := filepath.Join(p.Root, "installation")
		for _, err := range []error{
			os.Remove(filepath.Join(top, "srcds_run")),
			os.RemoveAll(filepath.Join(top, "bin")),
			os.WriteFile(filepath.Join(top, "bin"), []byte("a file in a directory's place"), 0o600),
			os.Remove(filepath.Join(top, "left4dead2/motd.txt")),
			os.MkdirAll(filepath.Join(top, "left4dead2/motd.txt/deep"), 0o755),
			os.WriteFile(filepath.Join(top, "steamapps/appmanifest_222860.acf"), []byte("half"), 0o644),
			os.WriteFile(filepath.Join(top, "srcds.exe"), nil, 0o644),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	cutOff()
	p.out.Reset()
	same(t, "exit", server.InstallDone, p.exit(p.Restore()))
	contains(t, p.out.String(), "step putting the installation back as it was before an update that was cut off\n")
	same(t, "the installation", before, p.files(t))
	p.out.Reset()
	same(t, "exit", server.InstallDone, p.exit(p.Restore()))
	same(t, "a second one", "", p.out.String())

	cutOff()
	p.tell(t, "fail any offline")
	exit, _ := p.update(t)
	same(t, "exit", server.InstallNoNetwork, exit)
	same(t, "the installation", before, p.files(t))
}

// TestStopped: an update that is stopped ends its SteamCMD first.
func TestStopped(t *testing.T) {
	t.Parallel()
	p := installed(t)
	before := p.files(t)
	p.tell(t, "owned", "build 1002", "fail any hang")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clock atomic.Int64
	p.Now = func() time.Time { return time.Unix(clock.Add(2), 0) } // each line of progress is written
	p.Out = writerFunc(func(data []byte) (int, error) {
		if strings.HasPrefix(string(data), "progress committing 5") {
			cancel()
		}
		return len(data), nil
	})
	fault := p.Update(ctx)
	same(t, "exit", server.InstallSteamCMDFailed, p.exit(fault))
	contains(t, fault.Text, "was stopped")
	same(t, "the installation", before, p.files(t))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(data []byte) (int, error) { return f(data) }

// TestLingers: what outlives SteamCMD does not hold an update up for ever.
func TestLingers(t *testing.T) {
	t.Parallel()
	p := installed(t)
	p.Request.SteamCMD = os.Getenv(standinAt) + "-lingers"
	exit, out := p.update(t)
	same(t, "exit", server.InstallDone, exit)
	contains(t, out, "build installed 1001\n")
}

// TestMountWithin: an installation that cannot be saved is not touched.
func TestMountWithin(t *testing.T) {
	t.Parallel()
	p := installed(t)
	p.tell(t, "owned", "build 1002")
	before := p.files(t)
	elsewhere := filepath.Join(t.TempDir(), "other")
	if err := os.Mkdir(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	under := filepath.Join(p.Root, "installation", "left4dead2", "maps")
	if err := unix.Mount(elsewhere, under, "", unix.MS_BIND, ""); err != nil {
		t.Skip("needs root: ", err)
	}
	unmount := func() { _ = unix.Unmount(under, unix.MNT_DETACH) }
	defer unmount()
	if err := os.WriteFile(filepath.Join(under, "own.bsp"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	exit, out := p.update(t)
	same(t, "exit", server.InstallUnexpected, exit)
	contains(t, out, "is mounted from elsewhere")
	same(t, "what is left", nil, p.left(t))
	unmount()
	same(t, "the installation", before, p.files(t))
}

// TestOneAtATime: an update waits for the end of another run, a check and what
// puts right do not.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.tell(t, "owned")
	first := *p.Installer
	_, done, fault := first.open(t.Context(), false)
	if fault != nil {
		t.Fatal(fault)
	}
	same(t, "a check", server.InstallUnexpected, p.exit(p.Check(t.Context())))
	contains(t, p.out.String(), "at work already")
	same(t, "what puts right", server.InstallDone, p.exit(p.Restore()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	same(t, "an update that is stopped", server.InstallUnexpected, p.exit(p.Update(ctx)))
	p.Out = writerFunc(func(data []byte) (int, error) {
		if strings.HasPrefix(string(data), "step waiting") {
			done()
		}
		return len(data), nil
	})
	same(t, "an update", server.InstallDone, p.exit(p.Update(t.Context())))
}

// TestEnding: which of SteamCMD's lines counts.
func TestEnding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines []string
		want  ending
	}{
		"the first":      {[]string{"FAILED (No Connection)", "ERROR! Failed to install app '222860' (Missing configuration)"}, ending{fault: line{Kind: kindOffline, Reason: "No Connection"}}},
		"confirmed":      {[]string{"Please confirm the login in the Steam Mobile app on your phone.", "Success! App '222860' fully installed."}, ending{ok: true, confirm: true}},
		"never so":       {[]string{"Please confirm the login in the Steam Mobile app on your phone.", "ERROR (Timeout)"}, ending{fault: line{Kind: kindGuard, Reason: "Timeout"}, confirm: true}},
		"all in order":   {[]string{"Waiting for user info...OK", "Success! App '222860' already up to date."}, ending{ok: true}},
		"nothing at all": {nil, ending{}},
	} {
		var end ending
		for _, text := range c.lines {
			end.note(parseLine(text))
		}
		if diff := cmp.Diff(c.want, end, cmp.AllowUnexported(ending{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	p := installed(t)
	before := p.files(t)
	p.tell(t, "build 1009")
	p.out.Reset()
	same(t, "exit", server.InstallDone, p.exit(p.Check(t.Context())))
	contains(t, p.out.String(), "build installed 1001\n", "build latest 1009\n")
	if strings.Contains(p.out.String(), "branches") {
		t.Errorf("Steam's description is in the journal:\n%s", p.out)
	}
	p.tell(t, "fail any connection")
	same(t, "exit", server.InstallNoNetwork, p.exit(p.Check(t.Context())))
	same(t, "the installation", before, p.files(t))
}
