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
