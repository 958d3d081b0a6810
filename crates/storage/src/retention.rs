//! What is older than the ledger has to tell is taken out of it, a bounded batch at a time.
//!
//! Guarantees: a call goes with its event, in one transaction, and events go in their order, so what is left has no gap.
//! Sums by the hour stay for good. What a line of a model config has used stays what it is: for what is taken out of its
//! present period an opening is written.
//! Begins at [`Store::prune`].

use domain::{Day, Now};

use crate::embedded;
use crate::error::Unavailable;
use crate::store::Store;

/// Milliseconds in an hour: pruned are whole hours.
const HOUR_MS: u64 = 3_600_000;

/// What one batch took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Calls and corrections.
    pub lines: usize,
    /// Whether there may be more that is old.
    pub more: bool,
}

impl Store {
    /// Takes out a batch of what ended more than so many days ago. Entries and edits come between two batches.
    ///
    /// # Errors
    /// When the store cannot write.
    pub async fn prune(&self, now: Now, retain_days: u32) -> Result<Pruned, Unavailable> {
        let kept_ms = u64::from(retain_days).saturating_mul(Day::LENGTH_MS);
        let before_ms = now.wall_ms.saturating_sub(kept_ms) / HOUR_MS * HOUR_MS;
        self.on_desk(move |books| embedded::prune(books, before_ms)).await
    }
}
