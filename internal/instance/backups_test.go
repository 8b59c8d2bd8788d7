package instance

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

// addLayer does what the unit does.
func addLayer(t *testing.T, tree *Tree, name server.Name) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(tree.Root(), backupsDir, string(name), newBackup), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "the layer"); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// backUp takes a backup of an instance.
func backUp(t *testing.T, tree *Tree, name server.Name, id int64, h BackupHead) int64 {
	t.Helper()
	must(t, tree.BeginBackup(name, h))
	addLayer(t, tree, name)
	id, err := tree.KeepBackup(name, id)
	must(t, err)
	return id
}

func TestBackups(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	cfg := server.DefaultConfig("a")
	cfg.CVars = map[string]string{"sv_alltalk": "1"}
	must(t, tree.Create(t.Context(), "a", 7, cfg))
	untouched, err := tree.Untouched("a")
	if err != nil || !untouched {
		t.Errorf("a new layer is untouched: %v, %v", untouched, err)
	}
	must(t, os.WriteFile(filepath.Join(tree.Root(), "runtime/a/upper/x"), nil, 0o600))
	if untouched, err := tree.Untouched("a"); err != nil || untouched {
		t.Errorf("one with a file is untouched: %v, %v", untouched, err)
	}

	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	head := func(n int, reason server.BackupReason) BackupHead {
		return BackupHead{ServerID: 7, Name: "a", CreatedAt: at.Add(time.Duration(n) * time.Minute), Reason: reason, Config: cfg}
	}
	list := func() (found []string) {
		backups, err := tree.Backups("a")
		must(t, err)
		for _, b := range backups {
			found = append(found, fmt.Sprintf("%d %s %s", b.ID, b.CreatedAt.Format("15:04"), b.Reason))
		}
		return found
	}
	want := func(what string, backups ...string) {
		t.Helper()
		if diff := cmp.Diff(backups, list()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	want("none")
	must(t, tree.BeginBackup("a", head(0, server.BackupAsked)))
	want("one that was begun")
	if _, err := tree.KeepBackup("a", 1); err == nil {
		t.Error("one to which nothing was added is kept")
	}
	must(t, tree.DropBackup("a"))
	must(t, tree.DropBackup("a"))
	backUp(t, tree, "a", 3, head(1, server.BackupAsked))
	backUp(t, tree, "a", 4, head(2, server.BackupBeforeReset))
	if id := backUp(t, tree, "a", 3, head(3, server.BackupBeforeRestore)); id != 5 {
		t.Errorf("where 3 and 4 are taken the id is %d", id)
	}
	want("three", "5 12:03 before-restore", "4 12:02 before-reset", "3 12:01 asked")

	secret, err := tree.Secret("a", server.SecretRCON)
	must(t, err)
	other, err := server.NewSecret(server.SecretRCON, "of-later-times")
	must(t, err)
	must(t, tree.SetSecret(t.Context(), "a", 7, cfg, server.SecretRCON, other))
	used, err := tree.UseBackup("a", 3)
	must(t, err)
	if diff := cmp.Diff(cfg, used.Config); diff != "" {
		t.Errorf("the settings (-want +got):\n%s", diff)
	}
	must(t, tree.WriteRestored(t.Context(), "a", 7, used.Config, used))
	if now, err := tree.Secret("a", server.SecretRCON); err != nil || !now.Equal(secret) {
		t.Errorf("the secret is another: %v", err)
	}
	must(t, tree.EndRestore("a"))
	_, err = tree.UseBackup("a", 9)
	fails(t, err, server.CodeBackupNotFound, "no backup 9")
	fails(t, tree.DeleteBackup("a", 9), server.CodeBackupNotFound)
	fails(t, tree.DeleteBackup("none", 9), server.CodeBackupNotFound)

	must(t, tree.PruneBackups("a", 1))
	want("the newest automatic one", "5 12:03 before-restore", "3 12:01 asked")
	path := filepath.Join(tree.Root(), backupsDir, "a", "5.tar.gz")
	must(t, os.WriteFile(path, []byte("nothing"), 0o600))
	must(t, os.Chtimes(path, at, at))
	want("a damaged one", "3 12:01 asked", "5 12:00 unknown")
	_, err = tree.UseBackup("a", 5)
	fails(t, err, server.CodeBackupDamaged)
	must(t, tree.DeleteBackup("a", 5))
	for range 2 {
		must(t, tree.RemoveBackups("a"))
	}
	want("none")
	if _, err := os.Lstat(filepath.Join(tree.Root(), backupsDir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left is %v", err)
	}
}

// Nothing in a backup's head can do more than be refused.
func FuzzReadBackup(f *testing.F) {
	h := BackupHead{ServerID: 7, Name: "a", Reason: server.BackupAsked, Config: server.DefaultConfig("a"), secrets: secrets{}}
	data, err := h.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-9])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(dir, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if h, err := readBackup(file); err == nil && (h.length <= 0 || h.length > int64(len(data))) {
			t.Errorf("its head is %d of %d bytes long", h.length, len(data))
		}
	})
}
