-- Times are microseconds since 1970-01-01 UTC. An absent time is NULL.

CREATE TABLE users (
  id               INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
  name             TEXT    NOT NULL UNIQUE,
  role             TEXT    NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  password         TEXT    NOT NULL,                  -- argon2id, as a PHC string
  password_version INTEGER NOT NULL DEFAULT 1,        -- grows with each change, which ends sessions
  created_at       INTEGER NOT NULL,
  last_sign_in     INTEGER
) STRICT;

CREATE TABLE sessions (
  id         TEXT    PRIMARY KEY,        -- no secret
  token      BLOB    NOT NULL UNIQUE,    -- SHA-256 of the cookie's value
  user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  csrf       TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL,
  source     TEXT    NOT NULL,
  agent      TEXT    NOT NULL
) STRICT;

CREATE INDEX sessions_user ON sessions (user_id, used_at);

CREATE TABLE keys (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;
