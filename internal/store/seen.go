package store

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// Seen is what was last put on record of a server: the next entries of its
// history go on from there.
type Seen struct {
	State      server.State   `json:"state"`
	Drift      server.Drift   `json:"drift"`
	DriftSince time.Time      `json:"drift_since,omitzero"` // zero without a drift
	Desired    server.Desired `json:"-"`                    // in a column of its own
	Invocation string         `json:"invocation,omitempty"` // the run of the unit
	Heals      []time.Time    `json:"heals,omitempty"`      // the starts by left4med itself within its window
	NextHeal   time.Time      `json:"next_heal,omitzero"`   // when the next one is due; zero when none is
	GaveUp     bool           `json:"gave_up,omitempty"`    // there is no next one
}

// Equal says whether both say the same.
func (s Seen) Equal(t Seen) bool {
	return s.State == t.State && s.Drift == t.Drift && s.DriftSince.Equal(t.DriftSince) && s.Desired == t.Desired &&
		s.Invocation == t.Invocation && slices.EqualFunc(s.Heals, t.Heals, time.Time.Equal) &&
		s.NextHeal.Equal(t.NextHeal) && s.GaveUp == t.GaveUp
}

// SetSeen stores what was seen of servers, by their ids, together with the
// entries of the history and the alerts (which may be nil) that tell of it: all or
// nothing. A deleted server is passed over, what tells of it is not.
func (s *Store) SetSeen(ctx context.Context, seen map[int64]Seen, entries []server.HistoryEntry, alerts *Alerts) error {
	return s.write(ctx, "store what was seen of the servers", func(ctx context.Context, q querier) error {
		for id, of := range seen {
			text, err := json.Marshal(of)
			if err != nil {
				return err
			}
			_, err = q.ExecContext(ctx, `UPDATE servers SET desired = ?, seen = ? WHERE id = ? AND deleted_at IS NULL`, of.Desired, string(text), id)
			if err != nil {
				return err
			}
		}
		for _, e := range entries {
			if err := s.addHistory(ctx, q, e); err != nil {
				return err
			}
		}
		return s.addAlerts(ctx, q, alerts)
	})
}
