package api

import (
	"context"

	"github.com/left4med/left4med/internal/server"
)

type overlaysOutput struct {
	Body overlaysBody
}

type overlaysBody struct {
	Overlays []server.Overlay `json:"overlays"`
}

func (h *handler) listOverlays(ctx context.Context, _ *struct{}) (*overlaysOutput, error) {
	overlays, err := h.backend.Overlays(ctx)
	if err != nil {
		return nil, err
	}
	return &overlaysOutput{overlaysBody{list(overlays)}}, nil
}

type overlayInput struct {
	Overlay string `path:"overlay" maxLength:"255" doc:"The overlay's name."`
}

func (h *handler) deleteOverlay(ctx context.Context, in *overlayInput) (*struct{}, error) {
	return nil, h.backend.DeleteOverlay(ctx, in.Overlay, callFrom(ctx).who)
}
