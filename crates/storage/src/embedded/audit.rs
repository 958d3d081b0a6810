//! The ledger added up again from its records, and held against every sum that is kept.
//!
//! Everything is read in one transaction, so entries that are written meanwhile change nothing, and nothing waits for
//! this. What is too large for memory is sorted on the disk, in SQLite's temporary files.
//!
//! Guarantees: changes nothing; memory does not grow with the ledger.
//! Knows nothing of: counters, which `crate::audit` looks at.
//! Begins at [`run`].

/// The sum of a column, at most what a column can hold: SQLite's own sum fails where it passes that.
macro_rules! total {
    ($column:literal) => {
        concat!(
            "CASE WHEN sum(",
            $column,
            " >> 32) + (sum(",
            $column,
            " & 4294967295) >> 32) >= 2147483648 THEN 9223372036854775807 ELSE (sum(",
            $column,
            " >> 32) << 32) + sum(",
            $column,
            " & 4294967295) END"
        )
    };
}

mod events;
mod fold;
mod lines;
mod sums;

use domain::Snapshot;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::audit::Audit;

/// Pages kept in memory while sorting, in KiB.
const CACHE_KIB: i64 = 32_768;

/// Adds everything up, by the configuration on the disk.
pub(crate) fn run(reader: &mut Connection, audit: &mut Audit) -> rusqlite::Result<()> {
    reader.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // On the disk, whatever SQLite was built with.
    reader.pragma_update(None, "temp_store", "FILE")?;
    let tx = reader.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let snapshot: Snapshot = super::load::outline(&tx)?;
    let pruned_ms = said(&tx, "pruned_ms")?;
    audit.entries = fold::fold(&tx)?;
    sums::compare(&tx, pruned_ms, audit)?;
    let set_back_ms = events::compare(&tx, pruned_ms, audit)?;
    lines::compare(&tx, &snapshot, set_back_ms, audit)?;
    fold::drop_folded(&tx)?;
    // Nothing was written but temporary tables, which go with the connection.
    tx.finish()
}

/// A time that the store remembers. `pruned_ms` is the latest settlement among the entries that were pruned,
/// `not_summed_below_ms` that among those from before there were sums of what lies below a group: sums of such a time and
/// before cannot be recomputed.
fn said(reader: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    reader.query_row("SELECT value FROM config WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// A time as people read it.
fn time(reader: &Connection, ms: i64) -> String {
    let sql = "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', ?1, 'unixepoch')";
    let read: rusqlite::Result<Option<String>> = reader.query_row(sql, [ms / 1_000], |row| row.get(0));
    read.ok().flatten().unwrap_or_else(|| format!("{ms} ms"))
}
