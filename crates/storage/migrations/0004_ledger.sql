-- Events, corrections, and a leaner ledger: what the calls of one caller on one route have in common is written once.

-- 0 is no price, and no lines. A PATCH at the root of a million groups writes none of these: thresholds are not in them.
CREATE TABLE terms (
    id                 INTEGER PRIMARY KEY,
    workspace          INTEGER NOT NULL,
    group_path         TEXT NOT NULL,       -- the calling group first, then its ancestors, as their ids are written
    external_entity_id TEXT NOT NULL,
    slug               TEXT NOT NULL,
    provider           TEXT NOT NULL,
    upstream_model     TEXT NOT NULL,
    price              INTEGER NOT NULL,    -- in entry_prices
    lines              INTEGER NOT NULL,    -- in entry_lines
    UNIQUE (group_path, slug, external_entity_id, workspace, provider, upstream_model, price, lines)
) STRICT;
INSERT INTO terms (workspace, group_path, external_entity_id, slug, provider, upstream_model, price, lines)
    SELECT DISTINCT workspace, group_path, external_entity_id, slug, provider, upstream_model, ifnull(price, 0),
        ifnull(lines, 0) FROM entries;

CREATE TABLE entries_2 (
    request_id           BLOB PRIMARY KEY,
    terms                INTEGER NOT NULL,
    admitted_ms          INTEGER NOT NULL,
    settled_ms           INTEGER NOT NULL,
    key_prefix           TEXT NOT NULL,
    route                TEXT NOT NULL,
    attempts             INTEGER NOT NULL,
    input_tokens         INTEGER NOT NULL,
    output_tokens        INTEGER NOT NULL,
    cached_tokens        INTEGER NOT NULL,
    cache_written_tokens INTEGER NOT NULL,
    usage_source         TEXT NOT NULL,
    outcome              TEXT NOT NULL,
    upstream_status      INTEGER,
    first_byte_ms        INTEGER,
    metadata             TEXT,              -- JSON
    user_id              TEXT,
    cost_nano_usd        INTEGER,           -- NULL where the route had no price
    sequence             INTEGER            -- of its event; NULL where nothing is billed
) STRICT, WITHOUT ROWID;

-- Billing events in the order in which they were written, without a gap in each workspace. Their time never decreases
-- with their sequence, so a time is found by halving, without an index.
CREATE TABLE events (
    workspace INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,
    line      BLOB NOT NULL,                -- the id of an entry, or of a correction
    terms     INTEGER NOT NULL,             -- those of the entry, also where it is corrected
    corrects  INTEGER NOT NULL,             -- 1: a correction
    PRIMARY KEY (workspace, sequence)
) STRICT, WITHOUT ROWID;
-- The last event of each workspace, also when it has been pruned.
CREATE TABLE sequences (
    workspace INTEGER PRIMARY KEY,
    sequence  INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL
) STRICT;

-- What was billed before there were events is billed in the order in which it ended.
INSERT INTO events (workspace, sequence, at_ms, line, terms, corrects)
    SELECT e.workspace, row_number() OVER (PARTITION BY e.workspace ORDER BY e.settled_ms, e.request_id),
        e.settled_ms, e.request_id, t.id, 0
    FROM entries AS e JOIN terms AS t
        ON t.group_path = e.group_path AND t.slug = e.slug AND t.external_entity_id = e.external_entity_id
        AND t.workspace = e.workspace AND t.provider = e.provider AND t.upstream_model = e.upstream_model
        AND t.price = ifnull(e.price, 0) AND t.lines = ifnull(e.lines, 0)
    WHERE e.input_tokens + e.output_tokens > 0 OR e.upstream_status BETWEEN 200 AND 299;
INSERT INTO sequences SELECT workspace, max(sequence), max(at_ms) FROM events GROUP BY workspace;
CREATE INDEX events_by_line ON events (line);
INSERT INTO entries_2
    SELECT e.request_id, t.id, e.admitted_ms, e.settled_ms, e.key_prefix, e.route, 1, e.input_tokens, e.output_tokens,
        e.cached_tokens, e.cache_written_tokens, e.usage_source, e.outcome, e.upstream_status, e.first_byte_ms,
        e.metadata, e.user_id, e.cost_nano_usd, (SELECT sequence FROM events WHERE line = e.request_id)
    FROM entries AS e JOIN terms AS t
        ON t.group_path = e.group_path AND t.slug = e.slug AND t.external_entity_id = e.external_entity_id
        AND t.workspace = e.workspace AND t.provider = e.provider AND t.upstream_model = e.upstream_model
        AND t.price = ifnull(e.price, 0) AND t.lines = ifnull(e.lines, 0);
