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

// JobRow is a job as it is stored: what clients see, and what the daemon needs
// to go on with it after a restart.
type JobRow struct {
	server.Job
	Step   string // the last step recorded; empty before the first
	Mark   []byte // JSON that belongs to the step; nil when there is none
	BootID string // the boot in which the step was recorded
}

// NewJob is a job to insert, with what must be stored together with it.
type NewJob struct {
	Row        JobRow
	Supersedes []int64       // unfinished jobs that end canceled in favour of this one
	Phase      *server.Phase // the new phase of the job's server; nil: as it is
}

// StepUpdate records how far an unfinished job has come, and that it is
// running.
type StepUpdate struct {
	JobID     int64
	Step      string
	Mark      []byte
	BootID    string
	StartedAt time.Time // stored with the first step
}

// JobFilter selects jobs, newest first.
type JobFilter struct {
	Server server.Name     // empty: all, also of deleted servers
	State  server.JobState // empty: all
	Before int64           // only ids below; 0: from the newest
	Limit  int             // at most so many; 0: 100
}

const defaultJobs = 100

const jobColumns = `id, server_id, server, kind, state, uid, user, via, on_behalf_of, created_at, started_at, finished_at,
	superseded_by, progress_done, progress_total, progress_text, error_code, error_detail, error_logs, step, mark, boot_id`

