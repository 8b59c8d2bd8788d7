package orchestrator

import (
	"context"
	"errors"
	"testing"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// A job that is canceled in the moment in which it finds no systemd has been
// canceled; it did not fail.
func TestCanceledWhileSystemdIsAway(t *testing.T) {
	t.Parallel()
	o, _ := deskBench(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	r := &run{o: o, rec: newRecord(store.ServerRow{Name: "a"}), job: &server.Job{State: server.JobRunning}, ctx: ctx}
	err := r.reach(func() error {
		cancel(errCanceled)
		return unitctl.ErrNoConnection
	})
	if !errors.Is(err, errCanceled) {
		t.Errorf("got %v, want %v", err, errCanceled)
	}
}
