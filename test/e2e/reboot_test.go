package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/left4med/left4med/test/machine"
)

// standing is what of the servers is there, in systemd's and the kernel's words.
type standing struct {
	Servers, Overlays []string // active units, as "a running"
	Mounts            []string // where overlays are mounted
}

func (l *lab) standing(t *testing.T) standing {
	t.Helper()
	list := func(pattern string) []string {
		var units []string
		out := l.systemctl(t, "list-units", "--all", "--plain", "--no-legend", "--full", pattern)
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			_, instance, _ := strings.Cut(strings.TrimSuffix(f[0], ".service"), "@")
			units = append(units, instance+" "+f[3])
		}
		return units
	}
	mounts := strings.Fields(l.shell(t, "findmnt --list --noheadings --types overlay --output TARGET | grep ^/var/lib/left4me || true"))
	slices.Sort(mounts)
	return standing{list("left4me-server@*"), list("left4me-overlay@*"), mounts}
}

func merged(name string) string { return "/var/lib/left4me/runtime/" + name + "/merged" }

// only is what stands when exactly these run.
func only(names ...string) standing {
	var s standing
	for _, name := range names {
		s.Servers = append(s.Servers, name+" running")
		s.Overlays = append(s.Overlays, name+" exited")
		s.Mounts = append(s.Mounts, merged(name))
	}
	return s
}

// keep lets a game that runs write a file of its own.
func (l *lab) keep(t *testing.T, name, text string) {
	t.Helper()
	l.asGame(t, name, fmt.Sprintf("printf %%s '%s' >left4dead2/cfg/kept.txt", text))
}

// kept reads what keep wrote, from the server's own upper layer.
func (l *lab) kept(t *testing.T, names ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range names {
		data, err := l.ReadFile(t.Context(), "/var/lib/left4me/runtime/"+name+"/upper/left4dead2/cfg/kept.txt")
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(data)
	}
	return files
}

// TestReboot is the product's main promise: the host itself brings back exactly
// the servers that should run, with nothing of ours running.
func TestReboot(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.create(t, "a", "b", "c", "d")
		l.MustCtl(t, "start", "a", "b")
		l.systemctl(t, "start", unit("d")) // the old way
		l.keep(t, "a", "of a")
		l.keep(t, "b", "of b")
		same(t, "before the reboot", only("a", "b", "d"), l.standing(t))

		l.systemctl(t, "mask", "--now", "left4med.service", "left4med.socket")
		reboot(t, l)
		same(t, "after a reboot without left4med", only("a", "b"), l.standing(t))
		same(t, "what the games wrote", map[string]string{"a": "of a", "b": "of b"}, l.kept(t, "a", "b"))
		if out, err := l.Output(t.Context(), "systemctl", "is-active", "left4med.service", "left4med.socket"); err == nil {
			t.Errorf("left4med ran although it is masked: %s", out)
		}

		l.systemctl(t, "unmask", "left4med.service", "left4med.socket")
		l.systemctl(t, "start", "left4med.socket", "left4med.service")
		same(t, "left4med's word", map[string]moment{"a": up, "b": up, "c": down, "d": down}, l.moments(t))
		for _, name := range []string{"a", "b", "c", "d"} {
			l.agree(t, name)
		}

		l.MustCtl(t, "stop", "b")
		reboot(t, l)
		same(t, "after b was stopped", only("a"), l.standing(t))
		same(t, "left4med's word", map[string]moment{"a": up, "b": down, "c": down, "d": down}, l.moments(t))

		if err := l.PowerCut(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t, "after a power cut", only("a"), l.standing(t))
		same(t, "left4med's word", map[string]moment{"a": up, "b": down, "c": down, "d": down}, l.moments(t))
		same(t, "what the games wrote", map[string]string{"a": "of a", "b": "of b"}, l.kept(t, "a", "b"))

		l.MustCtl(t, "start", "b", "c")
		if err := l.PowerCut(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t, "after a power cut", only("a", "b", "c"), l.standing(t))
		if state, err := l.State(t.Context()); err != nil || state != "running" {
			t.Errorf("the system is %s (%v):\n%s", state, err, l.systemctl(t, "--failed"))
		}
	})
}

func reboot(t *testing.T, l *lab) {
	t.Helper()
	if err := l.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
}
