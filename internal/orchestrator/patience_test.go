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

// A start that waits for systemd keeps nobody from stopping the server.
func TestStopWhileAStartWaitsForSystemd(t *testing.T) {
	t.Parallel()
	o, _ := deskBench(t)
	ctx, cancel := context.WithTimeout(t.Context(), systemdPatience/2)
	defer cancel()
	made, err := o.Create(ctx, "a", server.ConfigPatch{}, server.Requester{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.WaitJob(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	watcher := o.Watch(0, false)
	started, _, err := o.Request(ctx, server.JobStart, []server.Name{"a"}, server.Requester{})
	if err != nil {
		t.Fatal(err)
	}
	for waiting := false; !waiting; {
		events, err := watcher.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			job := e.Job()
			waiting = waiting || job != nil && job.Progress != nil && job.Progress.Text == "waiting for systemd"
		}
	}
	stopped, refused, err := o.Request(ctx, server.JobStop, []server.Name{"a"}, server.Requester{})
	if err != nil || len(refused) > 0 {
		t.Fatalf("the stop: %v %v", refused, err)
	}
	start, err := o.WaitJob(ctx, started[0].ID)
	if err != nil || start.State != server.JobCanceled || *start.SupersededBy != stopped[0].ID {
		t.Errorf("the start: %+v, %v", start, err)
	}
}
