package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// Orphans returns the units that were put on record as orphans, and when each
// was found.
func (s *Store) Orphans(ctx context.Context) (map[string]time.Time, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT unit, found_at FROM orphans`)
	if err != nil {
		return nil, s.fail("read the orphans", err)
	}
	defer rows.Close()
	orphans := map[string]time.Time{}
	for rows.Next() {
		var unit string
		var found sql.NullInt64
		if err := rows.Scan(&unit, &found); err != nil {
			return nil, s.fail("read the orphans", err)
		}
		orphans[unit] = timeOf(found)
	}
	return orphans, s.fail("read the orphans", rows.Err())
}

// SetOrphans puts on record which orphans were found and which units are none
// any more, together with the entries of the history and the alerts (which may be
// nil) that tell of it: all or nothing.
func (s *Store) SetOrphans(ctx context.Context, found map[string]time.Time, gone []string, entries []server.HistoryEntry, alerts *Alerts) error {
	return s.write(ctx, "store the orphans", func(ctx context.Context, q querier) error {
		for _, unit := range gone {
			if _, err := q.ExecContext(ctx, `DELETE FROM orphans WHERE unit = ?`, unit); err != nil {
				return err
			}
		}
		for unit, at := range found {
			if _, err := q.ExecContext(ctx, `INSERT OR REPLACE INTO orphans (unit, found_at) VALUES (?, ?)`, unit, micros(at)); err != nil {
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
