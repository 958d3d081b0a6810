//! Sums by the hour, of a group's own calls and of what lies below it.
//!
//! They are added up in memory for a whole batch first, so a busy group costs one row per batch, not one per call.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use domain::{Entry, GroupId, Slug};
use rusqlite::{OptionalExtension, Row, ToSql, Transaction, params};

use super::entry_rows::LedgerLine;
use super::fields::{count, id, plus};
use crate::corrections::BillChange;

/// An hour in milliseconds.
pub(crate) const HOUR_MS: u64 = 3_600_000;

/// A row of the calling group's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OwnKey {
    group: GroupId,
    hour: u64,
    slug: Slug,
    key_prefix: Arc<str>,
    provider: Cow<'static, str>,
}

/// A row of one of its ancestors.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct BelowKey {
    group: GroupId,
    hour: u64,
    slug: Slug,
    provider: Cow<'static, str>,
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
pub(crate) struct Rollups {
    own: HashMap<OwnKey, Rollup, foldhash::fast::RandomState>,
    below: HashMap<BelowKey, Rollup, foldhash::fast::RandomState>,
}

impl Rollups {
    pub(crate) fn add(&mut self, entry: &Entry) {
        let [caller, ancestors @ ..] = &*entry.terms.groups else { return };
        let hour = entry.settled.wall_ms / HOUR_MS;
        let (slug, provider) = (&entry.terms.slug, &entry.terms.provider);
        let own = OwnKey {
            group: *caller,
            hour,
            slug: slug.clone(),
            key_prefix: Arc::clone(&entry.key_prefix),
            provider: provider.clone(),
        };
        self.own.entry(own).or_default().add(entry);
        for group in ancestors {
            let below = BelowKey { group: *group, hour, slug: slug.clone(), provider: provider.clone() };
            self.below.entry(below).or_default().add(entry);
        }
    }
}

impl Rollup {
    fn add(&mut self, entry: &Entry) {
        self.requests = self.requests.saturating_add(1);
        self.input = self.input.saturating_add(entry.usage.input);
        self.output = self.output.saturating_add(entry.usage.output);
        self.cached = self.cached.saturating_add(entry.usage.cached);
        self.cost_nano_usd = self.cost_nano_usd.saturating_add(entry.cost.unwrap_or_default().0);
    }
}

/// Adds what a batch came to.
pub(crate) fn write(tx: &Transaction<'_>, rollups: &Rollups) -> rusqlite::Result<()> {
    for (key, rollup) in &rollups.own {
        add_own(tx, key, *rollup)?;
    }
    for (key, rollup) in &rollups.below {
        add_below(tx, key, *rollup)?;
    }
    Ok(())
}

/// What is added where a row is there already.
macro_rules! sums {
    () => {
        concat!(
            " ON CONFLICT DO UPDATE SET ",
            plus!("requests"),
            ", ",
            plus!("input_tokens"),
            ", ",
            plus!("output_tokens"),
            ", ",
            plus!("cached_tokens"),
            ", ",
            plus!("cost_nano_usd")
        )
    };
}

fn add_own(tx: &Transaction<'_>, key: &OwnKey, rollup: Rollup) -> rusqlite::Result<()> {
    let OwnKey { group, hour, slug, key_prefix, provider } = key;
    let Rollup { requests, input, output, cached, cost_nano_usd } = rollup;
    let sql = concat!(
        "INSERT INTO rollups (group_id, hour, slug, key_prefix, provider, requests, input_tokens, output_tokens,
             cached_tokens, cost_nano_usd)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        sums!()
    );
    let values = params![
        id(group.0),
        count(*hour),
        slug.as_str(),
        key_prefix,
        provider,
        count(requests),
        count(input),
        count(output),
        count(cached),
        count(cost_nano_usd),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn add_below(tx: &Transaction<'_>, key: &BelowKey, rollup: Rollup) -> rusqlite::Result<()> {
    let BelowKey { group, hour, slug, provider } = key;
    let Rollup { requests, input, output, cached, cost_nano_usd } = rollup;
    let sql = concat!(
        "INSERT INTO subtree_rollups (group_id, hour, slug, provider, requests, input_tokens, output_tokens,
             cached_tokens, cost_nano_usd)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        sums!()
    );
    let values = params![
        id(group.0),
        count(*hour),
        slug.as_str(),
        provider,
        count(requests),
        count(input),
        count(output),
        count(cached),
        count(cost_nano_usd),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// Changes the sums of a call by a correction, in the hour of the call. They hold at least what the call came to, and that
/// is never corrected below zero; a sum that was too large to count stays where it is, or goes down from there.
pub(crate) fn correct(tx: &Transaction<'_>, line: &LedgerLine, change: BillChange) -> rusqlite::Result<()> {
    let [caller, ancestors @ ..] = &*line.groups else { return Ok(()) };
    let hour = count(line.settled_ms / HOUR_MS);
    let own = "rollups WHERE group_id = ?1 AND hour = ?2 AND slug = ?3 AND provider = ?4 AND key_prefix = ?5";
    let of = (id(caller.0), hour, line.slug.as_str(), &line.provider, &line.key_prefix);
    change_sums(tx, own, &[&of.0, &of.1, &of.2, &of.3, &of.4], change)?;
    for group in ancestors {
        let below = "subtree_rollups WHERE group_id = ?1 AND hour = ?2 AND slug = ?3 AND provider = ?4";
        change_sums(tx, below, &[&id(group.0), &of.1, &of.2, &of.3], change)?;
    }
    Ok(())
}

fn change_sums(
    tx: &Transaction<'_>,
    row: &str,
    key: &[&dyn ToSql],
    change: BillChange,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT input_tokens, output_tokens, cost_nano_usd FROM {row}");
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Option<(i64, i64, i64)> = tx.prepare_cached(&sql)?.query_row(key, read).optional()?;
    // Sums of what lies below a group are not kept from before they were introduced.
    let Some((input, output, cost)) = found else { return Ok(()) };
    let changed = |sum: i64, by: i64| sum.saturating_add(by).max(0);
    let (table, of) = row.split_once(' ').unwrap_or((row, ""));
    let set = key.len();
    let sql = format!(
        "UPDATE {table} SET input_tokens = ?{}, output_tokens = ?{}, cost_nano_usd = ?{} {of}",
        set + 1,
        set + 2,
        set + 3
    );
    let cost = changed(cost, change.cost.unwrap_or_default().0);
    let (input, output) = (changed(input, change.input), changed(output, change.output));
    let values: Vec<&dyn ToSql> = key.iter().copied().chain([&input as &dyn ToSql, &output, &cost]).collect();
    tx.prepare_cached(&sql)?.execute(&*values).map(drop)
}
