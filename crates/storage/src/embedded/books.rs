//! The committer's desk: what it writes with, and the views it keeps in step with the disk.
//!
//! Guarantees: the disk first, then the views. A view never shows what the disk could still refuse.

mod additions;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::{
    Change, Context, Enforcement, Entry, Group, GroupId, LimitType, Now, Record, Rejection, Snapshot, Unit,
    Version, edit,
};
use rusqlite::{Connection, Transaction, ffi, params};

use super::folds::{FoldKey, Folds, Rollup};
use super::late_sums::{LateSums, Wrote};
use super::ledger_rows::{Fresh, Known, Opening};
use super::line_records::Lines;
use super::lock::Lock;
use super::{config_rows, fields, ledger_rows, line_records, load};
use crate::bell::Bell;
use crate::committer::{EditJob, Prepared};
use crate::error::EditError;
use crate::last_used::LastUsed;
use crate::line_use::{Charge, LineUse};
use crate::random::random_bytes;
use crate::today::{Today, UseScope};
use crate::vault::Vault;

/// For the client of an edit that meets something revoked or deleted.
const TAKEN: &str = "This was in use before and cannot be used again; choose another.";

/// What the committer keeps up to date for others.
pub(crate) struct Shared {
    pub(crate) vault: Arc<Vault>,
    pub(crate) engine: Arc<limits::Engine>,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) today: Arc<Today>,
    pub(crate) line_use: Arc<LineUse>,
    pub(crate) last_used: Arc<LastUsed>,
    pub(crate) bell: Arc<Bell>,
}

pub(crate) struct Books {
    connection: Connection,
    shared: Shared,
    /// Sums of entries that are on the disk, which are not there themselves.
    late: LateSums,
    /// What need not be looked for there again.
    known: Known,
    /// Last, so that the directory is free only after the file is closed.
    _lock: Lock,
}

impl Books {
    pub(crate) fn new(connection: Connection, lock: Lock, shared: Shared) -> Self {
        let (late, known) = (LateSums::default(), Known::default());
        Self { connection, shared, late, known, _lock: lock }
    }

    pub(crate) fn snapshot(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.shared.snapshot
    }

    pub(crate) fn vault(&self) -> &Arc<Vault> {
        &self.shared.vault
    }

    pub(crate) fn today(&self) -> &Arc<Today> {
        &self.shared.today
    }

    pub(crate) fn engine(&self) -> &Arc<limits::Engine> {
        &self.shared.engine
    }

    pub(crate) fn line_use(&self) -> &Arc<LineUse> {
        &self.shared.line_use
    }

