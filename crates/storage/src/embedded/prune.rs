//! Old lines of the ledger, taken out with their events.
//!
//! Begins at [`batch`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::{Meter, RequestId, Version, WorkspaceId};
use rusqlite::{Row, Transaction, params};

use super::books::Books;
use super::entry_rows::{self, LedgerLine};
use super::event_rows::BLOCK;
use super::fields::{count, id, read_count, read_id};
use crate::line_use::{LineKey, LineUse};
use crate::retention::Pruned;

/// Lines that one transaction takes out.
const BATCH: usize = 1_000;

/// An event that goes.
struct Old {
    sequence: u64,
    line: RequestId,
    terms: i64,
    corrects: bool,
}

/// What goes, and what it leaves behind.
struct Pruning<'a> {
    tx: &'a Transaction<'a>,
    before_ms: u64,
    line_use: &'a LineUse,
    /// What lines of configs have used in entries that go, and in which period.
    used: HashMap<LineKey, i64>,
    /// The latest settlement among them.
    latest_ms: u64,
    lines: usize,
}

/// Takes out a batch of what ended before this time.
pub(crate) fn batch(books: &mut Books, before_ms: u64) -> rusqlite::Result<Pruned> {
    // What is not in the sums is needed for them.
    books.write_sums()?;
    books.forget_known();
    let (line_use, version) = (Arc::clone(books.line_use()), books.snapshot().load().version());
    books.write(|tx| {
        let (used, latest_ms, lines) = (HashMap::new(), 0, 0);
        let mut pruning = Pruning { tx, before_ms, line_use: &line_use, used, latest_ms, lines };
        for workspace in workspaces(tx)? {
            pruning.events(workspace)?;
        }
        pruning.unbilled()?;
        let refusals = pruning.refusals()?;
        pruning.write_openings(version)?;
        pruning.write_latest()?;
        Ok(Pruned { lines: pruning.lines, more: pruning.lines >= BATCH || refusals >= BATCH })
    })
}

