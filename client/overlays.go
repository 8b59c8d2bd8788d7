package client

import (
	"context"
	"net/http"

	"github.com/left4med/left4med/internal/server"
)

// Overlays reads which overlays there are, how large they are, and who uses them.
// left4med looks at all of their files for it.
func (c *Client) Overlays(ctx context.Context) ([]Overlay, error) {
	var list struct {
		Overlays []Overlay `json:"overlays"`
	}
	_, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/overlays"}, &list)
	return list.Overlays, err
}

// DeleteOverlay removes an overlay that nobody uses. The name is checked before it
// becomes part of a path.
func (c *Client) DeleteOverlay(ctx context.Context, name string) error {
	if !server.IsOverlayName(name) {
		return refusedHere(server.Errorf(server.CodeOverlayNotFound, "there can be no overlay %s", server.Quote(name, 70)))
	}
	_, err := c.ask(ctx, request{method: http.MethodDelete, path: "/v1/overlays/" + name}, nil)
	return err
}
