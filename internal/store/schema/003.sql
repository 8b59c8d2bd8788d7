-- What was last put on record of a server, so that a daemon that starts knows
-- what changed while there was none. NULL: nothing yet.
ALTER TABLE servers ADD COLUMN seen TEXT CHECK (json_valid(seen));

-- What is of our template and belongs to no server, so that a daemon that starts
-- tells of none twice.
CREATE TABLE orphans (
  unit     TEXT    NOT NULL PRIMARY KEY,
  found_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
