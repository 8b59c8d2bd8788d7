-- Times are microseconds since 1970-01-01 UTC. An absent time is NULL.

CREATE TABLE servers (
  id                 INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
  name               TEXT    NOT NULL,
  phase              TEXT    NOT NULL,                  -- creating, ready, deleting, deleted
  port               INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535), -- config's, for the index
  config             TEXT    NOT NULL CHECK (json_valid(config)),
  desired            TEXT    NOT NULL CHECK (desired IN ('running', 'stopped')), -- a cache of the enablement link
  changed_invocation TEXT    NOT NULL DEFAULT '',       -- the run of the unit that the newest settings have not reached
  created_at         INTEGER NOT NULL,
  deleted_at         INTEGER,                           -- a row with it is a tombstone
  CHECK ((phase = 'deleted') = (deleted_at IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX servers_name ON servers (name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX servers_port ON servers (port) WHERE deleted_at IS NULL;

CREATE TABLE jobs (
  id             INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
  server_id      INTEGER REFERENCES servers (id),   -- NULL for a job of no server
  server         TEXT    NOT NULL DEFAULT '',       -- its name, or the instance of an orphan
  kind           TEXT    NOT NULL,
  state          TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
  uid            INTEGER NOT NULL,
  user           TEXT    NOT NULL DEFAULT '',
  via            TEXT    NOT NULL,
  on_behalf_of   TEXT    NOT NULL DEFAULT '',
  created_at     INTEGER NOT NULL,
  started_at     INTEGER,
  finished_at    INTEGER,
  superseded_by  INTEGER,                           -- a job's id; that row may have been pruned
  progress_done  INTEGER,                           -- the three stand together or not at all
  progress_total INTEGER,
  progress_text  TEXT,
  error_code     TEXT,
  error_detail   TEXT,
  error_logs     TEXT CHECK (json_valid(error_logs)),
  step           TEXT NOT NULL DEFAULT '',          -- what a resumed job goes on from
  mark           TEXT CHECK (json_valid(mark)),     -- what else it needs for that
  boot_id        TEXT NOT NULL DEFAULT '',          -- the boot in which the step was recorded
  CHECK ((state IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)),
  CHECK ((error_code IS NULL) = (error_detail IS NULL))
) STRICT;

CREATE INDEX jobs_by_server    ON jobs (server, id);
CREATE INDEX jobs_by_server_id ON jobs (server_id) WHERE server_id IS NOT NULL;
CREATE INDEX jobs_by_state     ON jobs (state, id);
CREATE INDEX jobs_unfinished   ON jobs (id) WHERE finished_at IS NULL;

CREATE TABLE meta (
  key   TEXT NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Event ids begin at the wall clock's milliseconds, so that they also grow
-- when a lost database was replaced by a new one.
INSERT INTO meta (key, value) VALUES ('next_event', max(1, CAST(strftime('%s', 'now') AS INTEGER) * 1000));
