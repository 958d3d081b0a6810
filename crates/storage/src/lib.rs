//! Configuration and ledger on disk, and the snapshot a node serves from.
//!
//! Everything that must outlive the process goes through one thread, the committer: ledger entries in batches, edits
//! of the configuration one at a time between them. Readers never meet it: they load an immutable
//! [`Snapshot`](domain::Snapshot) and ask an in-memory sum of today's use.
//!
//! Guarantees: an answered edit is on disk; an entry that was recorded is written once, however often it comes; when
//! the ledger cannot be written, no more permits are given, so nothing is admitted that could not be booked. Nobody
//! finds a credential or a secret in the files.
//! Knows nothing of: HTTP, clocks, and how a limit decides.
//! Begins at [`Store`]; what happens on disk begins at `committer`. Decisions on calls are kept beside, in `decisions`.

mod audit;
mod backup;
mod bell;
mod committer;
mod compile;
mod corrections;
mod decisions;
mod deliveries;
mod embedded;
mod error;
mod events;
mod history;
mod journal;
mod last_used;
mod ledger;
mod line_use;
mod numbers;
mod random;
mod recent;
mod recovery;
mod refusals;
mod retention;
mod signature;
mod store;
mod today;
mod vault;

pub use audit::{Audit, DIFFERENCES_MAX, Difference, LastAudit, Watch, audit_at_rest};
pub use backup::{
    BackupOrder, CopiedFile, JournalHold, MANIFEST_FILE, Manifest, Reached, backup_at_rest, restore,
};
pub use bell::Bell;
pub use compile::{PathOf, path_epoch};
pub use corrections::{BillChange, CORRECTIONS_MAX, Correction, CorrectionDraft, NotCorrected};
pub use decisions::{DecisionBounds, DecisionFacts, DecisionOutcome, Decisions, Recorded, TurnedAway};
pub use deliveries::{
    Delivery, DeliveryLine, DeliveryState, Lane, Outbox, OutboxNumbers, Redrive, RedriveError, Report, Then,
    Wanted,
};
pub use domain::BillingEvent;
pub use embedded::{Inspection, LedgerLine, LineEdit, UseChange};
pub use error::{BackupError, EditError, OpenError, Unavailable};
pub use events::{EventFilter, EventPage, EventSpan, EventWindow};
pub use history::{
    HISTORY_GROUPS_MAX, History, HistoryPlace, HistoryQuery, HistoryRow, Step, UsageBy, UsageSums,
};
pub use journal::{
    Admission, BootId, Full, JournalOptions, JournalUse, Pending, Recorder, SegmentSummary, Sync, Synced,
    Written, read_segment,
};
pub use ledger::{LEDGER_PENDING_MAX, Permit};
pub use numbers::Numbers;
pub use random::{RandomPool, random_base62, random_bytes};
pub use retention::Pruned;
pub use signature::is_signed_by;
pub use store::{ADDITIONS_MAX, Additions, EDITS_PENDING_MAX, Options, Store};
pub use today::{Use, UseScope};
pub use vault::{MasterKey, Vault};
