//! The committer's desk: what it writes with, and the views it keeps in step with the disk.
//!
//! Guarantees: the disk first, then the views. A view never shows what the disk could still refuse.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::{
    Change, Context, Enforcement, Entry, Group, LimitType, Now, Record, Rejection, Snapshot, Unit, Version,
    edit,
};
use rusqlite::{Connection, Transaction, ffi, params};

use super::ledger_rows::Opening;
use super::line_records::Lines;
use super::lock::Lock;
use super::{config_rows, fields, ledger_rows, line_records, load};
use crate::bell::Bell;
use crate::committer::{EditJob, Prepared};
use crate::error::EditError;
use crate::last_used::LastUsed;
use crate::line_use::LineUse;
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
    /// Last, so that the directory is free only after the file is closed.
    _lock: Lock,
}

impl Books {
    pub(crate) fn new(connection: Connection, lock: Lock, shared: Shared) -> Self {
        Self { connection, shared, _lock: lock }
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

    /// Writes a batch of entries, all or none. Answers how many of them were not there before.
    pub(crate) fn write_entries(&mut self, entries: &[Entry]) -> rusqlite::Result<u64> {
        let tx = self.connection.transaction()?;
        let sums = ledger_rows::write(&tx, entries, &self.shared.line_use)?;
        tx.commit()?;
        self.shared.today.add(sums.day_use);
        self.shared.line_use.put(sums.lines);
        self.ring_for(entries);
        Ok(sums.fresh)
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
