package api

import (
	"context"
	"time"

	"github.com/left4med/left4med/internal/server"
)

type listHistoryInput struct {
	Server string               `query:"server" doc:"Only this server's, also those of earlier servers of the name."`
	Kind   []server.HistoryKind `query:"kind" enum:"job,refusal,change,state,desired,drift,healing,orphan,alert" maxItems:"9" doc:"Only of these kinds, separated by commas."`
	Since  time.Time            `query:"since" doc:"None that is older."`
	Limit  int                  `query:"limit" minimum:"1" maximum:"1000" doc:"At most so many. Default 100."`
	Before int64                `query:"before" minimum:"1" doc:"Only ids below, to page on."`
}

type historyOutput struct {
	Body historyBody
}

type historyBody struct {
	History []server.HistoryEntry `json:"history"`
}

func (h *handler) listHistory(ctx context.Context, in *listHistoryInput) (*historyOutput, error) {
	f := server.HistoryFilter{Kinds: in.Kind, Since: in.Since, Before: in.Before, Limit: in.Limit}
	if in.Server != "" {
		name, err := server.ParseName(in.Server)
		if err != nil {
			return nil, err
		}
		f.Server = name
	}
	entries, err := h.backend.History(ctx, f)
	if err != nil {
		return nil, err
	}
	return &historyOutput{historyBody{list(entries)}}, nil
}
