package orchestrator

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGameRootIsLookedAt(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	want := Check{
		Name: "game-root", LookedAt: root, Found: "no server can be started: stat " + root + "/usr: no such file or directory",
		Cure: "systemd-tmpfiles --create left4me.conf",
	}
	if diff := cmp.Diff(want, checkGameRoot(root)); diff != "" {
		t.Errorf("without the root (-want +got):\n%s", diff)
	}
	if err := os.Mkdir(filepath.Join(root, "usr"), 0o755); err != nil {
		t.Fatal(err)
	}
	want = Check{Name: "game-root", OK: true, LookedAt: root, Found: "what games see of the host stands on it"}
	if diff := cmp.Diff(want, checkGameRoot(root)); diff != "" {
		t.Errorf("with the root (-want +got):\n%s", diff)
	}
}
