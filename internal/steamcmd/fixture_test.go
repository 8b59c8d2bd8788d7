package steamcmd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/test/standin"
)

// standinAt is the variable that says where the stand-in for SteamCMD is.
const standinAt = "LEFT4ME_TEST_STEAMCMD"

// TestMain lets the test program be its own stand-in for SteamCMD. The script
// that makes it one is written before there are children: one that is just being
// made could hold it open, and then it cannot be run.
func TestMain(m *testing.M) {
	if os.Getenv("LEFT4ME_STANDIN") != "" {
		steam := standin.SteamCMD{Home: os.Getenv("HOME"), Program: "/bin/true", Out: os.Stdout}
		os.Exit(steam.Run(os.Args[1:]))
	}
	os.Exit(withStandin(m.Run))
}

func withStandin(run func() int) int {
	dir, err := os.MkdirTemp("", "steamcmd")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	// The race detector would wait for a second at each exit.
	text := "#!/bin/sh\nLEFT4ME_STANDIN=1 GORACE=atexit_sleep_ms=0 exec " + self + " \"$@\"\n"
	path := filepath.Join(dir, "steamcmd")
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o755), os.Setenv(standinAt, path)); err != nil {
		panic(err)
	}
	// One that leaves something behind, which has its terminal open.
	text = "#!/bin/sh\nsetsid sleep 6 &\necho \"Success! App '222860' fully installed.\"\n"
	if err := os.WriteFile(path+"-lingers", []byte(text), 0o755); err != nil {
		panic(err)
	}
	return run()
}

// place is a data root of a test's own, with a stand-in for SteamCMD.
type place struct {
	*Installer
	out *bytes.Buffer
}

func newPlace(t *testing.T) *place {
	t.Helper()
	root := memory(t)
	for _, name := range []string{"installation", "steam"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out := new(bytes.Buffer)
	return &place{&Installer{
		Root: root, Places: []string{filepath.Join(root, "nowhere"), os.Getenv(standinAt)},
		Out: out, Now: time.Now, Prompt: 50 * time.Millisecond,
	}, out}
}

// memory is a directory for a test, in memory where there is such a file system:
// syncing a busy disk takes seconds.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "left4me-install")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// tell writes the stand-in's directives, one a line.
func (p *place) tell(t *testing.T, directives ...string) {
	t.Helper()
	text := strings.Join(directives, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(p.home(), standin.SteamCMDControl), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// update runs one update and answers its exit status, and what it said.
func (p *place) update(t *testing.T) (server.InstallExit, string) {
	t.Helper()
	p.out.Reset()
	return p.exit(p.Update(t.Context())), p.out.String()
}

func (p *place) exit(fault *Fault) server.InstallExit {
	if fault == nil {
		return server.InstallDone
	}
	fmt.Fprintf(p.out, "fault %s\n", fault.Text)
	return fault.Exit
}

// installed makes an installation of build 1001.
func installed(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	p.tell(t, "owned")
	if exit, out := p.update(t); exit != server.InstallDone {
		t.Fatalf("exit %d\n%s", exit, out)
	}
	return p
}

// files is what the installation holds, but for what SteamCMD keeps of a
// download: each path with its mode and content.
func (p *place) files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	top := filepath.Join(p.Root, "installation")
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(top, path)
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case name == "steamapps/downloading":
			return fs.SkipDir
		case name == "." || name == "steamapps":
			return nil
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			all[name] = fmt.Sprintf("%v %.200q", info.Mode(), data)
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			all[name] = "-> " + target
			return err
		}
		all[name] = info.Mode().String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// left is what is in SteamCMD's home that an update leaves there.
func (p *place) left(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(p.home())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, "standin") && name != "lock" {
			names = append(names, name)
		}
	}
	return names
}

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("nothing says %q in:\n%s", part, text)
		}
	}
}
