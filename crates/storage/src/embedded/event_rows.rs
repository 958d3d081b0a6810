//! Billing events as rows: which line each tells of, and its place in the order of its workspace.
//!
//! Guarantees: sequences have no gap; the time of an event is never before that of the one before it.

use std::collections::HashMap;
use std::slice;
use std::sync::LazyLock;

use domain::{RequestId, WorkspaceId};
use rusqlite::{CachedStatement, OptionalExtension, Statement, Transaction, params};

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

/// Terms whose last block is remembered, about 2 MB of them. Past this all are forgotten.
const KNOWN_MAX: usize = 65_536;

/// The last block that was noted of terms.
#[derive(Debug, Default)]
pub(crate) struct Blocks(HashMap<i64, u64, foldhash::fast::RandomState>);

/// The last event of each workspace that a transaction has met, and what events are written with.
pub(crate) struct Sequences<'tx> {
    tx: &'tx Transaction<'tx>,
    last: HashMap<WorkspaceId, Place, foldhash::fast::RandomState>,
    blocks: &'tx mut Blocks,
    /// Events that are not written yet, fewer than [`AT_ONCE`].
    waiting: Vec<Event>,
    insert: CachedStatement<'tx>,
}

/// A row.
#[derive(Debug, Clone, Copy)]
struct Event {
    workspace: WorkspaceId,
    place: Place,
    line: RequestId,
    terms: i64,
    tells: Tells,
}

/// Rows of one statement: finding the end of the table and running a statement cost more than a row does.
const AT_ONCE: usize = 16;
const COLUMNS: usize = 6;
/// One row follows another, so a conflict is a fault: what it leaves is rolled back with all of the batch.
const INSERT: &str = "INSERT OR FAIL INTO events (workspace, sequence, at_ms, line, terms, corrects) VALUES ";

impl Blocks {
    /// What was noted may be rolled back, or taken out by retention.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// Whether a block of these terms has to be noted.
    fn is_new(&mut self, terms: i64, block: u64) -> bool {
        if self.0.len() >= KNOWN_MAX {
            self.forget();
        }
        self.0.insert(terms, block) != Some(block)
    }
}

impl<'tx> Sequences<'tx> {
    pub(crate) fn begin(tx: &'tx Transaction<'tx>, blocks: &'tx mut Blocks) -> rusqlite::Result<Self> {
        static MANY: LazyLock<String> = LazyLock::new(|| rows(AT_ONCE));
        let (last, waiting) = (HashMap::default(), Vec::with_capacity(AT_ONCE));
        Ok(Self { tx, last, blocks, waiting, insert: tx.prepare_cached(&MANY)? })
    }

    /// The place of the next event, which tells of something at this time. It is free until it is taken.
    pub(crate) fn next(&mut self, workspace: WorkspaceId, at_ms: u64) -> rusqlite::Result<Place> {
        let last = match self.last.get(&workspace) {
            Some(last) => *last,
            None => last(self.tx, workspace)?,
        };
        Ok(Place { sequence: last.sequence.saturating_add(1), at_ms: last.at_ms.max(at_ms) })
    }

    /// Writes an event in its place: the line that it tells of, and where the terms of that stand.
    pub(crate) fn take(
        &mut self,
        workspace: WorkspaceId,
        place: Place,
        (line, terms, tells): (&RequestId, i64, Tells),
    ) -> rusqlite::Result<()> {
        self.waiting.push(Event { workspace, place, line: *line, terms, tells });
        if self.waiting.len() == AT_ONCE {
            insert(&mut self.insert, &self.waiting)?;
            self.waiting.clear();
        }
        let block = place.sequence / BLOCK;
        if self.blocks.is_new(terms, block) {
            let sql = "INSERT OR IGNORE INTO event_blocks (terms, block) VALUES (?1, ?2)";
            self.tx.prepare_cached(sql)?.execute([terms, count(block)])?;
        }
        self.last.insert(workspace, place);
        Ok(())
    }

    /// Writes what waits, and how far it has come.
    pub(crate) fn write(self) -> rusqlite::Result<()> {
        let mut one = self.tx.prepare_cached(&rows(1))?;
        self.waiting.iter().try_for_each(|event| insert(&mut one, slice::from_ref(event)))?;
        let sql = "INSERT INTO sequences (workspace, sequence, at_ms) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO UPDATE SET sequence = excluded.sequence, at_ms = excluded.at_ms";
        for (workspace, Place { sequence, at_ms }) in &self.last {
            let values = params![id(workspace.0), count(*sequence), count(*at_ms)];
            self.tx.prepare_cached(sql)?.execute(values)?;
        }
        Ok(())
    }
}

/// A statement for so many rows.
fn rows(many: usize) -> String {
    format!("{INSERT}{}", vec!["(?, ?, ?, ?, ?, ?)"; many].join(", "))
}

fn insert(statement: &mut Statement<'_>, events: &[Event]) -> rusqlite::Result<()> {
    for (event, first) in events.iter().zip((1..).step_by(COLUMNS)) {
        let Event { workspace, place: Place { sequence, at_ms }, line, terms, tells } = event;
        statement.raw_bind_parameter(first, id(workspace.0))?;
        statement.raw_bind_parameter(first + 1, count(*sequence))?;
        statement.raw_bind_parameter(first + 2, count(*at_ms))?;
        statement.raw_bind_parameter(first + 3, line.as_bytes())?;
        statement.raw_bind_parameter(first + 4, terms)?;
        statement.raw_bind_parameter(first + 5, *tells == Tells::Correction)?;
    }
    statement.raw_execute().map(drop)
}

fn last(tx: &Transaction<'_>, workspace: WorkspaceId) -> rusqlite::Result<Place> {
    let sql = "SELECT sequence, at_ms FROM sequences WHERE workspace = ?1";
    let mut ask = tx.prepare_cached(sql)?;
    let place = |row: &rusqlite::Row<'_>| {
        Ok(Place { sequence: read_count(row, "sequence")?, at_ms: read_count(row, "at_ms")? })
    };
    Ok(ask.query_row([id(workspace.0)], place).optional()?.unwrap_or_default())
}
