package client

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// History lists what happened and who asked for it, newest first.
func (c *Client) History(ctx context.Context, filter HistoryFilter) ([]HistoryEntry, error) {
	q, err := pageOf(filter.Server, filter.Before, filter.Limit)
	if err != nil {
		return nil, err
	}
	if len(filter.Kinds) > 0 {
		kinds := make([]string, len(filter.Kinds))
		for i, kind := range filter.Kinds {
			kinds[i] = string(kind)
		}
		q.Set("kind", strings.Join(kinds, ","))
	}
	if !filter.Since.IsZero() {
		q.Set("since", filter.Since.UTC().Format(time.RFC3339Nano))
	}
	var list struct {
		History []HistoryEntry `json:"history"`
	}
	_, err = c.ask(ctx, request{method: http.MethodGet, path: "/v1/history", query: q}, &list)
	return list.History, err
}
