//! The ledger as rows: entries, the sums they change, and openings.
//!
//! Sums are added up in memory for a whole batch first, so a busy group costs one row per batch, not one per call.

use std::collections::HashMap;

use domain::{Day, Entry, GroupId, LimitType, Slug, Version};
use rusqlite::{Connection, Transaction, params};

use super::fields::{count, id};
use crate::today::{Use, UseKey, UseScope};

const HOUR_MS: u64 = 3_600_000;

/// Sums of the calling group's entries of one hour.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RollupKey {
    group: GroupId,
    slug: Slug,
    key_prefix: std::sync::Arc<str>,
    provider: &'static str,
    hour: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rollup {
    requests: u64,
    input: u64,
    output: u64,
    cached: u64,
}

/// What a batch adds.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) day_use: HashMap<UseKey, Use, foldhash::fast::RandomState>,
    rollups: HashMap<RollupKey, Rollup, foldhash::fast::RandomState>,
    latest_ms: u64,
}

/// What a newly declared DAY limit starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) version: Version,
    pub(crate) group: GroupId,
    pub(crate) slug: Slug,
    pub(crate) kind: LimitType,
    pub(crate) day: Day,
    pub(crate) used: u64,
    pub(crate) at_ms: u64,
}

/// Writes entries and what they add to the sums. An entry that is there already adds nothing.
pub(crate) fn write(tx: &Transaction<'_>, entries: &[Entry]) -> rusqlite::Result<Sums> {
    let mut sums = Sums::default();
    for entry in entries {
        if insert(tx, entry)? == 1 {
            sums.add(entry);
        }
    }
    for (key, used) in &sums.day_use {
        add_day_use(tx, key, *used)?;
    }
    for (key, rollup) in &sums.rollups {
        add_rollup(tx, key, *rollup)?;
    }
    raise_last_recorded(tx, sums.latest_ms)?;
    Ok(sums)
}

/// Writes an opening.
pub(crate) fn write_opening(tx: &Transaction<'_>, opening: &Opening) -> rusqlite::Result<()> {
    let Opening { version, group, slug, kind, day, used, at_ms } = opening;
    let sql = "INSERT INTO openings (version, group_id, slug, type, day, used, at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values = params![
        count(version.0),
        id(group.0),
        slug.as_str(),
        kind.name(),
        day.0,
        count(*used),
        count(*at_ms),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// Whether a group ever used a slug.
pub(crate) fn ever_used(
    reader: &Connection,
    group: GroupId,
    scope: UseScope,
    slug: &Slug,
) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM day_use WHERE group_id = ?1 AND scope = ?2 AND slug = ?3)";
    let mut ask = reader.prepare_cached(sql)?;
    ask.query_row(params![id(group.0), scope.name(), slug.as_str()], |row| row.get(0))
}

impl UseScope {
    /// The word in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Subtree => "subtree",
        }
    }
}

impl Sums {
    fn add(&mut self, entry: &Entry) {
        self.latest_ms = self.latest_ms.max(entry.settled_ms);
        let Some(caller) = entry.group() else { return };
        self.add_day_use(caller, UseScope::Own, entry);
        for group in entry.groups.iter() {
            self.add_day_use(*group, UseScope::Subtree, entry);
        }
        let key = RollupKey {
            group: caller,
            slug: entry.slug.clone(),
            key_prefix: entry.key_prefix.clone(),
            provider: entry.provider,
            hour: entry.settled_ms / HOUR_MS,
        };
        let rollup = self.rollups.entry(key).or_default();
        rollup.requests = rollup.requests.saturating_add(1);
        rollup.input = rollup.input.saturating_add(entry.usage.input);
        rollup.output = rollup.output.saturating_add(entry.usage.output);
        rollup.cached = rollup.cached.saturating_add(entry.usage.cached);
    }

    /// The request belongs to the day of admission, the tokens to that of settlement.
    fn add_day_use(&mut self, group: GroupId, scope: UseScope, entry: &Entry) {
        let mut add = |at_ms, more| {
            let key = UseKey { group, scope, slug: entry.slug.clone(), day: Day::of(at_ms) };
            let used = self.day_use.entry(key).or_default();
            *used = used.plus(more);
        };
        add(entry.admitted_ms, Use { requests: 1, tokens: 0 });
        add(entry.settled_ms, Use { requests: 0, tokens: entry.usage.total() });
    }
}

fn insert(tx: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<usize> {
    let Entry {
        request_id,
        admitted_ms,
        settled_ms,
        workspace,
        groups,
        external_entity_id,
        key_prefix,
        slug,
        provider,
        upstream_model,
        route,
        usage,
        outcome,
        upstream_status,
        first_byte_ms,
        metadata,
    } = entry;
    let sql = "INSERT OR IGNORE INTO entries (request_id, admitted_ms, settled_ms, workspace, group_path,
                   external_entity_id, key_prefix, slug, provider, upstream_model, route, input_tokens,
                   output_tokens, cached_tokens, usage_source, outcome, upstream_status, first_byte_ms, metadata)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
    tx.prepare_cached(sql)?.execute(params![
        request_id.as_bytes(),
        count(*admitted_ms),
        count(*settled_ms),
        id(workspace.0),
        written_path(groups),
        external_entity_id,
        key_prefix,
        slug.as_str(),
        provider,
        upstream_model,
        route,
        count(usage.input),
        count(usage.output),
        count(usage.cached),
        usage.source.name(),
        outcome.name(),
        upstream_status,
        first_byte_ms.map(count),
        metadata,
    ])
}

fn written_path(groups: &[GroupId]) -> String {
    let ids: Vec<String> = groups.iter().map(GroupId::to_string).collect();
    ids.join("/")
}

/// Adds `more` to a column. SQLite would turn a sum that is too large into a floating-point number.
macro_rules! plus {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN ",
            $column,
            " > 9223372036854775807 - excluded.",
            $column,
            " THEN 9223372036854775807 ELSE ",
            $column,
            " + excluded.",
            $column,
            " END"
        )
    };
}

fn add_day_use(tx: &Transaction<'_>, key: &UseKey, used: Use) -> rusqlite::Result<()> {
    let UseKey { group, scope, slug, day } = key;
    let Use { requests, tokens } = used;
    let sql = concat!(
        "INSERT INTO day_use (group_id, scope, slug, day, requests, tokens) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET ",
        plus!("requests"),
        ", ",
        plus!("tokens")
    );
    let values = params![id(group.0), scope.name(), slug.as_str(), day.0, count(requests), count(tokens)];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn add_rollup(tx: &Transaction<'_>, key: &RollupKey, rollup: Rollup) -> rusqlite::Result<()> {
    let RollupKey { group, slug, key_prefix, provider, hour } = key;
    let Rollup { requests, input, output, cached } = rollup;
    let sql = concat!(
        "INSERT INTO rollups (group_id, slug, key_prefix, provider, hour, requests, input_tokens, output_tokens,
             cached_tokens)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET ",
        plus!("requests"),
        ", ",
        plus!("input_tokens"),
        ", ",
        plus!("output_tokens"),
        ", ",
        plus!("cached_tokens")
    );
    let values = params![
        id(group.0),
        slug.as_str(),
        key_prefix,
        provider,
        count(*hour),
        count(requests),
        count(input),
        count(output),
        count(cached),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn raise_last_recorded(tx: &Transaction<'_>, latest_ms: u64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO config VALUES ('last_recorded_ms', ?1)
               ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";
    tx.prepare_cached(sql)?.execute([count(latest_ms)]).map(drop)
}
