//! The ledger as rows: entries, the sums they change, openings and resets.
//!
//! Sums are added up in memory for a whole batch first, so a busy group costs one row per batch, not one per call.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Day, Entry, GroupId, LimitType, Pricing, Slug, Version};
use rusqlite::{Connection, Transaction, params};

use super::fields::{count, id, json};
use crate::line_use::{Charge, LineKey, LineUse, Spent};
use crate::today::{Use, UseKey, UseScope};

const HOUR_MS: u64 = 3_600_000;

/// Sums of the calling group's entries of one hour.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RollupKey {
    group: GroupId,
    slug: Slug,
    key_prefix: Arc<str>,
    provider: &'static str,
    hour: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rollup {
    requests: u64,
    input: u64,
    output: u64,
    cached: u64,
    cost_nano_usd: u64,
}

/// What a batch adds.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) day_use: HashMap<UseKey, Use, foldhash::fast::RandomState>,
    /// The lines that were charged, as they stand then.
    pub(crate) lines: HashMap<LineKey, Spent, foldhash::fast::RandomState>,
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

/// What an edit does to the use of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineRecord {
    /// It is new and begins with what another has used.
    Opening,
    /// It forgets what it has used.
    Reset,
}

/// Writes entries and what they add to the sums. An entry that is there already adds nothing.
pub(crate) fn write(tx: &Transaction<'_>, entries: &[Entry], line_use: &LineUse) -> rusqlite::Result<Sums> {
    let mut sums = Sums::default();
    let mut terms = Terms::default();
    for entry in entries {
        if insert(tx, entry, &mut terms)? == 1 {
            sums.add(entry, line_use);
        }
    }
    for (key, spent) in &sums.lines {
        write_line_use(tx, *key, spent)?;
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

/// Writes what an edit does to the use of a line.
pub(crate) fn write_line_record(
    tx: &Transaction<'_>,
    record: LineRecord,
    (line, meter): LineKey,
    (version, used, at_ms): (Version, u64, u64),
) -> rusqlite::Result<()> {
    let sql = match record {
        LineRecord::Opening => {
            "INSERT INTO line_openings (version, line, meter, used, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)"
        }
        LineRecord::Reset => {
            "INSERT INTO line_resets (version, line, meter, used, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)"
        }
    };
    let values = params![count(version.0), line.as_bytes(), meter.word(), count(used), count(at_ms)];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// Writes what a line has used in the latest of its periods.
pub(crate) fn write_line_use(
    tx: &Transaction<'_>,
    (line, meter): LineKey,
    spent: &Spent,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO line_use (line, meter, start_ms, used) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET start_ms = excluded.start_ms, used = excluded.used";
    let values = params![line.as_bytes(), meter.word(), count(spent.start_ms), spent.used];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// Drops what a line has used: it is no more.
pub(crate) fn delete_line_use(tx: &Transaction<'_>, (line, meter): LineKey) -> rusqlite::Result<()> {
    let sql = "DELETE FROM line_use WHERE line = ?1 AND meter = ?2";
    tx.prepare_cached(sql)?.execute(params![line.as_bytes(), meter.word()]).map(drop)
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
    fn add(&mut self, entry: &Entry, line_use: &LineUse) {
        self.latest_ms = self.latest_ms.max(entry.settled_ms);
        self.add_lines(entry, line_use);
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
        rollup.cost_nano_usd = rollup.cost_nano_usd.saturating_add(entry.cost.unwrap_or_default().0);
    }

    /// A line that was removed since the call was admitted counts nothing any more.
    fn add_lines(&mut self, entry: &Entry, line_use: &LineUse) {
        for key in entry.lines.iter() {
            let known = self.lines.get(key).copied().or_else(|| line_use.get(*key));
            let Some(mut spent) = known else { continue };
            let (at_ms, amount) = entry.charge(key.1);
            let Entry { admitted_ms, settled_ms, .. } = *entry;
            spent.charge(Charge { admitted_ms, settled_ms, at_ms, amount: count(amount) });
            self.lines.insert(*key, spent);
        }
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

fn insert(tx: &Transaction<'_>, entry: &Entry, terms: &mut Terms) -> rusqlite::Result<usize> {
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
        user,
        cost,
        price,
        lines,
    } = entry;
    let sql = "INSERT OR IGNORE INTO entries (request_id, admitted_ms, settled_ms, workspace, group_path,
                   external_entity_id, key_prefix, slug, provider, upstream_model, route, input_tokens,
                   output_tokens, cached_tokens, usage_source, outcome, upstream_status, first_byte_ms, metadata,
                   cache_written_tokens, user_id, cost_nano_usd, price, lines)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
                   ?21, ?22, ?23, ?24)";
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
        count(usage.cache_written),
        user,
        cost.map(|cost| count(cost.0)),
        price.as_ref().map(|price| terms.price(tx, price)).transpose()?,
        terms.lines(tx, lines)?,
    ])
}

/// What a batch says again and again, written once: where it stands.
#[derive(Debug, Default)]
struct Terms {
    prices: Vec<(Arc<Pricing>, i64)>,
    lines: HashMap<Arc<[LineKey]>, i64, foldhash::fast::RandomState>,
}

impl Terms {
    fn price(&mut self, tx: &Transaction<'_>, price: &Arc<Pricing>) -> rusqlite::Result<i64> {
        if let Some((_, at)) = self.prices.iter().find(|(known, _)| Arc::ptr_eq(known, price)) {
            return Ok(*at);
        }
        let at = term(tx, Term::Price, &json(price)?)?;
        self.prices.push((Arc::clone(price), at));
        Ok(at)
    }

    fn lines(&mut self, tx: &Transaction<'_>, lines: &Arc<[LineKey]>) -> rusqlite::Result<Option<i64>> {
        if lines.is_empty() {
            return Ok(None);
        }
        if let Some(at) = self.lines.get(lines) {
            return Ok(Some(*at));
        }
        let words: Vec<String> =
            lines.iter().map(|(line, meter)| format!("{line}:{}", meter.word())).collect();
        let at = term(tx, Term::Lines, &words.join(" "))?;
        self.lines.insert(Arc::clone(lines), at);
        Ok(Some(at))
    }
}

#[derive(Debug, Clone, Copy)]
enum Term {
    Price,
    Lines,
}

/// Where a text stands in its table; it is written if it is not there.
fn term(tx: &Transaction<'_>, term: Term, text: &str) -> rusqlite::Result<i64> {
    let (insert, find) = match term {
        Term::Price => (
            "INSERT OR IGNORE INTO entry_prices (text) VALUES (?1)",
            "SELECT id FROM entry_prices WHERE text = ?1",
        ),
        Term::Lines => (
            "INSERT OR IGNORE INTO entry_lines (text) VALUES (?1)",
            "SELECT id FROM entry_lines WHERE text = ?1",
        ),
    };
    tx.prepare_cached(insert)?.execute([text])?;
    tx.prepare_cached(find)?.query_row([text], |row| row.get(0))
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
    let Rollup { requests, input, output, cached, cost_nano_usd } = rollup;
    let sql = concat!(
        "INSERT INTO rollups (group_id, slug, key_prefix, provider, hour, requests, input_tokens, output_tokens,
             cached_tokens, cost_nano_usd)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT DO UPDATE SET ",
        plus!("requests"),
        ", ",
        plus!("input_tokens"),
        ", ",
        plus!("output_tokens"),
        ", ",
        plus!("cached_tokens"),
        ", ",
        plus!("cost_nano_usd")
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
        count(cost_nano_usd),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn raise_last_recorded(tx: &Transaction<'_>, latest_ms: u64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO config VALUES ('last_recorded_ms', ?1)
               ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";
    tx.prepare_cached(sql)?.execute([count(latest_ms)]).map(drop)
}
