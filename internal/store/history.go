package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/left4med/left4med/internal/server"
)

const defaultHistory = 100

// insertHistory is followed by VALUES or a SELECT.
const insertHistory = `INSERT INTO history (at, server_id, server, kind, what, was, became, job, uid, user, via, on_behalf_of, seen_by, code, detail, since) `

const historyColumns = `id, at, server_id, server, kind, what, was, became, job, uid, user, via, on_behalf_of, seen_by, code, detail, since`

// AddHistory stores entries, all or none, in their order. An absent time is
// filled in; the ids are the store's. A job's entries are written by what
// stores the job.
func (s *Store) AddHistory(ctx context.Context, entries ...server.HistoryEntry) error {
	return s.write(ctx, "store the history", func(ctx context.Context, q querier) error {
		for _, e := range entries {
			if err := s.addHistory(ctx, q, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) addHistory(ctx context.Context, q querier, e server.HistoryEntry) error {
	var by server.Requester
	if e.By != nil {
		by = *e.By
	}
	_, err := q.ExecContext(ctx, insertHistory+`VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		micros(s.orNow(e.At)), orNull(e.ServerID), e.Server, e.Kind, e.What, e.From, e.To, orNull(e.Job),
		sql.NullInt64{Int64: int64(by.UID), Valid: e.By != nil}, by.User, by.Via, by.OnBehalfOf, e.SeenBy, e.Code, e.Detail, micros(e.Since))
	return err
}

func orNull(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }

// addJobEnd notes the end of the job that e tells of. It is called before the
// job's row is changed, and does nothing for a job that has ended already.
func addJobEnd(ctx context.Context, q querier, e server.HistoryEntry) error {
	_, err := q.ExecContext(ctx, insertHistory+`SELECT ?, server_id, server, ?, kind, state, ?, id, uid, user, via, on_behalf_of, '', ?, ?, NULL
		FROM jobs WHERE id = ? AND finished_at IS NULL`, micros(e.At), e.Kind, e.To, e.Code, e.Detail, e.Job)
	return err
}

// History returns the entries that match, newest first.
func (s *Store) History(ctx context.Context, f server.HistoryFilter) ([]server.HistoryEntry, error) {
	query, args := `SELECT `+historyColumns+` FROM history WHERE true`, []any{}
	if f.Server != "" {
		query, args = query+` AND server = ?`, append(args, f.Server)
	}
	if len(f.Kinds) > 0 {
		query += ` AND kind IN (?` + strings.Repeat(`, ?`, len(f.Kinds)-1) + `)`
		for _, kind := range f.Kinds {
			args = append(args, kind)
		}
	}
	if !f.Since.IsZero() {
		query, args = query+` AND at >= ?`, append(args, f.Since.UnixMicro())
	}
	if f.Before > 0 {
		query, args = query+` AND id < ?`, append(args, f.Before)
	}
	if f.Limit <= 0 {
		f.Limit = defaultHistory
	}
	rows, err := s.readers.QueryContext(ctx, query+` ORDER BY id DESC LIMIT ?`, append(args, f.Limit)...)
	if err != nil {
		return nil, s.fail("read the history", err)
	}
	defer rows.Close()
	entries := []server.HistoryEntry{}
	for rows.Next() {
		e, err := scanHistory(rows)
		if err != nil {
			return nil, s.fail("read the history", err)
		}
		entries = append(entries, e)
	}
	return entries, s.fail("read the history", rows.Err())
}

func scanHistory(row scanner) (server.HistoryEntry, error) {
	var (
		e                             server.HistoryEntry
		by                            server.Requester
		at, serverID, job, uid, since sql.NullInt64
	)
	err := row.Scan(&e.ID, &at, &serverID, &e.Server, &e.Kind, &e.What, &e.From, &e.To, &job,
		&uid, &by.User, &by.Via, &by.OnBehalfOf, &e.SeenBy, &e.Code, &e.Detail, &since)
	e.At, e.ServerID, e.Job, e.Since = timeOf(at), serverID.Int64, job.Int64, timeOf(since)
	if uid.Valid {
		by.UID = uint32(uid.Int64)
		e.By = &by
	}
	return e, err
}

// HistoryLimits is what PruneHistory keeps.
type HistoryLimits struct {
	Rows     int       // the newest so many, at least 1
	Refusals int       // of these at most so many refusals, so that they drive out nothing else; at least 1
	Since    time.Time // and nothing older
}

// PruneHistory removes the oldest entries over the limits, at most 1,000 at a
// time, and returns how many. How many are too old is told from the 1,000
// oldest, so that what is kept is not walked. It notes from when on all
// entries of states and intents are there, see Presence.
func (s *Store) PruneHistory(ctx context.Context, keep HistoryLimits) (removed int64, err error) {
	err = s.write(ctx, "remove old history", func(ctx context.Context, q querier) error {
		rows, err := q.QueryContext(ctx, `
			WITH oldest AS (SELECT id, at FROM history ORDER BY id LIMIT ?)
			DELETE FROM history WHERE id IN (
			  SELECT id FROM oldest WHERE at < ?
			  UNION SELECT id FROM oldest WHERE id <= (SELECT id FROM history ORDER BY id DESC LIMIT 1 OFFSET ?)
			  UNION SELECT id FROM history WHERE kind = 'refusal'
			    AND id <= (SELECT id FROM history WHERE kind = 'refusal' ORDER BY id DESC LIMIT 1 OFFSET ?)
			  LIMIT ?) RETURNING iif(kind IN ('state', 'desired'), at, 0)`,
			pruneLimit, keep.Since.UnixMicro(), max(keep.Rows, 1), max(keep.Refusals, 1), pruneLimit)
		if err != nil {
			return err
		}
		defer rows.Close()
		var lost int64 // when the newest of them was
		for removed = 0; rows.Next(); removed++ {
			var at int64
			if err := rows.Scan(&at); err != nil {
				return err
			}
			lost = max(lost, at)
		}
		if err := rows.Err(); err != nil || lost == 0 {
			return err
		}
		_, err = q.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('history_from', ?)
			ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)`, lost+1)
		return err
	})
	return removed, err
}
