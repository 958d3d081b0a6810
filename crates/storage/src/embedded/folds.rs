//! Entries folded by what sums tell apart: those of one caller on the same terms, in one hour.
//!
//! A busy caller is one fold, and a fold becomes about a dozen rows only when it is written, so a call costs its sums
//! nearly nothing.
//!
//! Guarantees: what was added comes out, in whatever order.
//! Begins at [`Folds::add`] and [`write()`].

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Day, Entry, Terms};
use rusqlite::Transaction;

use super::day_rows::DayRows;
use super::rollup_rows::{HOUR_MS, RollupRows};
use crate::today::{Use, UseKey, UseScope};

/// Hours in a day.
const DAY_HOURS: u64 = 24;

/// What entries of one fold have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FoldKey {
    /// Where their terms stand.
    pub(crate) terms: i64,
    pub(crate) key_prefix: Arc<str>,
    /// The hour of settlement, since 1970 UTC.
    pub(crate) hour: u64,
    /// The day of admission.
    pub(crate) admitted: Day,
}

/// What they come to. Sums saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rollup {
    pub(crate) requests: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cached: u64,
    pub(crate) cost_nano_usd: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Fold {
    pub(crate) terms: Arc<Terms>,
    pub(crate) sums: Rollup,
}

/// Folds of any entries.
#[derive(Debug, Default)]
pub(crate) struct Folds(HashMap<FoldKey, Fold, foldhash::fast::RandomState>);

impl FoldKey {
    /// Where an entry belongs, whose terms stand there.
    pub(crate) fn of(entry: &Entry, terms: i64) -> Self {
        Self {
            terms,
            key_prefix: Arc::clone(&entry.key_prefix),
            hour: entry.settled.wall_ms / HOUR_MS,
            admitted: Day::of(entry.admitted.wall_ms),
        }
    }

    /// The day of settlement.
    pub(crate) fn settled(&self) -> Day {
        Day(u32::try_from(self.hour / DAY_HOURS).unwrap_or(u32::MAX))
    }
}

impl Rollup {
    /// One entry.
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            requests: 1,
            input: entry.usage.input,
            output: entry.usage.output,
            cached: entry.usage.cached,
            cost_nano_usd: entry.cost.unwrap_or_default().0,
        }
    }

    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            input: self.input.saturating_add(more.input),
            output: self.output.saturating_add(more.output),
            cached: self.cached.saturating_add(more.cached),
            cost_nano_usd: self.cost_nano_usd.saturating_add(more.cost_nano_usd),
        }
    }
}

impl Fold {
    /// What it adds to daily sums: its requests on the day of admission, its tokens on that of settlement.
    pub(crate) fn day_use(&self, key: &FoldKey) -> impl Iterator<Item = (UseKey, Use)> {
        let requests = Use { requests: self.sums.requests, tokens: 0 };
        let tokens = Use { requests: 0, tokens: self.sums.input.saturating_add(self.sums.output) };
        let (admitted, settled) = (key.admitted, key.settled());
        let on = if admitted == settled {
            [Some((admitted, requests.plus(tokens))), None]
        } else {
            [Some((admitted, requests)), Some((settled, tokens))]
        };
        let whose = self.terms.group().map(|caller| (caller, UseScope::Own)).into_iter();
        let whose = whose.chain(self.terms.groups.iter().map(|group| (*group, UseScope::Subtree)));
        whose.flat_map(move |(group, scope)| {
            let key = move |day| UseKey { group, scope, slug: self.terms.slug.clone(), day };
            on.into_iter().flatten().map(move |(day, used)| (key(day), used))
        })
    }
}

impl Folds {
    /// Adds what is folded already.
    pub(crate) fn add(&mut self, key: FoldKey, terms: &Arc<Terms>, sums: Rollup) {
        let fold =
            self.0.entry(key).or_insert_with(|| Fold { terms: Arc::clone(terms), sums: Rollup::default() });
        fold.sums = fold.sums.plus(sums);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FoldKey, &Fold)> {
        self.0.iter()
    }

    pub(crate) fn into_parts(self) -> impl Iterator<Item = (FoldKey, Fold)> {
        self.0.into_iter()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Adds folds to the sums on the disk, row by row in the order of their keys.
pub(crate) fn write(tx: &Transaction<'_>, folds: &Folds) -> rusqlite::Result<()> {
    let (mut days, mut hours) = (DayRows::default(), RollupRows::default());
    for (key, fold) in folds.iter() {
        days.add(key, fold);
        hours.add(key, fold);
    }
    days.write(tx)?;
    hours.write(tx)
}
