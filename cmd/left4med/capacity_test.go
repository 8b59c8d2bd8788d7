package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestCapacity(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if diff := cmp.Diff(server.Capacity{}, capacity(root)); diff != "" {
		t.Errorf("of nothing:\n%s", diff)
	}
	for path, text := range map[string]string{
		"proc/meminfo":                  "MemTotal:       16384 kB\nMemFree:         1 kB\nHugePages_Total:       0\n",
		"sys/devices/system/cpu/online": "0-1,3\n",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(server.Capacity{Memory: 16 << 20, CPUs: []int{0, 1, 3}}, capacity(root)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if host := capacity("/"); host.Memory == 0 || len(host.CPUs) == 0 {
		t.Errorf("this host: %+v", host)
	}
}
