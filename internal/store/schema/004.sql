-- When a server came to a state, by systemd's word, where it was seen only later.
ALTER TABLE history ADD COLUMN since INTEGER;

-- The times through which a daemon saw all servers; what lies between them nobody saw.
CREATE TABLE watches (
  began INTEGER PRIMARY KEY,
  until INTEGER NOT NULL,            -- the last moment that is certain
  boot  TEXT    NOT NULL,            -- the host's boot
  ended TEXT    NOT NULL DEFAULT '', -- stopped, unlinked; empty: it lasts, or was killed
  CHECK (until >= began)
) STRICT;

-- What servers took of the host and how many played, thinned with age: for a
-- server each moment lies in one row. NULL: unknown.
CREATE TABLE series (
  server_id   INTEGER NOT NULL REFERENCES servers (id),
  step        INTEGER NOT NULL, -- the row's length in seconds: 60, 600 or 3600
  at          INTEGER NOT NULL, -- its beginning, in seconds since 1970-01-01 UTC, a multiple of step
  samples     INTEGER NOT NULL,
  memory      INTEGER,          -- means and maxima: KiB
  memory_max  INTEGER,
  cpu         INTEGER,          -- hundredths of a percent of one processor
  cpu_max     INTEGER,
  players     INTEGER,          -- hundredths
  players_max INTEGER,          -- a number
  PRIMARY KEY (server_id, step, at)
) STRICT, WITHOUT ROWID;

-- What holds now that a rule was told of, or is about to be: its end is told
-- once, and a daemon that starts tells of nothing twice. The subject is
-- server/ID, orphan/UNIT or daemon/CHECK.
CREATE TABLE alerting (
  rule    TEXT    NOT NULL,
  event   TEXT    NOT NULL,
  subject TEXT    NOT NULL,
  since   INTEGER NOT NULL,
  PRIMARY KEY (rule, event, subject)
) STRICT, WITHOUT ROWID;

-- Alerts that are to be delivered, one row for each target of a rule. No address
-- is here: the settings have it.
CREATE TABLE alerts (
  id       INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
  rule     TEXT    NOT NULL,
  target   TEXT    NOT NULL,
  event    TEXT    NOT NULL,
  subject  TEXT    NOT NULL,
  at       INTEGER NOT NULL,
  due      INTEGER NOT NULL,                  -- not to be sent before
  alert    TEXT    NOT NULL CHECK (json_valid(alert)),
  attempts INTEGER NOT NULL DEFAULT 0,
  tried_at INTEGER,
  unsure   INTEGER NOT NULL DEFAULT 0,        -- the last attempt may have arrived
  repeated INTEGER NOT NULL DEFAULT 0         -- an earlier one may have
) STRICT;

CREATE INDEX alerts_by_target ON alerts (rule, target, id);
