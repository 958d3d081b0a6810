//! Counts of refused calls as rows: of the calling group, and of everything above it.

use domain::GroupId;
use rusqlite::{Transaction, params};

use super::books::Books;
use super::fields::{count, id, plus};
use crate::refusals::{RefusalKey, Refusals};

/// Writes what was counted. What the disk refuses is written another time.
pub(crate) fn write(books: &mut Books, refusals: &Refusals) {
    let counts = refusals.take();
    let written = books.write(|tx| counts.iter().try_for_each(|(key, more)| add(tx, key, *more)));
    if let Err(error) = written {
        tracing::warn!(%error, "the counts of refused calls cannot be written");
        refusals.put_back(counts);
    }
}

fn add(tx: &Transaction<'_>, key: &RefusalKey, more: u64) -> rusqlite::Result<()> {
    for (level, group) in key.groups.iter().enumerate() {
        add_to(tx, (*group, level > 0), key, more)?;
    }
    Ok(())
}

fn add_to(
    tx: &Transaction<'_>,
    (group, below): (GroupId, bool),
    key: &RefusalKey,
    more: u64,
) -> rusqlite::Result<()> {
    let sql = concat!(
        "INSERT INTO refusals (group_id, below, hour, slug, kind, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET ",
        plus!("count")
    );
    let values = params![id(group.0), below, count(key.hour), key.slug.as_str(), key.kind, count(more)];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}
