-- Model configs, their use, prices, and what a call cost.

-- The end user whose calls a key makes.
ALTER TABLE keys ADD COLUMN user_id TEXT;

CREATE TABLE model_configs (
    id               BLOB PRIMARY KEY,
    workspace        INTEGER NOT NULL REFERENCES workspaces (id),
    serial           INTEGER NOT NULL,
    scope            TEXT NOT NULL,         -- 'global', 'virtual_key', 'user', 'group'
    scope_id         TEXT,
    model_name       TEXT NOT NULL,
    provider         TEXT,
    calendar_aligned INTEGER NOT NULL,
    budgets          TEXT NOT NULL,         -- JSON
    rate_limits      TEXT NOT NULL,         -- JSON
    created_ms       INTEGER NOT NULL,
    updated_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- NULLs never collide in an index, so what is absent stands as a text that nobody can send.
CREATE UNIQUE INDEX model_configs_by_identity
    ON model_configs (workspace, scope, ifnull(scope_id, char(0)), model_name, ifnull(provider, char(0)));

CREATE TABLE prices (
    source   TEXT NOT NULL,                 -- 'file', 'imported'
    provider TEXT NOT NULL,
    model    TEXT NOT NULL,
    pricing  TEXT NOT NULL,                 -- JSON
    PRIMARY KEY (source, provider, model)
) STRICT, WITHOUT ROWID;

-- What each line of a config has used in the latest of its periods: what its counter is opened with. Requests and
-- tokens, or nano-dollars.
CREATE TABLE line_use (
    line     BLOB NOT NULL,
    meter    TEXT NOT NULL,                 -- 'requests', 'tokens', 'usd'
    start_ms INTEGER NOT NULL,              -- of the period
    used     INTEGER NOT NULL,
    PRIMARY KEY (line, meter)
) STRICT, WITHOUT ROWID;

-- What a new line began with, and what an operator let a line forget.
CREATE TABLE line_openings (
    version INTEGER NOT NULL,               -- the edit that made the line
    line    BLOB NOT NULL,
    meter   TEXT NOT NULL,
    used    INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (version, line, meter)
) STRICT, WITHOUT ROWID;
CREATE TABLE line_resets (
    version INTEGER NOT NULL,
    line    BLOB NOT NULL,
    meter   TEXT NOT NULL,
    used    INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (version, line, meter)
) STRICT, WITHOUT ROWID;

-- What many entries say alike is written once.
CREATE TABLE entry_prices (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE               -- JSON
) STRICT;
CREATE TABLE entry_lines (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE               -- `line:meter`, with spaces between them
) STRICT;

ALTER TABLE entries ADD COLUMN cache_written_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN user_id TEXT;
-- NULL where the route had no price.
ALTER TABLE entries ADD COLUMN cost_nano_usd INTEGER;
ALTER TABLE entries ADD COLUMN price INTEGER REFERENCES entry_prices (id);
ALTER TABLE entries ADD COLUMN lines INTEGER REFERENCES entry_lines (id);
ALTER TABLE rollups ADD COLUMN cost_nano_usd INTEGER NOT NULL DEFAULT 0;
