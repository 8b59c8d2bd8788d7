-- What happened and who asked, for readers; nothing is decided by it. An entry
-- stays as it was written, whatever becomes of the server and the job it names.
CREATE TABLE history (
  id           INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
  at           INTEGER NOT NULL,
  server_id    INTEGER REFERENCES servers (id),   -- NULL: none, or unknown
  server       TEXT    NOT NULL DEFAULT '',       -- its name; a refusal's as it was named
  kind         TEXT    NOT NULL,                  -- job, refusal, change
  what         TEXT    NOT NULL DEFAULT '',       -- the job's kind, or the verb
  was          TEXT    NOT NULL DEFAULT '',       -- from
  became       TEXT    NOT NULL DEFAULT '',       -- to
  job          INTEGER,                           -- its row may have been removed
  uid          INTEGER,                           -- NULL: nobody asked
  user         TEXT    NOT NULL DEFAULT '',
  via          TEXT    NOT NULL DEFAULT '',
  on_behalf_of TEXT    NOT NULL DEFAULT '',
  seen_by      TEXT    NOT NULL DEFAULT '',
  code         TEXT    NOT NULL DEFAULT '',
  detail       TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX history_by_server ON history (server, id);
CREATE INDEX history_refusals  ON history (id) WHERE kind = 'refusal';
