package api

import (
	"context"

	"github.com/left4med/left4med/internal/server"
)

type backupsInput struct {
	OnServer
}

type backupsOutput struct {
	Body backupsBody
}

type backupsBody struct {
	Backups []server.Backup `json:"backups"`
}

func (h *handler) listBackups(ctx context.Context, _ *backupsInput) (*backupsOutput, error) {
	backups, err := h.backend.Backups(ctx, callFrom(ctx).server)
	if err != nil {
		return nil, err
	}
	return &backupsOutput{backupsBody{list(backups)}}, nil
}

// OnBackup is a request about one backup of a server.
type OnBackup struct {
	OnServer
	ID int64 `path:"id" minimum:"1" doc:"The backup's id."`
}

type restoreInput struct {
	OnBackup
	Waiting
}

func (h *handler) restoreBackup(ctx context.Context, in *restoreInput) (*jobOutput, error) {
	wait, err := in.duration()
	if err != nil {
		return nil, err
	}
	c := callFrom(ctx)
	job, err := h.backend.Restore(ctx, c.server, in.ID, c.who)
	return h.answer(ctx, job, err, wait)
}

type deleteBackupInput struct {
	OnBackup
}

func (h *handler) deleteBackup(ctx context.Context, in *deleteBackupInput) (*struct{}, error) {
	c := callFrom(ctx)
	return nil, h.backend.DeleteBackup(ctx, c.server, in.ID, c.who)
}
