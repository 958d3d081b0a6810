//! What a start adds to the sums: entries that the process before it wrote, and whose sums it did not come to.
//!
//! Entries are taken in the order in which they were written, since what a line has used depends on it.
//!
//! Guarantees: each is added once, whenever the former process ended, and however often this is cut short: all of it is one
//! transaction.
//! Begins at [`run`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::{Day, Meter, RequestId, Terms, WorkspaceId};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::entry_rows::{GroupPath, Lines};
use super::fields::{Parsed, read_count, read_id};
use super::folds::{self, FoldKey, Folds, Rollup};
use super::late_sums::{Batch, drawer_of_line, drawer_of_terms};
use super::ledger_rows::write_line_use;
use super::rollup_rows::HOUR_MS;
use crate::line_use::{Charge, LineKey, LineUse};

/// Folds that are held in memory at once.
const FOLDS_MAX: usize = 32_768;
/// Bytes of an id.
const ID_LEN: usize = 16;

/// How far each drawer is.
pub(super) struct Watermarks(HashMap<usize, Batch>);

/// An entry as far as sums are concerned.
struct Call {
    at: i64,
    terms: Arc<Terms>,
    key_prefix: Arc<str>,
    admitted_ms: u64,
    settled_ms: u64,
    sums: Rollup,
}

struct Replay<'a> {
    tx: &'a Transaction<'a>,
    line_use: &'a LineUse,
    watermarks: Watermarks,
    terms: HashMap<i64, Arc<Terms>>,
    folds: Folds,
    lines: HashSet<LineKey>,
}

/// Brings the sums up to the entries. `line_use` is as the disk says, and is brought along.
pub(crate) fn run(connection: &mut Connection, line_use: &LineUse) -> rusqlite::Result<()> {
    let tx = connection.transaction()?;
    let batches = batches(&tx)?;
    let watermarks = Watermarks::read(&tx)?;
    let (terms, folds, lines) = (HashMap::new(), Folds::default(), HashSet::new());
    let mut replay = Replay { tx: &tx, line_use, watermarks, terms, folds, lines };
    for batch in batches {
        replay.batch(batch)?;
    }
    replay.write()?;
    // The numbers of batches begin anew.
    tx.execute_batch("DELETE FROM unsummed; DELETE FROM summed;")?;
    tx.commit()
}

/// The batches that are not in every sum, in their order.
pub(super) fn batches(reader: &Connection) -> rusqlite::Result<Vec<Batch>> {
    let mut ask = reader.prepare("SELECT batch FROM main.unsummed ORDER BY batch")?;
    ask.query_map([], |row| row.get(0))?.collect()
}

/// The entries of a batch, in the order in which they were written.
pub(super) fn entries_of(reader: &Connection, batch: Batch) -> rusqlite::Result<Vec<RequestId>> {
    let mut ask = reader.prepare_cached("SELECT entries FROM main.unsummed WHERE batch = ?1")?;
    let ids: Vec<u8> = ask.query_row([batch], |row| row.get(0))?;
    let (ids, _) = ids.as_chunks::<ID_LEN>();
    Ok(ids.iter().map(|id| RequestId::from_bytes(*id)).collect())
}

impl Watermarks {
    pub(super) fn read(reader: &Connection) -> rusqlite::Result<Self> {
        let mut ask = reader.prepare("SELECT drawer, batch FROM main.summed")?;
        let drawers = ask.query_map([], |row| {
            let drawer: i64 = row.get(0)?;
            Ok((usize::try_from(drawer).unwrap_or(usize::MAX), row.get(1)?))
        })?;
        drawers.collect::<rusqlite::Result<_>>().map(Self)
    }

    /// Whether a drawer has a batch.
    pub(super) fn have(&self, drawer: usize, batch: Batch) -> bool {
        self.0.get(&drawer).is_some_and(|written| batch <= *written)
    }
}

