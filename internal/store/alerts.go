package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// Notice is the beginning or the end of something, for one rule. Stored twice it
// is one: a beginning counts only when the rule does not know of it, an end only
// when it does. Nothing begins with a server that is deleted.
type Notice struct {
	Subject string       // what it is about: "server/ID", "orphan/UNIT", "daemon/CHECK"
	Alert   server.Alert // without ID and Repeated
	Targets []string     // whom to tell; none: the rule is told nothing
	Due     time.Time    // a beginning is not to be told before; if it ends before, it is not told at all
	Sent    bool         // it was tried already, without the store
}

// Alerts are notices that are stored together with what they tell of. Dropped is
// set when that is done: the entries, which are in the history by then, of alerts
// that were dropped because too many wait.
type Alerts struct {
	Notices []Notice
	Dropped []server.HistoryEntry
}

// maxAlerts is how many alerts may wait for a target; when there are more, the
// oldest tenth is dropped.
const maxAlerts = 1_000

// AlertRow is an alert that is to be delivered.
type AlertRow struct {
	ID       int64
	Alert    server.Alert // with ID and Repeated
	Attempts int
}

// addAlerts is a part of a write: its fields are set anew each time.
func (s *Store) addAlerts(ctx context.Context, q querier, a *Alerts) error {
	if a == nil {
		return nil
	}
	a.Dropped = nil
	for _, n := range a.Notices {
		var err error
		if n.Alert.State == server.AlertFiring {
			err = s.begins(ctx, q, n, a)
		} else {
			err = s.ends(ctx, q, n, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) begins(ctx context.Context, q querier, n Notice, a *Alerts) error {
	// What was seen of a server before it was deleted may be stored after that.
	res, err := q.ExecContext(ctx, `INSERT OR IGNORE INTO alerting (rule, event, subject, since) SELECT ?, ?, ?, ?
		WHERE NOT EXISTS (SELECT 1 FROM servers WHERE id = ? AND deleted_at IS NOT NULL)`,
		n.Alert.Rule, n.Alert.Event, n.Subject, micros(n.Alert.At), n.Alert.ServerID)
	if err != nil {
		return err
	}
	if rows, err := res.RowsAffected(); err != nil {
		return err
	} else if rows == 0 {
		return release(ctx, q, n)
	}
	for _, target := range n.Targets {
		if err := s.insertAlert(ctx, q, n, target, a); err != nil {
			return err
		}
	}
	return nil
}

// release gives the alert of a beginning that is known already its own time back,
// if HoldAlerts took it: it was seen to last.
func release(ctx context.Context, q querier, n Notice) error {
	_, err := q.ExecContext(ctx, `UPDATE alerts SET due = at + ?4 WHERE rule = ?1 AND event = ?2 AND subject = ?3 AND attempts = 0 AND due > at + ?4`,
		n.Alert.Rule, n.Alert.Event, n.Subject, max(n.Due.Sub(n.Alert.At), 0).Microseconds())
	return err
}

func (s *Store) ends(ctx context.Context, q querier, n Notice, a *Alerts) error {
	res, err := q.ExecContext(ctx, `DELETE FROM alerting WHERE rule = ? AND event = ? AND subject = ?`, n.Alert.Rule, n.Alert.Event, n.Subject)
	if err != nil {
		return err
	}
	if rows, err := res.RowsAffected(); err != nil || rows == 0 {
		return err
	}
	// For these it was over before they were to be told.
	held, err := pairs(ctx, q, `DELETE FROM alerts WHERE rule = ? AND event = ? AND subject = ? AND attempts = 0 AND due > ? RETURNING rule, target`,
		func(_, target string) string { return target }, n.Alert.Rule, n.Alert.Event, n.Subject, micros(n.Alert.At))
	if err != nil {
		return err
	}
	for _, target := range n.Targets {
		if slices.Contains(held, target) {
			continue
		}
		if err := s.insertAlert(ctx, q, n, target, a); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) insertAlert(ctx context.Context, q querier, n Notice, target string, a *Alerts) error {
	if err := s.dropAlerts(ctx, q, n.Alert.Rule, target, a); err != nil {
		return err
	}
	text, err := json.Marshal(n.Alert)
	if err != nil {
		return err
	}
	due := n.Due
	if due.Before(n.Alert.At) {
		due = n.Alert.At
	}
	_, err = q.ExecContext(ctx, `INSERT INTO alerts (rule, target, event, subject, at, due, alert, unsure) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		n.Alert.Rule, target, n.Alert.Event, n.Subject, micros(n.Alert.At), micros(due), string(text), n.Sent)
	return err
}

// dropAlerts makes room for one more.
func (s *Store) dropAlerts(ctx context.Context, q querier, rule, target string, a *Alerts) error {
	var waiting int
	if err := q.QueryRowContext(ctx, `SELECT count(*) FROM alerts WHERE rule = ? AND target = ?`, rule, target).Scan(&waiting); err != nil || waiting < maxAlerts {
		return err
	}
	res, err := q.ExecContext(ctx, `DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE rule = ? AND target = ? ORDER BY id LIMIT ?)`,
		rule, target, maxAlerts/10)
	if err != nil {
		return err
	}
	dropped, err := res.RowsAffected()
	if err != nil {
		return err
	}
	e := server.HistoryEntry{
		At: s.orNow(time.Time{}), Kind: server.HistoryAlert, What: "alert", To: server.AlertDropped, Code: server.CodeTooMany,
		Detail: fmt.Sprintf("the oldest %d of rule %s for %s: more than %d waited", dropped, rule, target, maxAlerts),
	}
	a.Dropped = append(a.Dropped, e)
	return s.addHistory(ctx, q, e)
}

// AddAlerts stores notices of what is in no other table, all or none.
func (s *Store) AddAlerts(ctx context.Context, a *Alerts) error {
	return s.write(ctx, "store alerts", func(ctx context.Context, q querier) error { return s.addAlerts(ctx, q, a) })
}

// HoldAlerts has what is told only if it lasts wait until then, unless its
// beginning is stored again or its end is: nobody knows yet whether it lasted. Of
// what is on record to have ended that is known.
func (s *Store) HoldAlerts(ctx context.Context, until time.Time) error {
	return s.write(ctx, "hold alerts back", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `UPDATE alerts SET due = ?1 WHERE attempts = 0 AND due > at AND due < ?1
			AND id IN (SELECT max(id) FROM alerts GROUP BY rule, target, event, subject)`, micros(until))
		return err
	})
}

// NextAlert is the oldest alert for a target that is due; when there is none, next
// is when the first will be, zero when none waits. What is told of one event and
// subject is told in turn: an end that came before its beginning would be followed
// by nothing. It changes nothing.
func (s *Store) NextAlert(ctx context.Context, rule, target string, now time.Time) (row *AlertRow, next time.Time, err error) {
	var r AlertRow
	var text []byte
	var due sql.NullInt64
	err = s.readers.QueryRowContext(ctx, `SELECT id, alert, attempts, due FROM alerts
		WHERE id IN (SELECT min(id) FROM alerts WHERE rule = ? AND target = ? GROUP BY event, subject)
		ORDER BY iif(due <= ?3, 0, due), id LIMIT 1`, rule, target, now.UnixMicro()).Scan(&r.ID, &text, &r.Attempts, &due)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, time.Time{}, nil
	case err != nil:
		return nil, time.Time{}, s.fail("read the alerts", err)
	case due.Int64 > now.UnixMicro():
		return nil, timeOf(due), nil
	}
	if err := json.Unmarshal(text, &r.Alert); err != nil {
		return nil, time.Time{}, s.fail("read the alerts", err)
	}
	r.Alert.ID = r.ID
	return &r, time.Time{}, nil
}

// TryAlert puts on record that an alert is about to be sent. There is none with
// this id any more when found is false. repeated says that it may have arrived
// before: the outcome of an attempt is not known.
func (s *Store) TryAlert(ctx context.Context, id int64, at time.Time) (found, repeated bool, err error) {
	err = s.write(ctx, "store that an alert is sent", func(ctx context.Context, q querier) error {
		err := q.QueryRowContext(ctx, `UPDATE alerts SET attempts = attempts + 1, tried_at = ?, repeated = repeated OR unsure, unsure = 1
			WHERE id = ? RETURNING repeated`, micros(at), id).Scan(&repeated)
		if found = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return found, repeated, err
}

// RetryAlert puts on record that an alert was not delivered: that the attempt may
// have arrived all the same, and, unless zero, when it is due again; others for
// the target go before it then.
func (s *Store) RetryAlert(ctx context.Context, id int64, unsure bool, due time.Time) error {
	return s.write(ctx, "store that an alert was not delivered", func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `UPDATE alerts SET unsure = ?, due = coalesce(?, due) WHERE id = ?`, unsure, micros(due), id)
		return err
	})
}

// RemoveAlert takes out an alert that was delivered, or will never be: then the
// entries of the history say so. Doing so twice is no error.
func (s *Store) RemoveAlert(ctx context.Context, id int64, entries ...server.HistoryEntry) error {
	return s.write(ctx, "remove an alert", func(ctx context.Context, q querier) error {
		res, err := q.ExecContext(ctx, `DELETE FROM alerts WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		for _, e := range entries {
			if err := s.addHistory(ctx, q, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// AlertTarget is where alerts go.
type AlertTarget struct{ Rule, Target string }

// KeepAlerts removes what waits for other targets than these, and what is known
// of rules that have none of them or of subjects that keep says are no more. It
// returns how many alerts of which targets were removed.
func (s *Store) KeepAlerts(ctx context.Context, targets []AlertTarget, keep func(subject string) bool) (removed map[AlertTarget]int64, err error) {
	stay, rules := map[AlertTarget]bool{}, map[string]bool{}
	for _, t := range targets {
		stay[t], rules[t.Rule] = true, true
	}
	err = s.write(ctx, "remove alerts of no rule", func(ctx context.Context, q querier) error {
		removed = map[AlertTarget]int64{}
		type known struct{ rule, subject string }
		waiting, err := pairs(ctx, q, `SELECT DISTINCT rule, target FROM alerts`, func(a, b string) AlertTarget { return AlertTarget{a, b} })
		if err != nil {
			return err
		}
		alerting, err := pairs(ctx, q, `SELECT DISTINCT rule, subject FROM alerting`, func(a, b string) known { return known{a, b} })
		if err != nil {
			return err
		}
		for _, t := range waiting {
			if stay[t] {
				continue
			}
			res, err := q.ExecContext(ctx, `DELETE FROM alerts WHERE rule = ? AND target = ?`, t.Rule, t.Target)
			if err != nil {
				return err
			}
			if removed[t], err = res.RowsAffected(); err != nil {
				return err
			}
		}
		for _, k := range alerting {
			if rules[k.rule] && keep(k.subject) {
				continue
			}
			if _, err := q.ExecContext(ctx, `DELETE FROM alerting WHERE rule = ? AND subject = ?`, k.rule, k.subject); err != nil {
				return err
			}
		}
		return nil
	})
	return removed, err
}

// pairs reads rows of two texts.
func pairs[T any](ctx context.Context, q querier, query string, of func(a, b string) T, args ...any) (list []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			return nil, err
		}
		list = append(list, of(a, b))
	}
	return list, rows.Err()
}

// WaitingAlerts is what waits for a target and is due.
type WaitingAlerts struct {
	Count  int
	Oldest time.Time // when the oldest was seen
}

// WaitingAlerts counts what is due and not delivered, by target.
func (s *Store) WaitingAlerts(ctx context.Context, now time.Time) (map[AlertTarget]WaitingAlerts, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT rule, target, count(*), min(at) FROM alerts
		WHERE due <= ? OR attempts > 0 GROUP BY rule, target`, now.UnixMicro())
	if err != nil {
		return nil, s.fail("count the alerts", err)
	}
	defer rows.Close()
	waiting := map[AlertTarget]WaitingAlerts{}
	for rows.Next() {
		var t AlertTarget
		var w WaitingAlerts
		var oldest sql.NullInt64
		if err := rows.Scan(&t.Rule, &t.Target, &w.Count, &oldest); err != nil {
			return nil, s.fail("count the alerts", err)
		}
		w.Oldest = timeOf(oldest)
		waiting[t] = w
	}
	return waiting, s.fail("count the alerts", rows.Err())
}
