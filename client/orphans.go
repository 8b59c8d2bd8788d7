package client

import (
	"context"
	"net/http"

	"github.com/left4med/left4med/internal/server"
)

// Orphans reads what belongs to no server: units of the servers' template, and
// directories of instances.
func (c *Client) Orphans(ctx context.Context) ([]Orphan, error) {
	var list struct {
		Orphans []Orphan `json:"orphans"`
	}
	_, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/orphans"}, &list)
	return list.Orphans, err
}

// Adopt makes a server of an orphan, named by its unit; its game goes on. The job
// is returned at once.
func (c *Client) Adopt(ctx context.Context, unit string) (*Job, error) {
	return c.onOrphan(ctx, unit, "/adopt")
}

// DisableOrphan disables and stops an orphan, named by its unit; its files stay.
// The job is returned at once.
func (c *Client) DisableOrphan(ctx context.Context, unit string) (*Job, error) {
	return c.onOrphan(ctx, unit, "/disable")
}

// onOrphan asks for a job about an orphan. The unit is checked before it becomes
// part of a path.
func (c *Client) onOrphan(ctx context.Context, unit, rest string) (*Job, error) {
	if _, err := server.ParseUnit(unit); err != nil {
		return nil, refusedHere(err)
	}
	var job Job
	if _, err := c.ask(ctx, request{method: http.MethodPost, path: "/v1/orphans/" + unit + rest}, &job); err != nil {
		return nil, err
	}
	return &job, nil
}

// OrphanUnit is the unit of an instance, whose name may break the rule for those
// of servers.
func OrphanUnit(instance string) string { return Name(instance).Unit() }