DROP INDEX events_by_line;
DROP TABLE entries;
ALTER TABLE entries_2 RENAME TO entries;

-- Which stretches of events have any on these terms, so that whoever asks for the events of one group among millions
-- reads few others. A block is 4096 sequences.
CREATE TABLE event_blocks (
    terms INTEGER NOT NULL,
    block INTEGER NOT NULL,
    PRIMARY KEY (terms, block)
) STRICT, WITHOUT ROWID;
INSERT INTO event_blocks SELECT DISTINCT terms, sequence / 4096 FROM events;
CREATE INDEX terms_by_external_id ON terms (workspace, external_entity_id);

-- A correction is a line of its own that names the one it corrects, with signed differences. It changes bills and sums,
-- and no counter.
CREATE TABLE corrections (
    id            BLOB PRIMARY KEY,
    corrects      BLOB NOT NULL,
    key_prefix    TEXT NOT NULL,            -- as that of the entry, which may be pruned before
    usage_source  TEXT NOT NULL,
    at_ms         INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER,                  -- NULL where the entry has no cost
    reason        TEXT NOT NULL,
    sequence      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX corrections_by_entry ON corrections (corrects);

-- The hour before the rest: a month of one group lies in one place.
CREATE TABLE rollups_2 (
    group_id      INTEGER NOT NULL,
    hour          INTEGER NOT NULL,         -- since 1970 UTC, by the time of settlement
    slug          TEXT NOT NULL,
    key_prefix    TEXT NOT NULL,
    provider      TEXT NOT NULL,
    requests      INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (group_id, hour, slug, key_prefix, provider)
) STRICT, WITHOUT ROWID;
INSERT INTO rollups_2 SELECT group_id, hour, slug, key_prefix, provider, requests, input_tokens, output_tokens,
    cached_tokens, cost_nano_usd FROM rollups;
DROP TABLE rollups;
ALTER TABLE rollups_2 RENAME TO rollups;

-- The same for what lies below a group, so that a subtree of a million groups is read like a group.
CREATE TABLE subtree_rollups (
    group_id      INTEGER NOT NULL,         -- an ancestor of the calling group
    hour          INTEGER NOT NULL,
    slug          TEXT NOT NULL,
    provider      TEXT NOT NULL,
    requests      INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (group_id, hour, slug, provider)
) STRICT, WITHOUT ROWID;
-- The latest settlement that is not in them.
INSERT INTO config (name, value)
    SELECT 'not_summed_below_ms', max(settled_ms) FROM entries HAVING max(settled_ms) IS NOT NULL;

-- Refused calls, counted apart: there are no lines that they could be counted from again.
CREATE TABLE refusals (
    group_id INTEGER NOT NULL,
    below    INTEGER NOT NULL,              -- 0: the group's own calls; 1: those of what lies below it
    hour     INTEGER NOT NULL,
    slug     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (group_id, below, hour, slug, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX refusals_by_hour ON refusals (hour);

-- Who lies below a group, also those that were deleted.
CREATE INDEX groups_by_parent ON groups (parent) WHERE parent IS NOT NULL;
-- Since when what is charged to a line counts: written when the line is made, and when its duration is edited. Without
-- one of its present period, a line counts from where that begins.
CREATE TABLE line_spans (
    line     BLOB NOT NULL,
    meter    TEXT NOT NULL,
    version  INTEGER NOT NULL,              -- the edit
    made     INTEGER NOT NULL,              -- 1: the line is new; earlier openings and resets are not its own
    made_ms  INTEGER NOT NULL,              -- calls that were admitted before are not its own
    start_ms INTEGER NOT NULL,              -- of the period that it went on in
    since_ms INTEGER NOT NULL,              -- charges before are in no sum of that period
    PRIMARY KEY (line, meter, version)
) STRICT, WITHOUT ROWID;
