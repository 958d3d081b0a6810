//! Groups and keys in bulk.

use domain::edit::addition::{Added, Addition};
use domain::{Now, Rejection, WorkspaceId};

use super::Store;
use crate::error::Unavailable;

/// The most that should be added at once: calls and edits wait meanwhile.
pub const ADDITIONS_MAX: usize = 10_000;

/// What became of additions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Additions {
    /// Groups that were made.
    pub groups: u64,
    /// Keys that were made.
    pub keys: u64,
    /// Groups and keys that were there already, as they are wanted.
    pub already_there: u64,
    /// Why the next one after all these was not made. Those after it were not tried.
    pub refused: Option<Rejection>,
}

impl Additions {
    pub(crate) fn note(&mut self, added: Added) {
        let counter = match added {
            Added::Group => &mut self.groups,
            Added::Key => &mut self.keys,
            Added::AlreadyThere => &mut self.already_there,
        };
        *counter = counter.saturating_add(1);
    }

    /// How many are in the store now: made, or there already.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.groups.saturating_add(self.keys).saturating_add(self.already_there)
    }
}

impl Store {
    /// Adds groups and keys in one transaction, in their order: each may name what one before it made. The first that is
    /// refused ends it, and those before it stay. At most [`ADDITIONS_MAX`] should come at once.
    ///
    /// # Errors
    /// When the store cannot write; then none is added.
    pub async fn add_all(
        &self,
        workspace: WorkspaceId,
        additions: Vec<Addition>,
        now: Now,
    ) -> Result<Additions, Unavailable> {
        self.on_desk(move |books| books.add_all(workspace, additions, now)).await
    }
}
