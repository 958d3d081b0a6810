-- Webhooks and what is delivered to them. The events of a workspace are its outbox: a webhook has a cursor into them, and
-- only what is under way, waits, or went wrong has a row of its own.

CREATE TABLE webhooks (
    workspace        INTEGER PRIMARY KEY REFERENCES workspaces (id),
    url              TEXT NOT NULL,
    description      TEXT,
    batch_max        INTEGER NOT NULL,
    sealed           BLOB NOT NULL,         -- the signing secret
    previous_sealed  BLOB,                  -- the one before it
    previous_until_s INTEGER,
    next_sequence    INTEGER NOT NULL,      -- the first event that no delivery has been made of
    created_s        INTEGER NOT NULL,
    updated_s        INTEGER NOT NULL
) STRICT;

CREATE TABLE deliveries (
    id               BLOB PRIMARY KEY,      -- UUIDv7: in order of making
    workspace        INTEGER NOT NULL,
    first_sequence   INTEGER NOT NULL,
    last_sequence    INTEGER NOT NULL,
    state            TEXT NOT NULL,         -- pending, under_way, done, dead, redriven
    attempts         INTEGER NOT NULL,      -- those that have ended
    first_attempt_ms INTEGER,
    last_attempt_ms  INTEGER,               -- when the last one ended
    next_attempt_ms  INTEGER,               -- set while pending, and only then
    last_status      INTEGER,
    last_error       TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (workspace, next_attempt_ms) WHERE next_attempt_ms IS NOT NULL;
CREATE INDEX deliveries_under_way ON deliveries (workspace) WHERE state = 'under_way';
CREATE INDEX deliveries_dead ON deliveries (workspace, id) WHERE state = 'dead';
CREATE INDEX deliveries_ended ON deliveries (id) WHERE state IN ('done', 'redriven');
CREATE INDEX deliveries_by_event ON deliveries (workspace, first_sequence);
