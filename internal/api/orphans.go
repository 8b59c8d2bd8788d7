package api

import (
	"context"

	"github.com/left4med/left4med/internal/server"
)

type orphansOutput struct {
	Body orphansBody
}

type orphansBody struct {
	Orphans []server.Orphan `json:"orphans"`
}

func (h *handler) listOrphans(ctx context.Context, _ *struct{}) (*orphansOutput, error) {
	orphans, err := h.backend.Orphans(ctx)
	if err != nil {
		return nil, err
	}
	return &orphansOutput{orphansBody{list(orphans)}}, nil
}

// OnOrphan is a request about one orphan. The guard has checked the name of the
// unit.
type OnOrphan struct {
	Unit string `path:"unit" maxLength:"255" doc:"The orphan's unit, as left4me-server@NAME.service."`
}

type orphanInput struct {
	OnOrphan
	Waiting
}

// onOrphan serves the routes that ask for a job about an orphan.
func (h *handler) onOrphan(kind server.JobKind) func(context.Context, *orphanInput) (*jobOutput, error) {
	return func(ctx context.Context, in *orphanInput) (*jobOutput, error) {
		wait, err := in.duration()
		if err != nil {
			return nil, err
		}
		ask := h.backend.Adopt
		if kind == server.JobDisableOrphan {
			ask = h.backend.DisableOrphan
		}
		job, err := ask(ctx, in.Unit, callFrom(ctx).who)
		return h.answer(ctx, job, err, wait)
	}
}
