package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/upper"
)

// What the daemon and this program write one after the other is one archive, for
// any program that reads such.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	cfg := filepath.Join(root, "runtime/a/upper/left4dead2/cfg")
	if err := os.MkdirAll(cfg, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg+"/kept", []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	var file, said bytes.Buffer
	first := gzip.NewWriter(&file)
	settings := tar.NewWriter(first)
	if err := settings.WriteHeader(&tar.Header{Name: "left4med.json", Typeflag: tar.TypeReg, Mode: 0o600, Size: 2}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(settings, "{}")
	settings.Flush()
	first.Close()
	if err := backup(root, "a", &file, &said); err != nil {
		t.Fatal(err)
	}
	packed := file.Bytes()

	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if diff := cmp.Diff([]string{"left4med.json", "upper/left4dead2/", "upper/left4dead2/cfg/", "upper/left4dead2/cfg/kept"}, names); diff != "" {
		t.Errorf("in the archive (-want +got):\n%s", diff)
	}

	if err := verify("a", bytes.NewReader(packed), &said); err != nil {
		t.Error(err)
	}
	for what, spoil := range map[string]func([]byte) []byte{
		"cut short": func(b []byte) []byte { return b[:len(b)-1] },
		"empty":     func([]byte) []byte { return nil },
		"changed":   func(b []byte) []byte { b[len(b)-12] ^= 1; return b },
		"continued": func(b []byte) []byte { return append(b, "more"...) },
	} {
		if err := verify("a", bytes.NewReader(spoil(bytes.Clone(packed))), io.Discard); err == nil {
			t.Errorf("one that is %s is taken", what)
		}
	}

	if err := os.WriteFile(cfg+"/later", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := restore(root, "a", upper.Owner{UID: os.Getuid(), GID: os.Getgid()}, bytes.NewReader(packed), &said); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(cfg + "/kept")
	if err != nil || string(text) != "kept" {
		t.Errorf("restored is %q, %v", text, err)
	}
	if _, err := os.Stat(cfg + "/later"); err == nil {
		t.Error("what came later is there")
	}
	const want = "upper layer of a archived: 3 entries, 4 bytes in files\nupper layer of a found whole: 3 entries, 4 bytes in files\nupper layer of a restored: 3 entries, 4 bytes in files\n"
	if diff := cmp.Diff(want, said.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
