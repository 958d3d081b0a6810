//! Many additions in one transaction: each sees what those before it did, and has a version and an id of its own.
//!
//! Guarantees: an addition that is refused leaves those before it, and none after it is tried.
//! Knows nothing of: what is added; that is `domain::edit::addition`. Begins at [`Books::add_all`].

use std::collections::HashSet;

use domain::edit::addition::{Added, Addition, add};
use domain::{Change, Context, GroupId, Now, Rejection, Snapshot, Version, WorkspaceId};
use rusqlite::Transaction;

use super::{Books, config_rows, is_taken, words_for_taken};
use crate::embedded::PAGES_KIB;
use crate::store::Additions;

/// KiB of pages that are kept while additions are made. Ten thousand keys lie on twice as many pages, all over the file: with
/// less room each is written and read again several times before the transaction ends.
const CACHE_KIB: i64 = 256 * 1_024;

/// One addition that was made, and the roots of the trees that it touched.
type Made = (Added, Vec<GroupId>);

impl Books {
    /// Adds them in their order, until one is refused.
    pub(crate) fn add_all(
        &mut self,
        workspace: WorkspaceId,
        additions: Vec<Addition>,
        now: Now,
    ) -> rusqlite::Result<Additions> {
        self.connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let added = self.add_each(workspace, additions, now);
        self.connection.pragma_update(None, "cache_size", -PAGES_KIB)?;
        added
    }

    fn add_each(
        &mut self,
        workspace: WorkspaceId,
        additions: Vec<Addition>,
        now: Now,
    ) -> rusqlite::Result<Additions> {
        let before = self.shared.snapshot.load_full();
        let (mut working, mut done) = (Snapshot::clone(&before), Additions::default());
        let mut trees = HashSet::new();
        let tx = self.connection.unchecked_transaction()?;
        for addition in additions {
            match self.add(&tx, &mut working, (workspace, addition, now))? {
                Ok((added, roots)) => {
                    done.note(added);
                    // Of a tree that is new nobody knows a path.
                    trees.extend(roots.into_iter().filter(|root| before.group(*root).is_some()));
                }
                Err(rejection) => {
                    done.refused = Some(rejection);
                    break;
                }
            }
        }
        working.fold_if_grown();
        let version = working.version();
        config_rows::write_version(&tx, version)?;
        tx.commit()?;
        self.shared.snapshot.store(working.into());
        trees.iter().for_each(|root| self.shared.engine.publish(*root, version));
        Ok(done)
    }

    /// One addition, as rows and in the snapshot.
    fn add(
        &self,
        tx: &Transaction<'_>,
        working: &mut Snapshot,
        (workspace, addition, now): (WorkspaceId, Addition, Now),
    ) -> rusqlite::Result<Result<Made, Rejection>> {
        let fresh_id = match addition {
            Addition::Group(_) => self.fresh_id(working)?,
            // They have none.
            Addition::Key(_) => 0,
        };
        let version = Version(working.version().0.saturating_add(1));
        let cx = Context { snapshot: working, version, now_s: now.wall_s(), now_ms: now.wall_ms, fresh_id };
        let (change, added) = match add(&cx, workspace, addition) {
            Ok(made) => made,
            Err(rejection) => return Ok(Err(rejection)),
        };
        match self.write_records(tx, &change) {
            Ok(()) => {}
            // A statement that fails changes nothing, and an addition is one statement.
            Err(error) if is_taken(&error) => {
                return Ok(Err(Rejection::Invalid(words_for_taken(&change).into())));
            }
            Err(error) => return Err(error),
        }
        if !change.records.is_empty() {
            working.advance(&change);
        }
        Ok(Ok((added, change.trees)))
    }

    fn write_records(&self, tx: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
        change.records.iter().try_for_each(|record| config_rows::write_record(tx, &self.shared.vault, record))
    }
}