impl Pruning<'_> {
    fn room(&self) -> usize {
        BATCH.saturating_sub(self.lines)
    }

    /// The first events of a workspace, each with its line.
    fn events(&mut self, workspace: WorkspaceId) -> rusqlite::Result<()> {
        let old = self.old_events(workspace)?;
        let Some(last) = old.last().map(|last| last.sequence) else { return Ok(()) };
        for event in &old {
            if event.corrects {
                self.execute("DELETE FROM corrections WHERE id = ?1", &event.line)?;
            } else {
                self.entry(&event.line)?;
            }
        }
        let sql = "DELETE FROM events WHERE workspace = ?1 AND sequence <= ?2";
        self.tx.prepare_cached(sql)?.execute(params![id(workspace.0), count(last)])?;
        self.lines += old.len();
        self.blocks(workspace, &old, last)
    }

    fn old_events(&self, workspace: WorkspaceId) -> rusqlite::Result<Vec<Old>> {
        let sql = "SELECT sequence, line, terms, corrects, at_ms FROM events WHERE workspace = ?1
                   ORDER BY sequence LIMIT ?2";
        let mut ask = self.tx.prepare_cached(sql)?;
        let limit = i64::try_from(self.room()).unwrap_or(i64::MAX);
        let mut rows = ask.query(params![id(workspace.0), limit])?;
        let mut old = Vec::new();
        // Times never decrease, so the first that is not old ends it.
        while let Some(row) = rows.next()? {
            if read_count(row, "at_ms")? >= self.before_ms {
                break;
            }
            old.push(Old::of(row)?);
        }
        Ok(old)
    }

    /// One entry.
    fn entry(&mut self, request: &RequestId) -> rusqlite::Result<()> {
        if let Some(line) = entry_rows::read(self.tx, request)? {
            self.latest_ms = self.latest_ms.max(line.settled_ms);
            self.add_use(&line);
        }
        self.execute("DELETE FROM entries WHERE request_id = ?1", request)
    }

    /// Notes what lines lose that is in the sum of their present periods.
    fn add_use(&mut self, entry: &LedgerLine) {
        for key in &entry.lines {
            let Some(spent) = self.line_use.get(*key) else { continue };
            let (at_ms, amount) = match key.1 {
                Meter::Requests => (entry.admitted_ms, 1),
                Meter::Tokens => (entry.settled_ms, entry.usage.total()),
                Meter::Usd => (entry.settled_ms, entry.cost.unwrap_or_default().0),
            };
            if at_ms >= spent.since_ms && entry.admitted_ms >= spent.made_ms {
                let used = self.used.entry(*key).or_default();
                *used = used.saturating_add(count(amount));
            }
        }
    }

    /// Entries without an event. Their ids follow the time of admission.
    fn unbilled(&mut self) -> rusqlite::Result<()> {
        let sql =
            "SELECT request_id FROM entries WHERE request_id < ?1 AND sequence IS NULL AND settled_ms < ?2
                   ORDER BY request_id LIMIT ?3";
        let first_kept = RequestId::new(self.before_ms, [0; 10]);
        let limit = i64::try_from(self.room()).unwrap_or(i64::MAX);
        let values = params![first_kept.as_bytes(), count(self.before_ms), limit];
        let mut ask = self.tx.prepare_cached(sql)?;
        let old: Vec<RequestId> = ask
            .query_map(values, |row| row.get(0).map(RequestId::from_bytes))?
            .collect::<rusqlite::Result<_>>()?;
        for request in &old {
            self.entry(request)?;
        }
        self.lines += old.len();
        Ok(())
    }

    /// Takes out what says where these events were, unless there are others.
    fn blocks(&self, workspace: WorkspaceId, old: &[Old], last: u64) -> rusqlite::Result<()> {
        let edge = last / BLOCK;
        let end = edge.saturating_add(1).saturating_mul(BLOCK);
        let sql =
            "SELECT DISTINCT terms FROM events WHERE workspace = ?1 AND sequence > ?2 AND sequence < ?3";
        let mut ask = self.tx.prepare_cached(sql)?;
        let left = ask.query_map(params![id(workspace.0), count(last), count(end)], |row| row.get(0))?;
        let left: HashSet<i64> = left.collect::<rusqlite::Result<_>>()?;
        let gone: HashSet<_> = old.iter().map(|event| (event.terms, event.sequence / BLOCK)).collect();
        let mut delete =
            self.tx.prepare_cached("DELETE FROM event_blocks WHERE terms = ?1 AND block = ?2")?;
        for (terms, block) in gone {
            if block < edge || !left.contains(&terms) {
                delete.execute([terms, count(block)])?;
            }
        }
        Ok(())
    }

    /// Counts of refused calls. Answers how many.
    fn refusals(&self) -> rusqlite::Result<usize> {
        let sql = "DELETE FROM refusals WHERE (group_id, below, hour, slug, kind) IN
                   (SELECT group_id, below, hour, slug, kind FROM refusals WHERE hour < ?1 LIMIT ?2)";
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        self.tx.prepare_cached(sql)?.execute([count(self.before_ms / super::HOUR_MS), limit])
    }

    /// What a line has used is what its entries say in its present period, and its openings: so what goes from the ones
    /// comes to the others. An opening of an earlier period at the same version says nothing any more.
    fn write_openings(&self, version: Version) -> rusqlite::Result<()> {
        let sql = "INSERT INTO line_openings (version, line, meter, used, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT DO UPDATE SET
                used = CASE WHEN at_ms < ?6 THEN excluded.used
                    WHEN used > 9223372036854775807 - excluded.used THEN 9223372036854775807
                    ELSE used + excluded.used END,
                at_ms = max(at_ms, excluded.at_ms)";
        let mut write = self.tx.prepare_cached(sql)?;
        for ((line, meter), used) in &self.used {
            let Some(spent) = self.line_use.get((*line, *meter)) else { continue };
            let (since_ms, at_ms) = (count(spent.since_ms), count(spent.since_ms.max(spent.start_ms)));
            write.execute(params![count(version.0), line.as_bytes(), meter.word(), used, at_ms, since_ms])?;
        }
        Ok(())
    }

    /// Sums of this time and before cannot be added up again.
    fn write_latest(&self) -> rusqlite::Result<()> {
        if self.latest_ms == 0 {
            return Ok(());
        }
        let sql = "INSERT INTO config VALUES ('pruned_ms', ?1)
                   ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";
        self.tx.prepare_cached(sql)?.execute([count(self.latest_ms)]).map(drop)
    }

    fn execute(&self, sql: &str, line: &RequestId) -> rusqlite::Result<()> {
        self.tx.prepare_cached(sql)?.execute([line.as_bytes()]).map(drop)
    }
}

impl Old {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            sequence: read_count(row, "sequence")?,
            line: RequestId::from_bytes(row.get("line")?),
            terms: row.get("terms")?,
            corrects: row.get("corrects")?,
        })
    }
}

fn workspaces(tx: &Transaction<'_>) -> rusqlite::Result<Vec<WorkspaceId>> {
    let mut ask = tx.prepare_cached("SELECT workspace FROM sequences")?;
    ask.query_map([], |row| read_id(row, 0).map(WorkspaceId))?.collect()
}
