//! What was billed wrongly is put right by a line of its own: signed differences, and who reads the bill is told of both.
//!
//! Guarantees: a correction, its event and the change of the sums are one transaction. What a call comes to with all its
//! corrections is never below zero. No counter changes: limits were charged what they were charged.
//! Begins at [`Store::correct`].

use domain::{Now, RequestId, SignedUsd, Snapshot, WorkspaceId};

use crate::embedded::{self, LedgerLine};
use crate::error::Unavailable;
use crate::random::random_bytes;
use crate::store::Store;

/// Corrections of one call.
pub const CORRECTIONS_MAX: usize = 100;

/// What is to be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionDraft {
    /// Whose call it must be.
    pub workspace: WorkspaceId,
    /// The call.
    pub corrects: RequestId,
    /// What is added to it.
    pub change: BillChange,
    /// Why, for people.
    pub reason: String,
}

/// Signed differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BillChange {
    /// Prompt tokens.
    pub input: i64,
    /// Completion tokens.
    pub output: i64,
    /// What it costs; none where nothing was said of it.
    pub cost: Option<SignedUsd>,
}

/// A correction that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// Its own id.
    pub id: RequestId,
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// What it added.
    pub change: BillChange,
    /// Why.
    pub reason: String,
    /// The sequence of its event.
    pub sequence: u64,
}

/// Why a correction was not made. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCorrected {
    /// The workspace has no such call, or no longer.
    NoSuchCall,
    /// With it and those before, something of the call would be below zero.
    BelowZero(&'static str),
    /// With it and those before, something of the call would be too large to count.
    TooLarge(&'static str),
    /// The call has been corrected [`CORRECTIONS_MAX`] times.
    TooOften,
    /// Whoever asked may not any more.
    NotAllowed,
    /// The store cannot write now.
    Unavailable,
}

impl Store {
    /// Puts right what was billed for a call. `allowed` is asked of the configuration as it stands then.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn correct<F>(
        &self,
        now: Now,
        draft: CorrectionDraft,
        allowed: F,
    ) -> Result<Correction, NotCorrected>
    where
        F: FnOnce(&Snapshot) -> bool + Send + 'static,
    {
        let id = RequestId::new(now.wall_ms, random_bytes());
        let corrected = self.on_desk(move |books| {
            if !allowed(&books.snapshot().load()) {
                return Ok(Err(NotCorrected::NotAllowed));
            }
            let corrected = books.write(|tx| embedded::correct(tx, &draft, (id, now.wall_ms)))?;
            // A correction is an event: it is delivered like any other.
            books.bell().ring([draft.workspace]);
            Ok(corrected)
        });
        corrected.await.unwrap_or(Err(NotCorrected::Unavailable))
    }

    /// The ledger's line about a call, with its corrections in the order in which they were made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn corrected_entry(
        &self,
        request: RequestId,
    ) -> Result<Option<(LedgerLine, Vec<Correction>)>, Unavailable> {
        self.read(move |reader| {
            let Some(line) = embedded::read_entry(reader, &request)? else { return Ok(None) };
            Ok(Some((line, embedded::read_corrections(reader, &request)?)))
        })
        .await
    }
}

impl BillChange {
    /// A call as it was billed at first.
    pub(crate) fn of(line: &LedgerLine) -> Self {
        Self {
            input: i64::try_from(line.usage.input).unwrap_or(i64::MAX),
            output: i64::try_from(line.usage.output).unwrap_or(i64::MAX),
            cost: line.cost.map(SignedUsd::from),
        }
    }

    /// Both together, if nothing of it is below zero or too large.
    pub(crate) fn with(self, more: Self) -> Result<Self, NotCorrected> {
        let add = |name, one: i64, two: i64| match one.checked_add(two) {
            None if two < 0 => Err(NotCorrected::BelowZero(name)),
            None => Err(NotCorrected::TooLarge(name)),
            Some(sum) if sum < 0 => Err(NotCorrected::BelowZero(name)),
            Some(sum) => Ok(sum),
        };
        let nanos = |cost: Option<SignedUsd>| cost.unwrap_or_default().0;
        let cost = add("cost_usd", nanos(self.cost), nanos(more.cost))?;
        Ok(Self {
            input: add("input_tokens", self.input, more.input)?,
            output: add("output_tokens", self.output, more.output)?,
            cost: self.cost.or(more.cost).map(|_| SignedUsd(cost)),
        })
    }
}
