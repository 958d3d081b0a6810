//! Corrections as rows: the line, its event, and what it changes of the sums.
//!
//! Begins at [`write`].

use domain::{RequestId, SignedUsd};
use rusqlite::{Connection, Row, Transaction, params};

use super::entry_rows::{self, LedgerLine};
use super::event_rows::{Blocks, Sequences, Tells};
use super::fields::{count, read_count};
use super::rollup_rows;
use crate::corrections::{BillChange, CORRECTIONS_MAX, Correction, CorrectionDraft, NotCorrected};

/// Writes a correction, if it leaves nothing below zero. What is refused writes nothing.
pub(crate) fn write(
    tx: &Transaction<'_>,
    draft: &CorrectionDraft,
    (id, now_ms): (RequestId, u64),
) -> rusqlite::Result<Result<Correction, NotCorrected>> {
    let CorrectionDraft { workspace, corrects, change, reason } = draft;
    let line = entry_rows::read(tx, corrects)?.filter(|line| line.workspace == *workspace);
    let Some(line) = line else { return Ok(Err(NotCorrected::NoSuchCall)) };
    let before = read(tx, corrects)?;
    if let Err(refused) = judged(&line, &before, *change) {
        return Ok(Err(refused));
    }
    let terms =
        tx.query_row("SELECT terms FROM entries WHERE request_id = ?1", [corrects.as_bytes()], |row| {
            row.get(0)
        })?;
    let mut blocks = Blocks::default();
    let mut sequences = Sequences::begin(tx, &mut blocks)?;
    let place = sequences.next(*workspace, now_ms)?;
    sequences.take(*workspace, place, (&id, terms, Tells::Correction))?;
    sequences.write()?;
    // Where the call has a cost, a correction changes that, though it be by nothing.
    let cost = change.cost.or(line.cost.map(|_| SignedUsd::default()));
    let change = BillChange { cost, ..*change };
    let made = Correction { id, at_ms: now_ms, change, reason: reason.clone(), sequence: place.sequence };
    insert(tx, &line, &made)?;
    rollup_rows::correct(tx, &line, change)?;
    Ok(Ok(made))
}

/// The corrections of a call, in the order in which they were made.
pub(crate) fn read(reader: &Connection, request: &RequestId) -> rusqlite::Result<Vec<Correction>> {
    let sql = "SELECT * FROM corrections WHERE corrects = ?1 ORDER BY sequence";
    let mut ask = reader.prepare_cached(sql)?;
    ask.query_map([request.as_bytes()], correction)?.collect()
}

fn judged(line: &LedgerLine, before: &[Correction], change: BillChange) -> Result<(), NotCorrected> {
    if before.len() >= CORRECTIONS_MAX {
        return Err(NotCorrected::TooOften);
    }
    let mut all = before.iter().map(|correction| correction.change).chain([change]);
    all.try_fold(BillChange::of(line), BillChange::with).map(drop)
}

fn insert(tx: &Transaction<'_>, line: &LedgerLine, made: &Correction) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO corrections (id, corrects, key_prefix, usage_source, at_ms, input_tokens, output_tokens,
                   cost_nano_usd, reason, sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let Correction { id, at_ms, change, reason, sequence } = made;
    let values = params![
        id.as_bytes(),
        line.request_id.as_bytes(),
        line.key_prefix,
        line.usage.source.name(),
        count(*at_ms),
        change.input,
        change.output,
        change.cost.map(|cost| cost.0),
        reason,
        count(*sequence),
    ];
    tx.prepare_cached(sql)?.execute(values).map(drop)
}

fn correction(row: &Row<'_>) -> rusqlite::Result<Correction> {
    Ok(Correction {
        id: RequestId::from_bytes(row.get("id")?),
        at_ms: read_count(row, "at_ms")?,
        change: BillChange {
            input: row.get("input_tokens")?,
            output: row.get("output_tokens")?,
            cost: row.get::<_, Option<i64>>("cost_nano_usd")?.map(SignedUsd),
        },
        reason: row.get("reason")?,
        sequence: read_count(row, "sequence")?,
    })
}
