package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// PhaseDeleted is the phase of a tombstone: the row of a server that is gone,
// kept so that its id means the same forever.
const PhaseDeleted server.Phase = "deleted"

// ServerRow is a server as it is stored. Times have microseconds, in UTC.
type ServerRow struct {
	ID                int64
	Name              server.Name
	Phase             server.Phase
	Config            server.Config
	Desired           server.Desired // as last seen; the enablement link decides
	ChangedInvocation string         // the run that the newest settings have not reached; empty when there is none
	CreatedAt         time.Time
	DeletedAt         time.Time // zero for all but tombstones
	Seen              *Seen     // nil before the first SetSeen
}

const serverColumns = `id, name, phase, config, desired, changed_invocation, created_at, deleted_at, seen`

// Servers returns all servers that are not deleted, by name.
func (s *Store) Servers(ctx context.Context) ([]ServerRow, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT `+serverColumns+` FROM servers WHERE deleted_at IS NULL ORDER BY name`)
	if err != nil {
		return nil, s.fail("read the servers", err)
	}
	defer rows.Close()
	servers := []ServerRow{}
	for rows.Next() {
		row, err := scanServer(rows)
		if err != nil {
			return nil, s.fail("read the servers", err)
		}
		servers = append(servers, row)
	}
	return servers, s.fail("read the servers", rows.Err())
}

// scanner is a row of a query's result.
type scanner interface{ Scan(dest ...any) error }

func scanServer(row scanner) (ServerRow, error) {
	var (
		r                ServerRow
		config, seen     []byte
		created, deleted sql.NullInt64
	)
	err := row.Scan(&r.ID, &r.Name, &r.Phase, &config, &r.Desired, &r.ChangedInvocation, &created, &deleted, &seen)
	if err != nil {
		return ServerRow{}, err
	}
	if err := json.Unmarshal(config, &r.Config); err != nil {
		return ServerRow{}, fmt.Errorf("the settings of server %s (id %d) are not readable: %w", r.Name, r.ID, err)
	}
	if seen != nil {
		if err := json.Unmarshal(seen, &r.Seen); err != nil {
			return ServerRow{}, fmt.Errorf("what was seen of server %s (id %d) is not readable: %w", r.Name, r.ID, err)
		}
		r.Seen.Desired = r.Desired
	}
	r.Config = r.Config.Clone()
	r.CreatedAt, r.DeletedAt = timeOf(created), timeOf(deleted)
	return r, nil
}

// CreateServer inserts a server in phase creating and the job that will create
// it, both or none. The ids, the phase, an absent time and an absent intent
// (stopped) are filled in. The error's code is CodeNameTaken or CodePortTaken
// when another server, also one still being deleted, has the name or the port.
func (s *Store) CreateServer(ctx context.Context, row ServerRow, job JobRow) (ServerRow, JobRow, error) {
	row.Phase, row.DeletedAt = server.PhaseCreating, time.Time{}
	row.CreatedAt = s.orNow(row.CreatedAt)
	row.Config = row.Config.Clone()
	if row.Desired == "" {
		row.Desired = server.DesiredStopped
	}
	config, err := json.Marshal(row.Config)
	if err != nil {
		return ServerRow{}, JobRow{}, s.fail("store the server", err)
	}
	err = s.write(ctx, "store the server", func(ctx context.Context, q querier) error {
		if err := free(ctx, q, 0, row.Name, row.Config.Port); err != nil {
			return err
		}
		res, err := q.ExecContext(ctx, `INSERT INTO servers (name, phase, port, config, desired, changed_invocation, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?)`,
			row.Name, row.Phase, row.Config.Port, string(config), row.Desired, row.ChangedInvocation, micros(row.CreatedAt))
		if err != nil {
			return err
		}
		if row.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		job.ServerID, job.Server = row.ID, row.Name
		return s.insertJob(ctx, q, &job)
	})
	if err != nil {
		return ServerRow{}, JobRow{}, err
	}
	return row, job, nil
}

// free refuses a name (unless empty) or port that a server other than id has.
// The unique indexes would refuse it too, without saying whose it is.
func free(ctx context.Context, q querier, id int64, name server.Name, port uint16) error {
	var holder server.Name
	err := q.QueryRowContext(ctx, `SELECT name FROM servers WHERE deleted_at IS NULL AND name = ? AND id <> ?`, name, id).Scan(&holder)
	if err == nil {
		return &server.Error{Code: server.CodeNameTaken, Field: "name",
			Detail: fmt.Sprintf("there is already a server named %s; choose another name, or delete that one first", holder)}
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	err = q.QueryRowContext(ctx, `SELECT name FROM servers WHERE deleted_at IS NULL AND port = ? AND id <> ?`, port, id).Scan(&holder)
	if err == nil {
		return &server.Error{Code: server.CodePortTaken, Field: "config.port",
			Detail: fmt.Sprintf("the port %d belongs to the server %s; choose another one, or leave it out to get a free one", port, holder)}
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return nil
}

// SetPhase moves a server on in its life; the tombstone is DeleteServer's.
// The error's code is CodeServerNotFound for an id that is not in use.
func (s *Store) SetPhase(ctx context.Context, id int64, phase server.Phase) error {
	return s.write(ctx, "store the server's phase", func(ctx context.Context, q querier) error {
		return setPhase(ctx, q, id, phase)
	})
}

func setPhase(ctx context.Context, q querier, id int64, phase server.Phase) error {
	res, err := q.ExecContext(ctx, `UPDATE servers SET phase = ? WHERE id = ? AND deleted_at IS NULL`, phase, id)
	return changedOne(res, err, serverNotFound(id))
}

// SetConfig stores new settings and the run of the unit that does not have
// them yet. Its errors are CodePortTaken and CodeServerNotFound.
func (s *Store) SetConfig(ctx context.Context, id int64, cfg server.Config, changedInvocation string) error {
	config, err := json.Marshal(cfg.Clone())
	if err != nil {
		return s.fail("store the server's settings", err)
	}
	return s.write(ctx, "store the server's settings", func(ctx context.Context, q querier) error {
		if err := free(ctx, q, id, "", cfg.Port); err != nil {
			return err
		}
		res, err := q.ExecContext(ctx, `UPDATE servers SET config = ?, port = ?, changed_invocation = ? WHERE id = ? AND deleted_at IS NULL`,
			string(config), cfg.Port, changedInvocation, id)
		return changedOne(res, err, serverNotFound(id))
	})
}

// DeleteServer makes a server a tombstone: its name and port are free again,
// its id is not. The samples of it are removed. The alerts (which may be nil) that
// tell of it are stored with that, all or nothing. Doing so twice is no error.
func (s *Store) DeleteServer(ctx context.Context, id int64, alerts *Alerts) error {
	return s.write(ctx, "delete the server", func(ctx context.Context, q querier) error {
		if _, err := q.ExecContext(ctx, `DELETE FROM series WHERE server_id = ?`, id); err != nil {
			return err
		}
		res, err := q.ExecContext(ctx, `UPDATE servers SET phase = ?, desired = ?, deleted_at = coalesce(deleted_at, ?) WHERE id = ?`,
			PhaseDeleted, server.DesiredStopped, micros(s.orNow(time.Time{})), id)
		if err := changedOne(res, err, serverNotFound(id)); err != nil {
			return err
		}
		return s.addAlerts(ctx, q, alerts)
	})
}

// changedOne returns otherwise when a statement changed no row.
func changedOne(res sql.Result, err, otherwise error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}
