package client

import (
	"context"
	"net/http"
)

// History lists what happened and who asked for it, newest first.
func (c *Client) History(ctx context.Context, filter HistoryFilter) ([]HistoryEntry, error) {
	q, err := pageOf(filter.Server, filter.Before, filter.Limit)
	if err != nil {
		return nil, err
	}
	var list struct {
		History []HistoryEntry `json:"history"`
	}
	_, err = c.ask(ctx, request{method: http.MethodGet, path: "/v1/history", query: q}, &list)
	return list.History, err
}