impl Replay<'_> {
    fn batch(&mut self, batch: Batch) -> rusqlite::Result<()> {
        for id in entries_of(self.tx, batch)? {
            // Entries are taken out only when everything is in the sums.
            let Some(call) = self.call(&id)? else { continue };
            if !self.watermarks.have(drawer_of_terms(call.at), batch) {
                self.folds.add(call.key(), &call.terms, call.sums);
            }
            self.charge(&call, batch);
            if self.folds.len() >= FOLDS_MAX {
                self.write()?;
            }
        }
        Ok(())
    }

    fn charge(&mut self, call: &Call, batch: Batch) {
        let mut charging = self.line_use.charging();
        for line in call.terms.lines.iter() {
            let is_due = !self.watermarks.have(drawer_of_line(*line), batch);
            if is_due && charging.charge(*line, call.charge(line.1)) {
                self.lines.insert(*line);
            }
        }
    }

    /// Writes what was added up so far.
    fn write(&mut self) -> rusqlite::Result<()> {
        folds::write(self.tx, &self.folds)?;
        for line in &self.lines {
            if let Some(spent) = self.line_use.get(*line) {
                write_line_use(self.tx, *line, &spent)?;
            }
        }
        self.folds.clear();
        self.lines.clear();
        Ok(())
    }

    fn call(&mut self, id: &RequestId) -> rusqlite::Result<Option<Call>> {
        let sql =
            "SELECT terms, key_prefix, admitted_ms, settled_ms, input_tokens, output_tokens, cached_tokens,
                cost_nano_usd FROM entries WHERE request_id = ?1";
        let mut ask = self.tx.prepare_cached(sql)?;
        let read = |row: &Row<'_>| {
            let at: i64 = row.get("terms")?;
            let sums = Rollup {
                requests: 1,
                input: read_count(row, "input_tokens")?,
                output: read_count(row, "output_tokens")?,
                cached: read_count(row, "cached_tokens")?,
                cost_nano_usd: row.get::<_, Option<i64>>("cost_nano_usd")?.map_or(0, i64::cast_unsigned),
            };
            let (admitted_ms, settled_ms) = (read_count(row, "admitted_ms")?, read_count(row, "settled_ms")?);
            Ok((at, row.get("key_prefix")?, admitted_ms, settled_ms, sums))
        };
        let Some((at, key_prefix, admitted_ms, settled_ms, sums)) =
            ask.query_row([id.as_bytes()], read).optional()?
        else {
            return Ok(None);
        };
        let terms = self.terms(at)?;
        Ok(Some(Call { at, terms, key_prefix, admitted_ms, settled_ms, sums }))
    }

    fn terms(&mut self, at: i64) -> rusqlite::Result<Arc<Terms>> {
        if let Some(known) = self.terms.get(&at) {
            return Ok(Arc::clone(known));
        }
        let sql = "SELECT terms.*, entry_lines.text AS lines_text FROM terms
            LEFT JOIN entry_lines ON entry_lines.id = terms.lines WHERE terms.id = ?1";
        let terms = Arc::new(self.tx.prepare_cached(sql)?.query_row([at], terms)?);
        self.terms.insert(at, Arc::clone(&terms));
        Ok(terms)
    }
}

impl Call {
    fn key(&self) -> FoldKey {
        FoldKey {
            terms: self.at,
            key_prefix: Arc::clone(&self.key_prefix),
            hour: self.settled_ms / HOUR_MS,
            admitted: Day::of(self.admitted_ms),
        }
    }

    fn charge(&self, meter: Meter) -> Charge {
        let (at_ms, amount) = match meter {
            Meter::Requests => (self.admitted_ms, 1),
            Meter::Tokens => (self.settled_ms, self.sums.input.saturating_add(self.sums.output)),
            Meter::Usd => (self.settled_ms, self.sums.cost_nano_usd),
        };
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        Charge { admitted_ms: self.admitted_ms, settled_ms: self.settled_ms, at_ms, amount }
    }
}

/// Terms as they are written; their price is in no sum.
fn terms(row: &Row<'_>) -> rusqlite::Result<Terms> {
    let lines: Option<Parsed<Lines>> = row.get("lines_text")?;
    Ok(Terms {
        workspace: WorkspaceId(read_id(row, "workspace")?),
        groups: row.get::<_, Parsed<GroupPath>>("group_path")?.0.0.into(),
        external_entity_id: row.get("external_entity_id")?,
        slug: row.get::<_, Parsed<_>>("slug")?.0,
        provider: row.get::<_, String>("provider")?.into(),
        upstream_model: row.get("upstream_model")?,
        price: None,
        lines: lines.map(|lines| lines.0.0).unwrap_or_default().into(),
    })
}
