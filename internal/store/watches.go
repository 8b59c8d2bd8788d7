package store

import (
	"context"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// Watches returns the times through which a daemon saw all servers, oldest first:
// those that ended at since or later, and the one before them, which tells why
// nobody looked from then on.
func (s *Store) Watches(ctx context.Context, since time.Time) ([]server.Watch, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT began, until, boot, ended FROM watches
		WHERE until >= ?1 OR began = (SELECT max(began) FROM watches WHERE until < ?1) ORDER BY began`, since.UnixMicro())
	if err != nil {
		return nil, s.fail("read when the servers were watched", err)
	}
	defer rows.Close()
	watches := []server.Watch{}
	for rows.Next() {
		var w server.Watch
		var from, until int64
		if err := rows.Scan(&from, &until, &w.Boot, &w.Ended); err != nil {
			return nil, s.fail("read when the servers were watched", err)
		}
		w.From, w.Until = time.UnixMicro(from).UTC(), time.UnixMicro(until).UTC()
		watches = append(watches, w)
	}
	return watches, s.fail("read when the servers were watched", rows.Err())
}

// SetWatches stores watches, each in place of the one that began at the same
// time: all or none.
func (s *Store) SetWatches(ctx context.Context, watches ...server.Watch) error {
	return s.write(ctx, "store when the servers were watched", func(ctx context.Context, q querier) error {
		for _, w := range watches {
			began := w.From.UnixMicro()
			_, err := q.ExecContext(ctx, `INSERT OR REPLACE INTO watches (began, until, boot, ended) VALUES (?, ?, ?, ?)`,
				began, max(began, w.Until.UnixMicro()), w.Boot, w.Ended)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// EndWatch lengthens the watch of a daemon that was killed up to the last thing
// that it put on record, which it lived to see. It is called before anything else
// is put there.
func (s *Store) EndWatch(ctx context.Context) error {
	return s.write(ctx, "store when the servers were watched", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `UPDATE watches SET until = max(until, coalesce((SELECT at FROM history ORDER BY id DESC LIMIT 1), 0))
			WHERE began = (SELECT max(began) FROM watches) AND ended = ''`)
		return err
	})
}

// PruneWatches removes the watches that ended before a time, but for the last of
// them, at most 1,000 at once, and returns how many.
func (s *Store) PruneWatches(ctx context.Context, before time.Time) (removed int64, err error) {
	err = s.write(ctx, "remove old watches", func(ctx context.Context, q querier) error {
		res, err := q.ExecContext(ctx, `DELETE FROM watches WHERE began IN (SELECT began FROM watches
			WHERE until < ?1 AND began < (SELECT max(began) FROM watches WHERE until < ?1) ORDER BY began LIMIT ?2)`,
			before.UnixMicro(), pruneLimit)
		if err != nil {
			return err
		}
		removed, err = res.RowsAffected()
		return err
	})
	return removed, err
}

// Presence returns what the history tells of a server's state and intent from
// since on, oldest first, and from when on the history is whole: zero when
// nothing of it was ever removed.
func (s *Store) Presence(ctx context.Context, name server.Name, id int64, since time.Time) (entries []server.HistoryEntry, whole time.Time, err error) {
	const doing = "read the history"
	rows, err := s.readers.QueryContext(ctx, presenceQuery, name, id, since.UnixMicro())
	if err != nil {
		return nil, whole, s.fail(doing, err)
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scanHistory(rows)
		if err != nil {
			return nil, whole, s.fail(doing, err)
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, whole, s.fail(doing, err)
	}
	// Read after the entries: what was removed meanwhile counts.
	var from int64
	err = s.readers.QueryRowContext(ctx, `SELECT coalesce(max(value), 0) FROM meta WHERE key = 'history_from'`).Scan(&from)
	if from > 0 {
		whole = time.UnixMicro(from).UTC()
	}
	return entries, whole, s.fail(doing, err)
}

// presenceQuery walks the entries of one name alone, by their index.
const presenceQuery = `SELECT ` + historyColumns + ` FROM history
	WHERE server = ? AND server_id = ? AND kind IN ('state', 'desired') AND at >= ? ORDER BY id`
