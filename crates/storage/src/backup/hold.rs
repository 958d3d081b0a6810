//! Whether somebody copies the journal: as long as that is so, its files stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// How many hold the journal.
#[derive(Debug, Clone, Default)]
pub(crate) struct JournalHolds(Arc<AtomicUsize>);

/// Files of the journal stay as long as this is there.
#[derive(Debug)]
#[must_use]
pub struct JournalHold(Arc<AtomicUsize>);

impl JournalHolds {
    pub(crate) fn hold(&self) -> JournalHold {
        self.0.fetch_add(1, SeqCst);
        JournalHold(Arc::clone(&self.0))
    }

    /// No file goes away any more as long as this process lives.
    pub(crate) fn hold_for_good(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    /// Whether files have to stay: asked right before one is removed.
    pub(crate) fn is_held(&self) -> bool {
        self.0.load(SeqCst) > 0
    }
}

impl Drop for JournalHold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_held_until_the_last_hold_is_dropped() {
        let holds = JournalHolds::default();
        let (first, second) = (holds.hold(), holds.hold());
        drop(first);
        assert!(holds.is_held());
        drop(second);
        assert!(!holds.is_held());
    }
}
