package client

import (
	"context"
	"net/http"
)

// Install asks for the game to be installed or updated; the job is returned at
// once. While servers run it is refused, unless opts.Restart has them stopped and
// brought back: at once, or with opts.When, WhenEmpty, when nobody plays on any.
func (c *Client) Install(ctx context.Context, opts InstallOptions) (*Job, error) {
	return c.install(ctx, opts)
}

// CheckUpdates has left4med ask Steam for its newest build; the job is returned at
// once, and Updates tells the answer when it has ended.
func (c *Client) CheckUpdates(ctx context.Context) (*Job, error) {
	return c.install(ctx, struct {
		Check bool `json:"check"`
	}{true})
}

func (c *Client) install(ctx context.Context, body any) (*Job, error) {
	var job Job
	if _, err := c.ask(ctx, request{method: http.MethodPost, path: "/v1/install", body: body}, &job); err != nil {
		return nil, err
	}
	return &job, nil
}

// Updates says which build of the game is installed and which is the newest, as
// left4med knows it.
func (c *Client) Updates(ctx context.Context) (*Updates, error) {
	var u Updates
	if _, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/updates"}, &u); err != nil {
		return nil, err
	}
	return &u, nil
}
