//! Billing events as rows: which line each tells of, and its place in the order of its workspace.
//!
//! Guarantees: sequences have no gap; the time of an event is never before that of the one before it.

use std::collections::{HashMap, HashSet};

use domain::{RequestId, WorkspaceId};
use rusqlite::{OptionalExtension, Transaction, params};

use super::fields::{count, id, read_count};

/// The place of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) sequence: u64,
    /// Milliseconds since 1970 UTC.
    pub(crate) at_ms: u64,
}

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tells {
    Entry,
    Correction,
}

/// Sequences in one block.
pub(crate) const BLOCK: u64 = 4_096;

/// The last event of each workspace that a transaction has met, and the blocks that it has noted.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    last: HashMap<WorkspaceId, Place, foldhash::fast::RandomState>,
    blocks: HashSet<(i64, u64), foldhash::fast::RandomState>,
}

impl Sequences {
    /// The place of the next event, which tells of something at this time. It is free until it is taken.
    pub(crate) fn next(
        &mut self,
        tx: &Transaction<'_>,
        workspace: WorkspaceId,
        at_ms: u64,
    ) -> rusqlite::Result<Place> {
        let last = match self.last.get(&workspace) {
            Some(last) => *last,
            None => last(tx, workspace)?,
        };
        Ok(Place { sequence: last.sequence.saturating_add(1), at_ms: last.at_ms.max(at_ms) })
    }

    /// Writes an event in its place: the line that it tells of, and where the terms of that stand.
    pub(crate) fn take(
        &mut self,
        tx: &Transaction<'_>,
        workspace: WorkspaceId,
        place: Place,
        (line, terms, tells): (&RequestId, i64, Tells),
    ) -> rusqlite::Result<()> {
        write(tx, workspace, place, (line, terms, tells))?;
        let block = place.sequence / BLOCK;
        if self.blocks.insert((terms, block)) {
            let sql = "INSERT OR IGNORE INTO event_blocks (terms, block) VALUES (?1, ?2)";
            tx.prepare_cached(sql)?.execute([terms, count(block)])?;
        }
        self.last.insert(workspace, place);
        Ok(())
    }

    /// Writes how far it has come.
    pub(crate) fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = "INSERT INTO sequences (workspace, sequence, at_ms) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO UPDATE SET sequence = excluded.sequence, at_ms = excluded.at_ms";
        for (workspace, Place { sequence, at_ms }) in &self.last {
            let values = params![id(workspace.0), count(*sequence), count(*at_ms)];
            tx.prepare_cached(sql)?.execute(values)?;
        }
        Ok(())
    }
}

fn write(
    tx: &Transaction<'_>,
    workspace: WorkspaceId,
    Place { sequence, at_ms }: Place,
    (line, terms, tells): (&RequestId, i64, Tells),
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events (workspace, sequence, at_ms, line, terms, corrects) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![
        id(workspace.0),
        count(sequence),
        count(at_ms),
        line.as_bytes(),
        terms,
        tells == Tells::Correction
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn last(tx: &Transaction<'_>, workspace: WorkspaceId) -> rusqlite::Result<Place> {
    let sql = "SELECT sequence, at_ms FROM sequences WHERE workspace = ?1";
    let mut ask = tx.prepare_cached(sql)?;
    let place = |row: &rusqlite::Row<'_>| {
        Ok(Place { sequence: read_count(row, "sequence")?, at_ms: read_count(row, "at_ms")? })
    };
    Ok(ask.query_row([id(workspace.0)], place).optional()?.unwrap_or_default())
}
