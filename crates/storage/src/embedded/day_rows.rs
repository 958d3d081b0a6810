//! Sums by the day: what DAY counters are opened with.

use std::collections::BTreeMap;

use domain::{GroupId, Slug};
use rusqlite::{Connection, Transaction, params};

use super::fields::{count, id, plus};
use super::folds::{Fold, FoldKey};
use crate::today::{Use, UseKey, UseScope};

/// Rows of the table in its order: group, scope, slug, day.
#[derive(Debug, Default)]
pub(crate) struct DayRows(BTreeMap<(i64, &'static str, Slug, u32), Use>);

impl DayRows {
    pub(crate) fn add(&mut self, key: &FoldKey, fold: &Fold) {
        for (UseKey { group, scope, slug, day }, more) in fold.day_use(key) {
            let used = self.0.entry((id(group.0), scope.name(), slug, day.0)).or_default();
            *used = used.plus(more);
        }
    }

    /// Adds them to what is there.
    pub(crate) fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = concat!(
            "INSERT INTO day_use (group_id, scope, slug, day, requests, tokens) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET ",
            plus!("requests"),
            ", ",
            plus!("tokens")
        );
        let mut add = tx.prepare_cached(sql)?;
        for ((group, scope, slug, day), Use { requests, tokens }) in &self.0 {
            add.execute(params![group, scope, slug.as_str(), day, count(*requests), count(*tokens)])?;
        }
        Ok(())
    }
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
