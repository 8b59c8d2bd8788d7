package api

import (
	"context"

	"github.com/left4med/left4med/internal/orchestrator"
)

type alertsOutput struct {
	Body struct {
		Targets []orchestrator.AlertResult `json:"targets" doc:"Every target of every rule in the settings; none without rules."`
	}
}

func (h *handler) testAlerts(ctx context.Context, _ *struct{}) (*alertsOutput, error) {
	results, err := h.backend.TestAlerts(ctx, callFrom(ctx).who)
	if err != nil {
		return nil, err
	}
	out := &alertsOutput{}
	out.Body.Targets = list(results)
	return out, nil
}
