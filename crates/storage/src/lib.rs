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

mod committer;
mod compile;
mod decisions;
mod embedded;
mod error;
mod last_used;
mod ledger;
mod line_use;
mod random;
mod signature;
mod store;
mod today;
mod vault;

pub use compile::{PathOf, path_epoch};
pub use decisions::{DecisionBounds, DecisionFacts, DecisionOutcome, Decisions, Recorded, TurnedAway};
pub use embedded::{Inspection, LedgerLine, LineEdit, UseChange};
pub use error::{EditError, OpenError, Unavailable};
pub use ledger::{LEDGER_PENDING_MAX, Permit};
pub use random::{random_base62, random_bytes};
pub use signature::is_signed_by;
pub use store::{EDITS_PENDING_MAX, Options, Store};
pub use today::{Use, UseScope};
pub use vault::{MasterKey, Vault};
