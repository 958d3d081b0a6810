//! Whether everything that is kept can be recomputed from the ledger: sums, events, and what counters hold.
//!
//! Guarantees: changes nothing; a call that is under way is no difference; what is said is bounded.
//! Begins at [`Store::audit`] and, for a directory that nobody serves from, [`audit_at_rest`].

mod live;
mod subject;

use std::fmt::Display;
use std::path::Path;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub use self::live::Watch;
use crate::embedded;
use crate::error::{OpenError, Unavailable};
use crate::store::Store;

/// Differences that are told one by one; further ones are counted.
pub const DIFFERENCES_MAX: usize = 1_000;
/// What was not compared is told so often.
const SKIPPED_MAX: usize = 20;

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Audit {
    /// Entries of the ledger that were added up.
    pub entries: u64,
    /// Rows and counters that were compared.
    pub compared: u64,
    /// What is not as it should be, at most [`DIFFERENCES_MAX`] of it.
    pub differences: Vec<Difference>,
    /// How many more there are.
    pub more: u64,
    /// What could not be compared, the first few: counters of which calls were under way all the time.
    pub not_compared: Vec<String>,
    /// How many that were in all.
    pub skipped: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which table and column, or which counter.
    pub what: String,
    /// Whose, and of when.
    pub place: String,
    /// What the ledger says.
    pub expected: String,
    /// What is kept.
    pub found: String,
}

/// The last audit of a store that is open: for those who watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastAudit {
    /// When it ended, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// How many differences it found.
    pub differences: u64,
}

/// Audits a directory that nobody serves from, as it lies there.
///
/// # Errors
/// When somebody does, when there is no store of this program's version, or when it cannot be read.
pub fn audit_at_rest(dir: &Path) -> Result<Audit, OpenError> {
    let _lock = embedded::lock_at_rest(dir)?;
    audit_rows(embedded::open_at_rest(dir)?)
}

impl Store {
    /// Audits what is on disk, in a transaction of its own beside the committer, then what is in memory.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn audit(&self, watch: &Watch) -> Result<Audit, Unavailable> {
        self.flush().await;
        let dir = self.dir().to_owned();
        let read = move || audit_rows(embedded::open_reader(&dir)?);
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| Unavailable)?;
        let mut audit = read.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the ledger cannot be audited");
            Unavailable
        })?;
        live::compare(self, watch, &mut audit).await?;
        self.note_audit(LastAudit { at_ms: watch.clock.now().wall_ms, differences: audit.count() });
        Ok(audit)
    }
}

fn audit_rows(mut reader: Connection) -> Result<Audit, OpenError> {
    let mut audit = Audit::default();
    embedded::audit(&mut reader, &mut audit).map_err(OpenError::database("adding up the ledger"))?;
    Ok(audit)
}

impl Audit {
    /// How many differences there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.differences.len()).unwrap_or(u64::MAX).saturating_add(self.more)
    }

    /// Notes a difference.
    pub(crate) fn differ(
        &mut self,
        what: impl Display,
        place: impl FnOnce() -> String,
        (expected, found): (&dyn Display, &dyn Display),
    ) {
        if self.differences.len() >= DIFFERENCES_MAX {
            self.more = self.more.saturating_add(1);
            return;
        }
        let (expected, found) = (expected.to_string(), found.to_string());
        self.differences.push(Difference { what: what.to_string(), place: place(), expected, found });
    }

    /// Notes that something could not be compared.
    pub(crate) fn skip(&mut self, what: impl FnOnce() -> String) {
        self.skipped = self.skipped.saturating_add(1);
        if self.not_compared.len() < SKIPPED_MAX {
            self.not_compared.push(what());
        }
    }
}
