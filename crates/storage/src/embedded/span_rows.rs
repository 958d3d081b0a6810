//! Since when what is charged to a line counts, where that is not where its present period begins.
//!
//! Written by edits, read at a start and by whoever adds the ledger up again.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use domain::Version;

use super::fields::{count, read_count};
use crate::line_use::{LineKey, Spent};

/// Why a line counts from another moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is new.
    Made,
    /// Its duration was edited: what it has used counts for the present one of other periods.
    Moved,
}

/// The last such edit of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// Calls that were admitted before, in milliseconds since 1970 UTC, are not its own.
    pub(crate) made_ms: u64,
    /// Of the period that it went on in.
    start_ms: u64,
    /// Charges before are in no sum of that period.
    since_ms: u64,
}

impl Span {
    /// From when charges count in the period that begins at `start_ms`.
    pub(crate) fn since(&self, start_ms: u64) -> u64 {
        if start_ms == self.start_ms { self.since_ms } else { start_ms }
    }
}

/// Writes that an edit gave a line this beginning.
pub(crate) fn write(
    tx: &Transaction<'_>,
    ((line, meter), version): (LineKey, Version),
    cause: Cause,
    spent: &Spent,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO line_spans (line, meter, version, made, made_ms, start_ms, since_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values = params![
        line.as_bytes(),
        meter.word(),
        count(version.0),
        cause == Cause::Made,
        count(spent.made_ms),
        count(spent.start_ms),
        count(spent.since_ms),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

/// The last one of a line; none of a line that is older than these records.
pub(crate) fn latest(reader: &Connection, (line, meter): LineKey) -> rusqlite::Result<Option<Span>> {
    let sql = "SELECT made_ms, start_ms, since_ms FROM line_spans WHERE line = ?1 AND meter = ?2
               ORDER BY version DESC LIMIT 1";
    let mut ask = reader.prepare_cached(sql)?;
    let span = |row: &rusqlite::Row<'_>| {
        Ok(Span {
            made_ms: read_count(row, "made_ms")?,
            start_ms: read_count(row, "start_ms")?,
            since_ms: read_count(row, "since_ms")?,
        })
    };
    ask.query_row(params![line.as_bytes(), meter.word()], span).optional()
}

/// The edit that made a line; the first of all, for one that is older than these records. Openings and resets before
/// it are those of another line of the same id.
pub(crate) fn made_by(reader: &Connection, (line, meter): LineKey) -> rusqlite::Result<Version> {
    let sql =
        "SELECT ifnull(max(version), 0) AS made FROM line_spans WHERE line = ?1 AND meter = ?2 AND made = 1";
    let mut ask = reader.prepare_cached(sql)?;
    ask.query_row(params![line.as_bytes(), meter.word()], |row| read_count(row, "made")).map(Version)
}
