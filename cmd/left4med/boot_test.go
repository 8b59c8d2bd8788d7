package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBootID(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("sys/kernel/random/boot_id", "0a1b\n")
	write("1/stat", "1 (a) S (b) S 0 1 1 0 -1 4194560 5 6 7 8 9 10 11 12 20 0 1 0 4711 23 24\n")
	got, err := bootID(proc)
	if err != nil || got != "0a1b-4711" {
		t.Errorf("bootID = %q, %v; want 0a1b-4711", got, err)
	}
	write("1/stat", "1 (init) S 0 1\n")
	if got, err := bootID(proc); err == nil {
		t.Errorf("bootID of a cut stat is %q, want an error", got)
	}
	if now, err := bootID("/proc"); err != nil || len(now) < 38 {
		t.Errorf("bootID of this host is %q, %v", now, err)
	}
}
