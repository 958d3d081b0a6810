//! Sums by the hour, of a group's own calls and of what lies below it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Slug;
use rusqlite::{OptionalExtension, Row, ToSql, Transaction, params};

use super::entry_rows::LedgerLine;
use super::fields::{count, id, plus};
use super::folds::{Fold, FoldKey, Rollup};
use crate::corrections::BillChange;

/// An hour in milliseconds.
pub(crate) const HOUR_MS: u64 = 3_600_000;

/// A row of the calling group's own: group, hour, slug, key, provider.
type OwnKey = (i64, i64, Slug, Arc<str>, Cow<'static, str>);
/// A row of one of its ancestors: group, hour, slug, provider.
type BelowKey = (i64, i64, Slug, Cow<'static, str>);

/// Rows of both tables in their order.
#[derive(Debug, Default)]
pub(crate) struct RollupRows {
    own: BTreeMap<OwnKey, Rollup>,
    below: BTreeMap<BelowKey, Rollup>,
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

impl RollupRows {
    pub(crate) fn add(&mut self, key: &FoldKey, fold: &Fold) {
        let [caller, ancestors @ ..] = &*fold.terms.groups else { return };
        let (slug, provider, hour) = (&fold.terms.slug, &fold.terms.provider, count(key.hour));
        let own = (id(caller.0), hour, slug.clone(), Arc::clone(&key.key_prefix), provider.clone());
        let sums = self.own.entry(own).or_default();
        *sums = sums.plus(fold.sums);
        for group in ancestors {
            let below = (id(group.0), hour, slug.clone(), provider.clone());
            let sums = self.below.entry(below).or_default();
            *sums = sums.plus(fold.sums);
        }
    }

    /// Adds them to what is there.
    pub(crate) fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        self.write_own(tx)?;
        self.write_below(tx)
    }

    fn write_own(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = concat!(
            "INSERT INTO rollups (group_id, hour, slug, key_prefix, provider, requests, input_tokens, output_tokens,
                 cached_tokens, cost_nano_usd)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            sums!()
        );
        let mut add = tx.prepare_cached(sql)?;
        for ((group, hour, slug, key_prefix, provider), sums) in &self.own {
            let [requests, input, output, cached, cost] = columns(*sums);
            let slug = slug.as_str();
            add.execute(params![
                group, hour, slug, key_prefix, provider, requests, input, output, cached, cost
            ])?;
        }
        Ok(())
    }

    fn write_below(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = concat!(
            "INSERT INTO subtree_rollups (group_id, hour, slug, provider, requests, input_tokens, output_tokens,
                 cached_tokens, cost_nano_usd)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            sums!()
        );
        let mut add = tx.prepare_cached(sql)?;
        for ((group, hour, slug, provider), sums) in &self.below {
            let [requests, input, output, cached, cost] = columns(*sums);
            let slug = slug.as_str();
            add.execute(params![group, hour, slug, provider, requests, input, output, cached, cost])?;
        }
        Ok(())
    }
}

/// Requests, tokens read, written, and found in caches, cost.
fn columns(sums: Rollup) -> [i64; 5] {
    let Rollup { requests, input, output, cached, cost_nano_usd } = sums;
    [count(requests), count(input), count(output), count(cached), count(cost_nano_usd)]
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
