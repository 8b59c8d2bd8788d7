package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestOrphans(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newStore(t)
	const a, b = "left4me-server@a.service", "left4me-server@Foo_1.service"
	found := server.HistoryEntry{At: clock, Server: "Foo_1", Kind: server.HistoryOrphan, What: "orphan", To: server.OrphanFound}
	must(t, s.SetOrphans(ctx, map[string]time.Time{a: clock, b: clock}, nil, []server.HistoryEntry{found}, nil))
	must(t, s.SetOrphans(ctx, map[string]time.Time{b: clock.Add(time.Hour)}, []string{a, "left4me-server@none.service"}, nil, nil))

	got, err := s.Orphans(ctx)
	must(t, err)
	if diff := cmp.Diff(map[string]time.Time{b: clock.Add(time.Hour)}, got); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	found.ID = 1
	if diff := cmp.Diff([]server.HistoryEntry{found}, history(t, s, server.HistoryFilter{})); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}