// InsertJobs stores new jobs and their entries of the history, all or none, and returns them with their ids and
// an absent creation time filled in. A job that one of them supersedes ends
// canceled, finished when the new one was created; one that had ended before
// stays as it was.
func (s *Store) InsertJobs(ctx context.Context, jobs []NewJob) ([]JobRow, error) {
	rows := make([]JobRow, len(jobs))
	err := s.write(ctx, "store the jobs", func(ctx context.Context, q querier) error {
		for i, n := range jobs {
			rows[i] = n.Row
			if err := s.insertJob(ctx, q, &rows[i]); err != nil {
				return err
			}
			for _, id := range n.Supersedes {
				if err := supersede(ctx, q, id, &rows[i]); err != nil {
					return err
				}
			}
			if n.Phase != nil {
				if err := setPhase(ctx, q, n.Row.ServerID, *n.Phase); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// supersede ends an unfinished job in favour of by.
func supersede(ctx context.Context, q querier, id int64, by *JobRow) error {
	end := server.Job{ID: id, State: server.JobCanceled, FinishedAt: by.CreatedAt, SupersededBy: &by.ID}
	if err := addJobEnd(ctx, q, server.HistoryOf(&end)); err != nil {
		return err
	}
	_, err := q.ExecContext(ctx, `UPDATE jobs SET state = ?, finished_at = ?, superseded_by = ? WHERE id = ? AND finished_at IS NULL`,
		end.State, micros(end.FinishedAt), by.ID, id)
	return err
}

func (s *Store) insertJob(ctx context.Context, q querier, j *JobRow) error {
	j.CreatedAt = s.orNow(j.CreatedAt)
	v, err := valuesOf(j)
	if err != nil {
		return err
	}
	res, err := q.ExecContext(ctx, `INSERT INTO jobs (server_id, server, kind, state, uid, user, via, on_behalf_of, created_at, step, mark, boot_id,
			started_at, finished_at, superseded_by, progress_done, progress_total, progress_text, error_code, error_detail, error_logs)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		append([]any{
			orNull(j.ServerID), j.Server, j.Kind, j.State,
			j.RequestedBy.UID, j.RequestedBy.User, j.RequestedBy.Via, j.RequestedBy.OnBehalfOf,
			micros(j.CreatedAt), j.Step, textOf(j.Mark), j.BootID,
		}, v...)...)
	if err != nil {
		return err
	}
	if j.ID, err = res.LastInsertId(); err != nil {
		return err
	}
	return s.addHistory(ctx, q, server.HistoryOf(&j.Job))
}

// valuesOf are the columns of a job that change while it lives, in the order
// of started_at … error_logs.
func valuesOf(j *JobRow) ([]any, error) {
	v := make([]any, 9) // NULL unless set
	v[0], v[1] = micros(j.StartedAt), micros(j.FinishedAt)
	if j.SupersededBy != nil {
		v[2] = *j.SupersededBy
	}
	if p := j.Progress; p != nil {
		v[3], v[4], v[5] = p.Done, p.Total, p.Text
	}
	if e := j.Error; e != nil {
		v[6], v[7] = e.Code, e.Detail
		if e.Logs != nil {
			logs, err := json.Marshal(e.Logs)
			if err != nil {
				return nil, err
			}
			v[8] = string(logs)
		}
	}
	return v, nil
}

func textOf(mark []byte) sql.NullString {
	return sql.NullString{String: string(mark), Valid: mark != nil}
}

// UpdateJob is UpdateJobs for one job.
func (s *Store) UpdateJob(ctx context.Context, row JobRow) error {
	return s.UpdateJobs(ctx, []JobRow{row})
}

// UpdateJobs stores the state, times, progress and error of unfinished jobs, and
// the ends of those that end in the history, all or none. What SetStep wrote stays. A job that has ended is never changed
// again: that is CodeJobFinished, and an unknown one CodeJobNotFound.
func (s *Store) UpdateJobs(ctx context.Context, rows []JobRow) error {
	return s.write(ctx, "store the jobs' progress", func(ctx context.Context, q querier) error {
		for i := range rows {
			if err := updateJob(ctx, q, &rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func updateJob(ctx context.Context, q querier, j *JobRow) error {
	v, err := valuesOf(j)
	if err != nil {
		return err
	}
	if j.State.Finished() {
		if err := addJobEnd(ctx, q, server.HistoryOf(&j.Job)); err != nil {
			return err
		}
	}
	res, err := q.ExecContext(ctx, `UPDATE jobs SET started_at = ?, finished_at = ?, superseded_by = ?,
			progress_done = ?, progress_total = ?, progress_text = ?, error_code = ?, error_detail = ?, error_logs = ?, state = ?
		WHERE id = ? AND finished_at IS NULL`, append(v, j.State, j.ID)...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); n == 1 || err != nil {
		return err
	}
	var state server.JobState
	err = q.QueryRowContext(ctx, `SELECT state FROM jobs WHERE id = ?`, j.ID).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return jobNotFound(j.ID)
	}
	if err != nil {
		return err
	}
	return &server.Error{Code: server.CodeJobFinished, Job: j.ID, Detail: fmt.Sprintf("the job %d has already ended: %s", j.ID, state)}
}

func jobNotFound(id int64) error {
	return &server.Error{Code: server.CodeJobNotFound, Job: id, Detail: fmt.Sprintf("there is no job %d; jobs that ended long ago are removed", id)}
}

// SetStep records steps, all or none; the jobs are running from then on. A job that has ended is passed over: it
// will not be resumed.
func (s *Store) SetStep(ctx context.Context, updates []StepUpdate) error {
	if len(updates) == 0 {
		return nil
	}
	return s.write(ctx, "record the jobs' steps", func(ctx context.Context, q querier) error {
		for _, u := range updates {
			_, err := q.ExecContext(ctx, `UPDATE jobs SET step = ?, mark = ?, boot_id = ?, state = ?, started_at = coalesce(started_at, ?)
				WHERE id = ? AND finished_at IS NULL`,
				u.Step, textOf(u.Mark), u.BootID, server.JobRunning, micros(u.StartedAt), u.JobID)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// UnfinishedJobs returns the jobs that have not ended, oldest first.
func (s *Store) UnfinishedJobs(ctx context.Context) ([]JobRow, error) {
	return s.jobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE finished_at IS NULL ORDER BY id`)
}

// Job returns one job. The error's code is CodeJobNotFound when there is none.
func (s *Store) Job(ctx context.Context, id int64) (JobRow, error) {
	rows, err := s.jobs(ctx, `SELECT `+jobColumns+` FROM jobs WHERE id = ?`, id)
	if err != nil {
		return JobRow{}, err
	}
	if len(rows) == 0 {
		return JobRow{}, jobNotFound(id)
	}
	return rows[0], nil
}

// Jobs returns the jobs that match, newest first.
func (s *Store) Jobs(ctx context.Context, f JobFilter) ([]JobRow, error) {
	query, args := `SELECT `+jobColumns+` FROM jobs WHERE true`, []any{}
	if f.Server != "" {
		query, args = query+` AND server = ?`, append(args, f.Server)
	}
	if f.State != "" {
		query, args = query+` AND state = ?`, append(args, f.State)
	}
	if f.Before > 0 {
		query, args = query+` AND id < ?`, append(args, f.Before)
	}
	if f.Limit <= 0 {
		f.Limit = defaultJobs
	}
	return s.jobs(ctx, query+` ORDER BY id DESC LIMIT ?`, append(args, f.Limit)...)
}

func (s *Store) jobs(ctx context.Context, query string, args ...any) ([]JobRow, error) {
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.fail("read the jobs", err)
	}
	defer rows.Close()
	jobs := []JobRow{}
	for rows.Next() {
		j, err := scanJob(rows)
		if err != nil {
			return nil, s.fail("read the jobs", err)
		}
		jobs = append(jobs, j)
	}
	return jobs, s.fail("read the jobs", rows.Err())
}

func scanJob(row scanner) (JobRow, error) {
	var (
		j                                 JobRow
		serverID, superseded, done, total sql.NullInt64
		created, started, finished        sql.NullInt64
		text, code, detail, logs, mark    sql.NullString
		by                                = &j.RequestedBy
	)
	err := row.Scan(&j.ID, &serverID, &j.Server, &j.Kind, &j.State, &by.UID, &by.User, &by.Via, &by.OnBehalfOf,
		&created, &started, &finished, &superseded, &done, &total, &text, &code, &detail, &logs, &j.Step, &mark, &j.BootID)
	if err != nil {
		return JobRow{}, err
	}
	j.ServerID = serverID.Int64
	j.CreatedAt, j.StartedAt, j.FinishedAt = timeOf(created), timeOf(started), timeOf(finished)
	if superseded.Valid {
		j.SupersededBy = &superseded.Int64
	}
	if done.Valid {
		j.Progress = &server.Progress{Done: done.Int64, Total: total.Int64, Text: text.String}
	}
	if mark.Valid {
		j.Mark = []byte(mark.String)
	}
	if code.Valid {
		j.Error = &server.JobError{Code: server.Code(code.String), Detail: detail.String}
		if logs.Valid {
			if err := json.Unmarshal([]byte(logs.String), &j.Error.Logs); err != nil {
				return JobRow{}, fmt.Errorf("the log lines of job %d are not readable: %w", j.ID, err)
			}
		}
	}
	return j, nil
}

// pruneLimit bounds the rows one PruneJobs removes, and with them the time that
// other writes wait for it.
const pruneLimit = 1000

// PruneJobs removes jobs that ended before olderThan and are not among the
// newest keepPerServer (at least 1) of their server's name, at most 1,000 at a
// time, and returns how many. A job that has not ended is never removed.
func (s *Store) PruneJobs(ctx context.Context, keepPerServer int, olderThan time.Time) (removed int64, err error) {
	err = s.write(ctx, "remove old jobs", func(ctx context.Context, q querier) error {
		// For each name one step to its keepPerServer-th newest job.
		res, err := q.ExecContext(ctx, `
			WITH names AS (SELECT DISTINCT server FROM jobs),
			     oldest AS (SELECT server, (SELECT id FROM jobs WHERE server = names.server ORDER BY id DESC LIMIT 1 OFFSET ?) AS id FROM names)
			DELETE FROM jobs WHERE id IN (
			  SELECT j.id FROM oldest JOIN jobs AS j ON j.server = oldest.server AND j.id < oldest.id
			  WHERE j.finished_at < ? LIMIT ?)`,
			max(keepPerServer, 1)-1, olderThan.UnixMicro(), pruneLimit)
		if err != nil {
			return err
		}
		removed, err = res.RowsAffected()
		return err
	})
	return removed, err
}
