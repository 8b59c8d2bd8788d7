package api

import (
	"context"

	"github.com/left4med/left4med/internal/server"
)

type secretInput struct {
	OnServer
	// Any text: one that names no secret is not found, and not a bad request.
	Secret string `path:"secret" doc:"rcon, password or gslt."`
	Body   secretBody
}

type secretBody struct {
	Value string `json:"value" writeOnly:"true" format:"password" doc:"ASCII without spaces, quotation marks, backslashes and semicolons: for rcon 8 to 64 characters, for password 1 to 64; for gslt Steam's 32 hexadecimal digits. Empty: a new random one for rcon; the others are taken away."`
}

// setSecret is the only door for secrets, and leads one way. No answer repeats
// what was sent.
func (h *handler) setSecret(ctx context.Context, in *secretInput) (*struct{}, error) {
	which, err := server.ParseSecretName(in.Secret)
	if err != nil {
		return nil, err
	}
	value, err := server.NewSecret(which, in.Body.Value)
	if err != nil {
		return nil, err
	}
	c := callFrom(ctx)
	return nil, h.backend.SetSecret(ctx, c.server, which, value, c.who)
}
