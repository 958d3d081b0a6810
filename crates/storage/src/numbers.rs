//! What the store can say of itself in numbers, read at once for whoever watches it.
//!
//! A plain value: what else is to be watched gets a field here, and a line where metrics are named.
//! Knows nothing of: metrics. Begins at [`Store::numbers`].

use crate::journal::JournalUse;
use crate::ledger::LEDGER_PENDING_MAX;
use crate::store::Store;

/// How the store does. Gauges are of this moment, counts since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Ledger entries that are promised to calls, or wait for the disk.
    pub ledger_pending: usize,
    /// How many of them there may be; past it no call is admitted.
    pub ledger_pending_max: usize,
    /// Whether the disk took the last batch and the ledger is open; if not, no call is admitted.
    pub ledger_writable: bool,
    /// Ledger entries written.
    pub ledger_entries: u64,
    /// Refusals that could not be kept on disk: too many at once, or the disk refused.
    pub refusals_lost: u64,
    /// How full the journal is, and what waits to go from there into the ledger.
    pub journal: JournalUse,
}

impl Store {
    /// The numbers of this moment. Asks no disk.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let room = self.room();
        Numbers {
            ledger_pending: room.taken(),
            ledger_pending_max: LEDGER_PENDING_MAX,
            ledger_writable: room.is_open(),
            ledger_entries: room.written(),
            refusals_lost: self.decisions().lost(),
            journal: self.journal_use(),
        }
    }
}
