//! Sums that wait in memory, and how far those on the disk have come.
//!
//! An entry changes about a dozen rows of sums, so they are added up over some seconds first. They wait in drawers: with
//! each batch of entries, and in its transaction, the drawer whose turn it is is written. So the work is spread evenly, and
//! a caller who calls all the time costs a row once in a round instead of once in a batch.
//!
//! Guarantees: an entry that is on the disk is in every sum there, or `unsummed` says that it is not: a start adds it, once
//! (`super::replay`). What waits is bounded.
//! Knows nothing of: entries' own rows.
//! Begins at [`LateSums::add`]; then [`LateSums::write_due`] and [`LateSums::wrote`].

use std::collections::HashSet;

use domain::GroupId;
use rusqlite::{Transaction, params};

use super::folds::{self, Folds};
use super::ledger_rows::write_line_use;
use crate::line_use::{LineKey, LineUse};

/// Drawers. It is part of the format: `summed` says of each how far it is.
const DRAWERS: usize = 64;
/// The same number as SQL has it.
pub(super) const DRAWERS_I64: i64 = 64;
/// Folds that wait: about 10 MB. Where there are more, several drawers are written at once.
const FOLDS_MAX: usize = 32_768;

/// The number of a batch: from 1, growing.
pub(crate) type Batch = i64;

/// Sums that are not written yet.
#[derive(Debug)]
pub(crate) struct LateSums {
    drawers: Vec<Drawer>,
    /// Whose turn it is.
    next: usize,
    /// Folds in all drawers.
    folds: usize,
    /// The last batch that was written.
    batch: Batch,
    /// Every drawer has the batches up to this one, and none of them is in `unsummed` any more.
    settled: Batch,
}

#[derive(Debug, Default)]
struct Drawer {
    folds: Folds,
    /// Lines whose use has changed.
    lines: HashSet<LineKey, foldhash::fast::RandomState>,
    /// The last batch that is in the sums on the disk.
    written: Batch,
}

/// Drawers that a transaction has written.
#[derive(Debug, Default)]
#[must_use = "they wait until it is said that the disk has them"]
pub(crate) struct Wrote {
    drawers: Vec<usize>,
    settled: Batch,
}

/// The drawer of entries on these terms.
pub(super) fn drawer_of_terms(terms: i64) -> usize {
    usize::try_from(terms.rem_euclid(DRAWERS_I64)).unwrap_or(0)
}

/// The drawer of a line.
pub(crate) fn drawer_of_line((line, _): LineKey) -> usize {
    usize::from(line.as_bytes()[15]) % DRAWERS
}

impl Default for LateSums {
    fn default() -> Self {
        let drawers = std::iter::repeat_with(Drawer::default).take(DRAWERS).collect();
        Self { drawers, next: 0, folds: 0, batch: 0, settled: 0 }
    }
}

impl LateSums {
    /// Whether there is nothing that a start would have to add.
    pub(crate) fn are_settled(&self) -> bool {
        self.settled == self.batch
    }

    /// Writes down that the sums do not have these entries: their ids, one after another.
    pub(crate) fn write_batch(&self, tx: &Transaction<'_>, ids: &[u8]) -> rusqlite::Result<()> {
        let sql = "INSERT INTO unsummed (batch, entries) VALUES (?1, ?2)";
        tx.prepare_cached(sql)?.execute(params![self.batch.saturating_add(1), ids]).map(drop)
    }

    /// Takes up a batch that is on the disk, and what it charged.
    pub(crate) fn add(&mut self, folds: Folds, lines: impl IntoIterator<Item = LineKey>) {
        self.batch = self.batch.saturating_add(1);
        for (key, fold) in folds.into_parts() {
            let into = &mut self.drawers[drawer_of_terms(key.terms)].folds;
            let before = into.len();
            into.add(key, &fold.terms, fold.sums);
            self.folds += into.len() - before;
        }
        for line in lines {
            self.drawers[drawer_of_line(line)].lines.insert(line);
        }
    }

    /// Writes the drawers whose turn it is. They have what was added before.
    pub(crate) fn write_due(&self, tx: &Transaction<'_>, line_use: &LineUse) -> rusqlite::Result<Wrote> {
        let mut due = Vec::new();
        let mut left = self.folds;
        for after in 0..DRAWERS {
            if after > 0 && left <= FOLDS_MAX {
                break;
            }
            let at = (self.next + after) % DRAWERS;
            left -= self.drawers[at].folds.len();
            due.push(at);
        }
        self.write(tx, due, line_use)
    }

    /// Whether something of a group, or of what is below it, waits.
    pub(crate) fn has_any_of(&self, group: GroupId) -> bool {
        self.drawers.iter().any(|drawer| drawer.names(group))
    }

    /// Writes the drawers in which there is something of a group or of what is below it.
    pub(crate) fn write_those_of(
        &self,
        tx: &Transaction<'_>,
        group: GroupId,
        line_use: &LineUse,
    ) -> rusqlite::Result<Wrote> {
        let drawers = self.drawers.iter().enumerate().filter(|(_, drawer)| drawer.names(group));
        self.write(tx, drawers.map(|(at, _)| at).collect(), line_use)
    }

    /// Writes all of them.
    pub(crate) fn write_all(&self, tx: &Transaction<'_>, line_use: &LineUse) -> rusqlite::Result<Wrote> {
        self.write(tx, (0..DRAWERS).collect(), line_use)
    }

