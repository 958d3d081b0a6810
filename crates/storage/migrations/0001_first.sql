-- The first schema. Ids are random 64-bit numbers, kept as signed ones. Times end in _s (seconds) or _ms
-- (milliseconds) since 1970 UTC. Money and tokens are integers.

CREATE TABLE config (
    name  TEXT PRIMARY KEY,     -- 'version', 'check', 'last_recorded_ms'
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workspaces (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    created_s INTEGER NOT NULL
) STRICT;

-- Deleted groups stay: the ledger names them, and their ids are never given again.
CREATE TABLE groups (
    id                 INTEGER PRIMARY KEY,
    workspace          INTEGER NOT NULL REFERENCES workspaces (id),
    serial             INTEGER NOT NULL,
    name               TEXT,
    external_entity_id TEXT NOT NULL,
    models             TEXT NOT NULL,       -- JSON
    enforcement        TEXT NOT NULL,
    parent             INTEGER REFERENCES groups (id),
    root               INTEGER NOT NULL,
    level              INTEGER NOT NULL,
    created_s          INTEGER NOT NULL,
    deleted_s          INTEGER
) STRICT;
CREATE UNIQUE INDEX groups_by_external_id ON groups (workspace, external_entity_id) WHERE deleted_s IS NULL;

-- Revoked keys stay: neither a key nor a prefix is ever given again.
CREATE TABLE keys (
    hash      BLOB PRIMARY KEY,
    prefix    TEXT NOT NULL UNIQUE,
    group_id  INTEGER NOT NULL REFERENCES groups (id),
    name      TEXT,
    serial    INTEGER NOT NULL,
    created_s INTEGER NOT NULL,
    revoked_s INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE management_keys (
    hash             BLOB PRIMARY KEY,
    prefix           TEXT NOT NULL,
    workspace        INTEGER NOT NULL REFERENCES workspaces (id),
    scope            TEXT NOT NULL,
    from_environment INTEGER NOT NULL,
    created_s        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE endpoints (
    id              INTEGER PRIMARY KEY,
    workspace       INTEGER NOT NULL REFERENCES workspaces (id),
    serial          INTEGER NOT NULL,
    slug            TEXT NOT NULL UNIQUE,
    region          TEXT NOT NULL,
    target          TEXT NOT NULL,          -- JSON
    admission       TEXT,
    private_allowed INTEGER NOT NULL,
    created_s       INTEGER NOT NULL,
    updated_s       INTEGER NOT NULL
) STRICT;

CREATE TABLE secrets (
    workspace INTEGER NOT NULL REFERENCES workspaces (id),
    name      TEXT NOT NULL,
    sealed    BLOB NOT NULL,                -- nonce, ciphertext, tag
    created_s INTEGER NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;

-- The ledger. A request id sorts by time, so entries are appended. No other index: each would cost several times
-- what the insert costs, and the sums below answer what is asked often.
CREATE TABLE entries (
    request_id         BLOB PRIMARY KEY,
    admitted_ms        INTEGER NOT NULL,
    settled_ms         INTEGER NOT NULL,
    workspace          INTEGER NOT NULL,
    group_path         TEXT NOT NULL,       -- the calling group first, then its ancestors, as their ids are written
    external_entity_id TEXT NOT NULL,
    key_prefix         TEXT NOT NULL,
    slug               TEXT NOT NULL,
    provider           TEXT NOT NULL,
    upstream_model     TEXT NOT NULL,
    route              TEXT NOT NULL,
    input_tokens       INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    cached_tokens      INTEGER NOT NULL,
    usage_source       TEXT NOT NULL,
    outcome            TEXT NOT NULL,
    upstream_status    INTEGER,
    first_byte_ms      INTEGER,
    metadata           TEXT                 -- JSON
) STRICT, WITHOUT ROWID;

-- Sums of the calling group's entries by the hour they were settled in (hours since 1970 UTC).
CREATE TABLE rollups (
    group_id      INTEGER NOT NULL,
    slug          TEXT NOT NULL,
    key_prefix    TEXT NOT NULL,
    provider      TEXT NOT NULL,
    hour          INTEGER NOT NULL,
    requests      INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    PRIMARY KEY (group_id, slug, key_prefix, provider, hour)
) STRICT, WITHOUT ROWID;

-- What DAY counters are opened with: requests by the day of admission, tokens by the day of settlement.
CREATE TABLE day_use (
    group_id INTEGER NOT NULL,
    scope    TEXT NOT NULL,                 -- 'own', 'subtree'
    slug     TEXT NOT NULL,
    day      INTEGER NOT NULL,              -- days since 1970 UTC
    requests INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    PRIMARY KEY (group_id, scope, slug, day)
) STRICT, WITHOUT ROWID;
-- A start reads the present day of every group.
CREATE INDEX day_use_by_day ON day_use (day);

-- What a newly declared DAY limit started with.
CREATE TABLE openings (
    version  INTEGER NOT NULL,              -- the edit that declared it
    group_id INTEGER NOT NULL,
    slug     TEXT NOT NULL,
    type     TEXT NOT NULL,
    day      INTEGER NOT NULL,
    used     INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    PRIMARY KEY (version, group_id, slug, type)
) STRICT, WITHOUT ROWID;
