package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// packaged is a machine to install the package on, remove it from, and so on.
type packaged struct {
	*host.Host
	deb string
}

// bare boots a machine with nothing of ours on it.
func bare(t *testing.T, release machine.Release) *packaged {
	t.Helper()
	deb, err := host.Package()
	if err != nil {
		t.Fatal(err)
	}
	return &packaged{&host.Host{Machine: machine.New(t, release)}, deb}
}

func (h *packaged) install(t *testing.T, deb string) {
	t.Helper()
	if err := h.InstallDeb(t.Context(), deb); err != nil {
		t.Fatal(err)
	}
}

// layOutGame puts the stand-in where the game would be.
func (h *packaged) layOutGame(t *testing.T) {
	t.Helper()
	if err := h.InstallGame(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sh runs a shell line as root and returns both its streams. apt-get gives dpkg
// a terminal, which ends lines with a carriage return too.
func (h *packaged) sh(t *testing.T, line string) string {
	t.Helper()
	return strings.ReplaceAll(h.MustRun(t, "sh", "-euc", "{ "+line+"\n} 2>&1"), "\r\n", "\n")
}

// show returns a unit's properties, as systemctl show names them.
func (h *packaged) show(t *testing.T, unit string, properties ...string) map[string]string {
	t.Helper()
	out := h.MustRun(t, "systemctl", "show", "--property="+strings.Join(properties, ","), "--", unit)
	shown := map[string]string{}
	for line := range strings.Lines(out) {
		if key, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "="); found {
			shown[key] = value
		}
	}
	return shown
}

// game is one run of a game: it is the same as long as nothing touched it.
func (h *packaged) game(t *testing.T, name string) map[string]string {
	t.Helper()
	return h.show(t, "left4me-server@"+name+".service", "MainPID", "InvocationID", "ActiveState")
}

// untouched fails the test when a game is not in the same run as before.
func (h *packaged) untouched(t *testing.T, name string, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, h.game(t, name)); diff != "" {
		t.Errorf("the game %s was touched (-before +after):\n%s", name, diff)
	}
}

// told fails the test for each part that a text lacks.
func (h *packaged) told(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("nothing says %q in:\n%s", part, text)
		}
	}
}

// present compares which paths are there, links that lead nowhere included.
func (h *packaged) present(t *testing.T, want map[string]bool) {
	t.Helper()
	got := map[string]bool{}
	for p := range want {
		got[p] = h.Run(t.Context(), "sh", "-c", `[ -e "$1" ] || [ -L "$1" ]`, "sh", p) == nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is there (-want +got):\n%s", diff)
	}
}

// enablement is the link that starts a game at boot.
func (h *packaged) enablement(name string) string {
	return "/etc/systemd/system/multi-user.target.wants/left4me-server@" + name + ".service"
}

// repack writes the package under another version: an older or newer one to try
// that costs no build.
func (h *packaged) repack(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	tree, target := filepath.Join(dir, "tree"), filepath.Join(dir, "left4med_"+version+".deb")
	tool := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "dpkg-deb", args...).CombinedOutput(); err != nil {
			t.Fatalf("dpkg-deb %q: %v\n%s", args, err, out)
		}
	}
	tool("--raw-extract", h.deb, tree)
	control := filepath.Join(tree, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	var changed []byte
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("Version:")) {
			line = []byte("Version: " + version + "\n")
		}
		changed = append(changed, line...)
	}
	if err := os.WriteFile(control, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	tool("-Znone", "--root-owner-group", "--build", tree, target)
	return target
}