    /// The disk has what was written.
    pub(crate) fn wrote(&mut self, wrote: Wrote) {
        let Wrote { drawers, settled } = wrote;
        for at in drawers {
            let Drawer { folds, lines, written } = &mut self.drawers[at];
            self.folds -= folds.len();
            folds.clear();
            lines.clear();
            *written = self.batch;
            if at == self.next {
                self.next = (self.next + 1) % DRAWERS;
            }
        }
        self.settled = settled;
    }

    fn write(
        &self,
        tx: &Transaction<'_>,
        drawers: Vec<usize>,
        line_use: &LineUse,
    ) -> rusqlite::Result<Wrote> {
        for at in &drawers {
            self.drawers[*at].write(tx, (*at, self.batch), line_use)?;
        }
        let written = |(at, drawer): (usize, &Drawer)| {
            if drawers.contains(&at) { self.batch } else { drawer.written }
        };
        let settled = self.drawers.iter().enumerate().map(written).min().unwrap_or(self.batch);
        if settled > self.settled {
            let sql = "DELETE FROM unsummed WHERE batch <= ?1";
            tx.prepare_cached(sql)?.execute([settled])?;
        }
        Ok(Wrote { drawers, settled })
    }
}

impl Drawer {
    fn names(&self, group: GroupId) -> bool {
        self.folds.iter().any(|(_, fold)| fold.terms.groups.contains(&group))
    }

    /// Where there is nothing in it, what `summed` says of it may stay: none of the batches since is about it.
    fn write(
        &self,
        tx: &Transaction<'_>,
        (at, batch): (usize, Batch),
        line_use: &LineUse,
    ) -> rusqlite::Result<()> {
        if self.folds.is_empty() && self.lines.is_empty() {
            return Ok(());
        }
        folds::write(tx, &self.folds)?;
        // One that is not known any more was removed, and its row with it.
        for (line, spent) in self.lines.iter().filter_map(|line| Some((*line, line_use.get(*line)?))) {
            write_line_use(tx, line, &spent)?;
        }
        let sql = "INSERT INTO summed (drawer, batch) VALUES (?1, ?2)
                   ON CONFLICT DO UPDATE SET batch = excluded.batch";
        tx.prepare_cached(sql)?.execute(params![i64::try_from(at).unwrap_or(0), batch]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::{Day, Terms, WorkspaceId};
    use rusqlite::Connection;

    use super::*;
    use crate::embedded::folds::{FoldKey, Rollup};

    fn folds(terms: std::ops::Range<i64>) -> Folds {
        let shared = Arc::new(Terms {
            workspace: WorkspaceId(1),
            groups: [].into(),
            external_entity_id: "cust".into(),
            slug: "acme/m1".parse().unwrap(),
            provider: "OPENAI_COMPATIBLE".into(),
            upstream_model: "llama".into(),
            price: None,
            lines: [].into(),
        });
        let mut folds = Folds::default();
        for terms in terms {
            let key = FoldKey { terms, key_prefix: "key".into(), hour: 1, admitted: Day(0) };
            folds.add(key, &shared, Rollup { requests: 1, ..Rollup::default() });
        }
        folds
    }

    fn store() -> Connection {
        let store = Connection::open_in_memory().unwrap();
        for migration in crate::embedded::migrations::ALL {
            store.execute_batch(migration.sql).unwrap();
        }
        store
    }

    #[test]
    fn however_many_callers_there_are_no_more_than_the_bound_wait_after_a_batch() {
        let (mut store, mut late, lines) = (store(), LateSums::default(), LineUse::default());
        let most = i64::try_from(FOLDS_MAX).unwrap();
        late.add(folds(0..most + 5_000), []);
        let tx = store.transaction().unwrap();
        let wrote = late.write_due(&tx, &lines).unwrap();
        tx.commit().unwrap();
        late.wrote(wrote);
        assert!((1..=FOLDS_MAX).contains(&late.folds), "{}", late.folds);
        let waiting: usize = late.drawers.iter().map(|drawer| drawer.folds.len()).sum();
        assert_eq!(waiting, late.folds);
    }

    #[test]
    fn a_batch_is_remembered_until_every_drawer_has_it() {
        let (mut store, mut late, lines) = (store(), LateSums::default(), LineUse::default());
        for batch in 0..DRAWERS_I64 {
            let tx = store.transaction().unwrap();
            late.write_batch(&tx, &[0; 16]).unwrap();
            let wrote = late.write_due(&tx, &lines).unwrap();
            tx.commit().unwrap();
            late.wrote(wrote);
            late.add(folds(batch..batch + 1), []);
        }
        let count = |store: &Connection| -> i64 {
            store.query_row("SELECT count(*) FROM unsummed", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(&store), DRAWERS_I64, "the first drawer was written before there was anything");
        let tx = store.transaction().unwrap();
        let wrote = late.write_due(&tx, &lines).unwrap();
        tx.commit().unwrap();
        late.wrote(wrote);
        assert_eq!(count(&store), DRAWERS_I64 - 1, "now it has the first batch, as all others have");
        assert!(!late.are_settled());
        let tx = store.transaction().unwrap();
        let wrote = late.write_all(&tx, &lines).unwrap();
        tx.commit().unwrap();
        late.wrote(wrote);
        assert_eq!((count(&store), late.are_settled(), late.folds), (0, true, 0));
    }
}
