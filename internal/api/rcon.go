package api

import (
	"context"

	"github.com/left4med/left4med/internal/server"
)

type rconInput struct {
	OnServer
	Body rconBody
}

type rconBody struct {
	Command string `json:"command" doc:"One line of at most 510 bytes; ';' parts commands. It is on record, what follows the name of a secret left out."`
}

type rconOutput struct {
	Body *server.Output
}

// rcon runs a command on a game's console. No problem repeats it.
func (h *handler) rcon(ctx context.Context, in *rconInput) (*rconOutput, error) {
	c := callFrom(ctx)
	out, err := h.backend.RCON(ctx, c.server, in.Body.Command, c.who)
	if err != nil {
		return nil, err
	}
	return &rconOutput{out}, nil
}

type playersOutput struct {
	Body *server.Players
}

func (h *handler) players(ctx context.Context, _ *OnServer) (*playersOutput, error) {
	players, err := h.backend.Players(ctx, callFrom(ctx).server)
	if err != nil {
		return nil, err
	}
	return &playersOutput{players}, nil
}
