package client

import (
	"context"
	"net/http"
)

// Players reads who plays on a server that runs.
func (c *Client) Players(ctx context.Context, name string) (*Players, error) {
	return one[Players](ctx, c, request{method: http.MethodGet}, name, "/players")
}

// RCON runs a command on the console of a server that runs, and returns what it
// printed. The command is on record, without the secrets that can be told in it.
func (c *Client) RCON(ctx context.Context, name, command string) (*Output, error) {
	body := struct {
		Command string `json:"command"`
	}{command}
	return one[Output](ctx, c, request{method: http.MethodPost, body: body}, name, "/rcon")
}