    pub(crate) fn last_used(&self) -> &Arc<LastUsed> {
        &self.shared.last_used
    }

    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.shared.bell
    }

    /// Until when entries may be gone by retention; none where none are.
    pub(crate) fn pruned_ms(&self) -> rusqlite::Result<Option<u64>> {
        load::pruned_ms(&self.connection)
    }

    /// Writes a batch of entries, all or none, and with it some of the sums that wait. Answers how many of them were not
    /// there before.
    pub(crate) fn write_entries(&mut self, entries: &[Entry]) -> rusqlite::Result<u64> {
        if entries.is_empty() {
            return Ok(0);
        }
        let written = self.write_batch(entries);
        // What was rolled back stands nowhere.
        let (fresh, wrote) = written.inspect_err(|_| self.known.forget())?;
        self.late.wrote(wrote);
        self.take_up(&fresh);
        self.ring_for(entries);
        Ok(u64::try_from(fresh.len()).unwrap_or(u64::MAX))
    }

    fn write_batch<'a>(&mut self, entries: &'a [Entry]) -> rusqlite::Result<(Vec<Fresh<'a>>, Wrote)> {
        let tx = self.connection.transaction()?;
        if let Some(fresh) = ledger_rows::write(&tx, entries, &mut self.known)? {
            let wrote = write_late(&tx, (&self.late, &self.shared.line_use), &fresh)?;
            tx.commit()?;
            return Ok((fresh, wrote));
        }
        tx.rollback()?;
        self.known.forget();
        let tx = self.connection.transaction()?;
        let fresh = ledger_rows::write_each(&tx, entries, &mut self.known)?;
        let wrote = write_late(&tx, (&self.late, &self.shared.line_use), &fresh)?;
        tx.commit()?;
        Ok((fresh, wrote))
    }

    /// Adds what is on the disk to the views, and to the sums that wait.
    fn take_up(&mut self, fresh: &[Fresh<'_>]) {
        let mut folds = Folds::default();
        for (entry, terms) in fresh {
            folds.add(FoldKey::of(entry, *terms), &entry.terms, Rollup::of(entry));
        }
        self.shared.today.add(folds.iter().flat_map(|(key, fold)| fold.day_use(key)));
        let mut charged = Vec::new();
        let mut charging = self.shared.line_use.charging();
        for (entry, _) in fresh {
            for line in entry.terms.lines.iter() {
                if charging.charge(*line, Charge::of(entry, line.1)) {
                    charged.push(*line);
                }
            }
        }
        drop(charging);
        if !fresh.is_empty() {
            self.late.add(folds, charged);
        }
    }

    /// Whether there are sums that wait.
    pub(crate) fn has_late_sums(&self) -> bool {
        !self.late.are_settled()
    }

    /// Writes every sum that waits: whoever reads sums on the disk after this misses nothing that is there.
    pub(crate) fn write_sums(&mut self) -> rusqlite::Result<()> {
        if self.late.are_settled() {
            return Ok(());
        }
        self.write_late(|late, tx, line_use| late.write_all(tx, line_use))
    }

    /// The same for sums of this group alone, by the hour and by the day.
    pub(crate) fn write_sums_of(&mut self, group: GroupId) -> rusqlite::Result<()> {
        if !self.late.has_any_of(group) {
            return Ok(());
        }
        self.write_late(|late, tx, line_use| late.write_those_of(tx, group, line_use))
    }

    fn write_late(
        &mut self,
        write: impl FnOnce(&LateSums, &Transaction<'_>, &LineUse) -> rusqlite::Result<Wrote>,
    ) -> rusqlite::Result<()> {
        let tx = self.connection.transaction()?;
        let wrote = write(&self.late, &tx, &self.shared.line_use)?;
        tx.commit()?;
        self.late.wrote(wrote);
        Ok(())
    }

    /// Looks everything up anew: rows will be taken out that are known to be there.
    pub(crate) fn forget_known(&mut self) {
        self.known.forget();
    }

    /// Writes something else than entries and edits, all of it or nothing.
    pub(crate) fn write<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let tx = self.connection.transaction()?;
        let written = write(&tx)?;
        tx.commit()?;
        Ok(written)
    }

    /// Says where there are new events for a webhook.
    fn ring_for(&self, entries: &[Entry]) {
        let snapshot = self.shared.snapshot.load();
        if snapshot.webhooks().next().is_some() {
            let events = entries.iter().filter(|entry| entry.is_event());
            let workspaces = events.map(|event| event.terms.workspace);
            self.shared.bell.ring(workspaces.filter(|workspace| snapshot.webhook(*workspace).is_some()));
        }
    }

    /// Writes when management keys were last used. What the disk refuses is written another time.
    pub(crate) fn write_last_used(&self) {
        let uses = self.shared.last_used.unwritten();
        if uses.is_empty() {
            return;
        }
        match config_rows::write_last_used(&self.connection, &uses) {
            Ok(()) => self.shared.last_used.written(&uses),
            Err(error) => tracing::warn!(%error, "when management keys were last used cannot be written"),
        }
    }

    /// Makes one edit and answers it.
    pub(crate) fn edit(&mut self, job: EditJob) {
        let EditJob { now, prepare, room } = job;
        let snapshot = self.shared.snapshot.load_full();
        let cx = match self.context(&snapshot, now) {
            Ok(cx) => cx,
            Err(error) => return tracing::error!(%error, "the configuration cannot be read"),
        };
        // A fault in one edit must not take the ledger down. It has touched nothing but its own values.
        match catch_unwind(AssertUnwindSafe(|| prepare(&cx))) {
            Ok(Some(Prepared { change, answer })) => answer(self.commit(&snapshot, &change, now)),
            Ok(None) => {}
            Err(_) => tracing::error!("an edit ended by a fault; nothing was changed"),
        }
        drop(room);
    }

    /// Gives an empty store its first tenant.
    pub(crate) fn make_default_workspace(&mut self, now: Now) -> rusqlite::Result<()> {
        let snapshot = self.shared.snapshot.load_full();
        let cx = self.context(&snapshot, now)?;
        self.write_change(&snapshot, &edit::workspace::first(&cx), now)
    }

    fn context<'a>(&self, snapshot: &'a Snapshot, now: Now) -> rusqlite::Result<Context<'a>> {
        let version = Version(snapshot.version().0.saturating_add(1));
        let fresh_id = self.fresh_id(snapshot)?;
        Ok(Context { snapshot, version, now_s: now.wall_s(), now_ms: now.wall_ms, fresh_id })
    }

    /// A random number that names nothing, not even something deleted. Zero is left out: too many things mean zero.
    fn fresh_id(&self, snapshot: &Snapshot) -> rusqlite::Result<u64> {
        let sql = "SELECT EXISTS (SELECT 1 FROM groups WHERE id = ?1)";
        let mut known = self.connection.prepare_cached(sql)?;
        loop {
            let id = u64::from_be_bytes(random_bytes());
            let taken: bool = known.query_row(params![fields::id(id)], |row| row.get(0))?;
            let taken = taken
                || snapshot.endpoint(domain::EndpointId(id)).is_some()
                || snapshot.workspaces().any(|workspace| workspace.id.0 == id);
            if id != 0 && !taken {
                return Ok(id);
            }
        }
    }

    /// Writes a change and puts it in force.
    fn commit(&mut self, before: &Snapshot, change: &Change, now: Now) -> Result<(), EditError> {
        if change.records.is_empty() {
            return Ok(());
        }
        self.write_change(before, change, now).map_err(|error| {
            if is_taken(&error) {
                tracing::warn!(%error, "an edit was refused by the rows");
                return EditError::Rejected(Rejection::Invalid(words_for_taken(change).into()));
            }
            tracing::error!(%error, "the configuration cannot be written");
            EditError::Unavailable
        })
    }

    fn write_change(&mut self, before: &Snapshot, change: &Change, now: Now) -> rusqlite::Result<()> {
        if change.records.iter().any(line_records::is_about_lines) {
            // What lines have used is written by the edit, and a start must not add to that what is in it.
            self.write_sums()?;
        }
        let mut lines = Lines::default();
        let written = self.write_rows((before, change), &mut lines, now);
        let Shared { engine, line_use, .. } = &self.shared;
        if let Err(error) = written {
            lines.take_back(engine, now);
            return Err(error);
        }
        let gone = lines.put(engine, line_use, (change.version, now));
        for record in &change.records {
            if let Record::ManagementKeyDeleted { hash, .. } = record {
                self.shared.last_used.forget(hash);
            }
        }
        // The snapshot first: whoever is told that its path is stale must find the new one.
        self.shared.snapshot.store(Arc::new(before.apply(change)));
        for root in &change.trees {
            self.shared.engine.publish(*root, change.version);
        }
        for workspace in &change.workspaces {
            self.shared.engine.publish_workspace(*workspace, change.version);
        }
        line_records::retire(&gone, &self.shared.engine);
        for record in &change.records {
            if let Record::Webhook(webhook) = record {
                self.shared.bell.ring([webhook.workspace]);
            }
        }
        Ok(())
    }

    /// Writes all rows of a change, or none.
    fn write_rows(
        &mut self,
        (before, change): (&Snapshot, &Change),
        lines: &mut Lines,
        now: Now,
    ) -> rusqlite::Result<()> {
        let openings = self.openings(change, now);
        let tx = self.connection.transaction()?;
        config_rows::write(&tx, &self.shared.vault, change)?;
        for opening in &openings {
            ledger_rows::write_opening(&tx, opening)?;
        }
        let Shared { engine, line_use, .. } = &self.shared;
        line_records::write(&tx, (before, change), (engine, line_use), (lines, now))?;
        tx.commit()
    }

    /// What the DAY limits that this change declares start with, where that is not zero.
    fn openings(&self, change: &Change, now: Now) -> Vec<Opening> {
        let mut openings = Vec::new();
        for record in &change.records {
            if let Record::Group(group) = record {
                openings.extend(self.openings_of(group, change.version, now));
            }
        }
        openings
    }

    fn openings_of(&self, group: &Group, version: Version, now: Now) -> impl Iterator<Item = Opening> {
        let scope = match group.enforcement {
            Enforcement::Independent => UseScope::Own,
            Enforcement::Cascading => UseScope::Subtree,
        };
        let limits =
            group.models.iter().flat_map(|model| model.limits().map(move |limit| (&model.slug, limit)));
        let declared = limits.filter(move |(_, limit)| limit.unit == Unit::Day && limit.since == version);
        declared.filter_map(move |(slug, limit)| {
            let today = self.shared.today.used(group.id, scope, slug, now.day());
            let used = match limit.kind {
                LimitType::Request => today.requests,
                LimitType::Token => today.tokens,
            };
            let (slug, kind, day, at_ms) = (slug.clone(), limit.kind, now.day(), now.wall_ms);
            (used > 0).then_some(Opening { version, group: group.id, slug, kind, day, used, at_ms })
        })
    }
}

/// Writes which entries are not in the sums yet, and the sums whose turn it is.
fn write_late(
    tx: &Transaction<'_>,
    (late, line_use): (&LateSums, &LineUse),
    fresh: &[Fresh<'_>],
) -> rusqlite::Result<Wrote> {
    if !fresh.is_empty() {
        let ids: Vec<u8> = fresh.iter().flat_map(|(entry, _)| *entry.request_id.as_bytes()).collect();
        late.write_batch(tx, &ids)?;
    }
    late.write_due(tx, line_use)
}

/// Whether the rows hold such a thing already. The snapshot cannot tell: what was revoked or deleted is not in it.
fn is_taken(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    let unique = [
        ffi::SQLITE_CONSTRAINT_UNIQUE,
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
        // Between tables.
        ffi::SQLITE_CONSTRAINT_TRIGGER,
    ];
    code.is_some_and(|code| unique.contains(&code))
}

/// A key that was revoked is refused in the same words as one that is in force.
fn words_for_taken(change: &Change) -> &'static str {
    let of_key = |record: &Record| matches!(record, Record::Key(_) | Record::ManagementKey(_));
    if change.records.iter().any(of_key) { edit::key::TAKEN } else { TAKEN }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Books(..)")
    }
}
