package store

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// What Steam said last outlives the daemon.
func TestLastCheck(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	want := Check{}
	for i, latest := range []string{"", "8490274", "999999999999999999"} {
		s, err := Open(t.Context(), path, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if latest != "" {
			want = Check{Latest: latest, At: time.UnixMicro(int64(i) * 1_000_001).UTC()}
			if err := s.SetLastCheck(t.Context(), want); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.LastCheck(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if err := s.SetLastCheck(t.Context(), Check{Latest: "x"}); err == nil {
			t.Error("a build that is no number was stored")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
