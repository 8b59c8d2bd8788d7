package api

import (
	"context"

	"github.com/left4med/left4med/internal/server"
)

type installInput struct {
	Waiting
	Body *installBody // may be left out
}

type installBody struct {
	Validate bool        `json:"validate,omitempty" doc:"Have every file compared with Steam's, and mended."`
	Restart  bool        `json:"restart,omitempty" doc:"Stop the servers that run, and bring back what ran; without it an install beside servers that run is refused."`
	When     server.When `json:"when,omitempty" enum:"empty" doc:"With restart; empty: wait until nobody plays on any server that runs. Until then servers are started as ever."`
	Check    bool        `json:"check,omitempty" doc:"Only ask Steam which build is the newest, which disturbs no server; GET /v1/updates tells the answer."`
}

func (h *handler) install(ctx context.Context, in *installInput) (*jobOutput, error) {
	wait, err := in.duration()
	if err != nil {
		return nil, err
	}
	var b installBody
	if in.Body != nil {
		b = *in.Body
	}
	who := callFrom(ctx).who
	if b.Check {
		if b.Validate || b.Restart || b.When != "" {
			return nil, &server.Error{Code: server.CodeInvalidRequest, Field: "check",
				Detail: "a check changes nothing, so it cannot be asked for together with validate, restart or when; leave out one or the other"}
		}
		job, err := h.backend.CheckUpdates(ctx, who)
		return h.answer(ctx, job, err, wait)
	}
	if b.When != "" && !b.Restart {
		return nil, &server.Error{Code: server.CodeInvalidRequest, Field: "when",
			Detail: "an install waits until nobody plays only where it may stop servers; ask for restart together with when"}
	}
	job, err := h.backend.Install(ctx, server.InstallOptions{Validate: b.Validate, Restart: b.Restart, When: b.When}, who)
	return h.answer(ctx, job, err, wait)
}

type updatesOutput struct {
	Body server.Updates
}

func (h *handler) updates(context.Context, *struct{}) (*updatesOutput, error) {
	return &updatesOutput{h.backend.Updates()}, nil
}
