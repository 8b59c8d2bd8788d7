package client

import (
	"context"
	"net/http"
)

// TestAlerts has a test sent to every webhook and unit that the settings name for
// alerts, and says what came of each; it may take half a minute.
func (c *Client) TestAlerts(ctx context.Context) ([]AlertResult, error) {
	var answer struct {
		Targets []AlertResult `json:"targets"`
	}
	_, err := c.ask(ctx, request{method: http.MethodPost, path: "/v1/alerts/test"}, &answer)
	return answer.Targets, err
}
