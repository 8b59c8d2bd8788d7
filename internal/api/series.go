package api

import (
	"context"

	"github.com/left4med/left4med/internal/server"
)

type availabilityInput struct {
	OnServer
	Days int `query:"days" minimum:"1" maximum:"90" default:"7" doc:"Over so many days, up to now."`
}

type availabilityOutput struct {
	Body *server.Availability
}

func (h *handler) availability(ctx context.Context, in *availabilityInput) (*availabilityOutput, error) {
	a, err := h.backend.Availability(ctx, callFrom(ctx).server, in.Days)
	if err != nil {
		return nil, err
	}
	return &availabilityOutput{a}, nil
}

type seriesInput struct {
	OnServer
	Hours int `query:"hours" minimum:"1" maximum:"9600" default:"24" doc:"Over so many hours, up to now."`
}

type seriesOutput struct {
	Body *server.Series
}

func (h *handler) series(ctx context.Context, in *seriesInput) (*seriesOutput, error) {
	s, err := h.backend.Series(ctx, callFrom(ctx).server, in.Hours)
	if err != nil {
		return nil, err
	}
	return &seriesOutput{s}, nil
}
