-- What was last put on record of a server, so that a daemon that starts knows
-- what changed while there was none. NULL: nothing yet.
ALTER TABLE servers ADD COLUMN seen TEXT CHECK (json_valid(seen));
