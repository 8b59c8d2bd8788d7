package client

import (
	"context"
	"net/http"
)

// Health is what the daemon knows of itself and of its host.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	var h Health
	if _, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/health"}, &h); err != nil {
		return nil, err
	}
	return &h, nil
}

// Resync compares all servers with systemd now, and returns when that is done.
func (c *Client) Resync(ctx context.Context) error {
	_, err := c.ask(ctx, request{method: http.MethodPost, path: "/v1/resync"}, nil)
	return err
}

// OpenAPI is the description of the API, as JSON.
func (c *Client) OpenAPI(ctx context.Context) ([]byte, error) {
	body, _, err := c.bytes(ctx, request{method: http.MethodGet, path: "/openapi.json"})
	return body, err
}
