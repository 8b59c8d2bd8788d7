-- A database of schema version 3 as it was released, with rows. Frozen: it is
-- never changed, so that every later version is tested on it.
PRAGMA application_id = 1278496068;
PRAGMA user_version = 3;
CREATE TABLE servers (
  id                 INTEGER PRIMARY KEY AUTOINCREMENT,
  name               TEXT    NOT NULL,
  phase              TEXT    NOT NULL,
  port               INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
  config             TEXT    NOT NULL CHECK (json_valid(config)),
  desired            TEXT    NOT NULL CHECK (desired IN ('running', 'stopped')),
  changed_invocation TEXT    NOT NULL DEFAULT '',
  created_at         INTEGER NOT NULL,
  deleted_at         INTEGER,
  CHECK ((phase = 'deleted') = (deleted_at IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX servers_name ON servers (name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX servers_port ON servers (port) WHERE deleted_at IS NULL;
CREATE TABLE jobs (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  server_id      INTEGER REFERENCES servers (id),
  server         TEXT    NOT NULL DEFAULT '',
  kind           TEXT    NOT NULL,
  state          TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
  uid            INTEGER NOT NULL,
  user           TEXT    NOT NULL DEFAULT '',
  via            TEXT    NOT NULL,
  on_behalf_of   TEXT    NOT NULL DEFAULT '',
  created_at     INTEGER NOT NULL,
  started_at     INTEGER,
  finished_at    INTEGER,
  superseded_by  INTEGER,
  progress_done  INTEGER,
  progress_total INTEGER,
  progress_text  TEXT,
  error_code     TEXT,
  error_detail   TEXT,
  error_logs     TEXT CHECK (json_valid(error_logs)),
  step           TEXT NOT NULL DEFAULT '',
  mark           TEXT CHECK (json_valid(mark)),
  boot_id        TEXT NOT NULL DEFAULT '',
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
INSERT INTO meta (key, value) VALUES ('next_event', 1700000000000);
INSERT INTO servers VALUES (3, 'old', 'deleted', 27015, '{"port":27015,"map":"c1m1_hotel","gamemode":"coop","max_players":8,"hostname":"old","args":[],"overlays":[],"cvars":{},"heal":"off"}', 'stopped', '', 1700000000000000, 1700000001000000);
INSERT INTO servers VALUES (4, 'versus-1', 'ready', 27015, '{"port":27015,"map":"c5m1_waterfront","gamemode":"versus","max_players":8,"hostname":"Versus","args":["-nobots"],"overlays":["maps"],"cvars":{"sv_gravity":"800"},"heal":"failed"}', 'running', '0123456789abcdef0123456789abcdef', 1700000002000000, NULL);
INSERT INTO jobs VALUES (8, 4, 'versus-1', 'start', 'canceled', 1000, 'kim', 'http', 'alice', 1700000003000000, 1700000003000001, 1700000004000000, 9, 1, 2, 'half', 'busy', 'why', '["a","b"]', 'enabled', '{"x":1}', 'boot-1');
INSERT INTO jobs VALUES (9, 4, 'versus-1', 'stop', 'queued', 0, '', 'dbus', '', 1700000004000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, '');
CREATE TABLE history (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  at           INTEGER NOT NULL,
  server_id    INTEGER REFERENCES servers (id),
  server       TEXT    NOT NULL DEFAULT '',
  kind         TEXT    NOT NULL,
  what         TEXT    NOT NULL DEFAULT '',
  was          TEXT    NOT NULL DEFAULT '',
  became       TEXT    NOT NULL DEFAULT '',
  job          INTEGER,
  uid          INTEGER,
  user         TEXT    NOT NULL DEFAULT '',
  via          TEXT    NOT NULL DEFAULT '',
  on_behalf_of TEXT    NOT NULL DEFAULT '',
  seen_by      TEXT    NOT NULL DEFAULT '',
  code         TEXT    NOT NULL DEFAULT '',
  detail       TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX history_by_server ON history (server, id);
CREATE INDEX history_refusals  ON history (id) WHERE kind = 'refusal';
ALTER TABLE servers ADD COLUMN seen TEXT CHECK (json_valid(seen));

CREATE TABLE orphans (
  unit     TEXT    NOT NULL PRIMARY KEY,
  found_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

UPDATE servers SET seen = '{"state":"failed","drift":"down","drift_since":"2023-11-14T22:13:25Z","invocation":"0123456789abcdef0123456789abcdef"}' WHERE id = 4;
INSERT INTO history (id, at, server_id, server, kind, what, was, became, seen_by, detail)
  VALUES (7, 1700000005000000, 4, 'versus-1', 'state', 'state', 'running', 'failed', 'signal', 'result signal');
