package store

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSize(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	file, err := os.Stat(path)
	must(t, err)
	log, err := os.Stat(path + "-wal")
	must(t, err)
	if got, want := s.Size(), file.Size()+log.Size(); got != want || want == 0 {
		t.Errorf("the database takes %d bytes, want %d", got, want)
	}
	must(t, os.Remove(path+"-wal"))
	if got := s.Size(); got != file.Size() {
		t.Errorf("without its log it takes %d bytes, want %d", got, file.Size())
	}
}
