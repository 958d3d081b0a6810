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
/// What corrections may bring a call to, of each kind of tokens. Far more than a model reads or writes, and so little that
/// no sum comes to its end: what a sum cannot count is lost from it, even if the correction is taken back.
const TOKENS_MAX: i64 = 1_000_000_000_000;
/// The same in nano-USD: a million dollars.
const COST_MAX: i64 = 1_000_000_000_000_000;

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
    /// With it and those before, something of the call would be larger than a call can be.
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
            // The sums that it changes have to be there.
            books.write_sums()?;
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

    /// Both together, if nothing of it is below zero or raised to too much.
    pub(crate) fn with(self, more: Self) -> Result<Self, NotCorrected> {
        let add = |name, one: i64, two: i64, most: i64| match one.checked_add(two) {
            None if two < 0 => Err(NotCorrected::BelowZero(name)),
            None => Err(NotCorrected::TooLarge(name)),
            Some(sum) if sum < 0 => Err(NotCorrected::BelowZero(name)),
            Some(sum) if sum > most && two > 0 => Err(NotCorrected::TooLarge(name)),
            Some(sum) => Ok(sum),
        };
        let nanos = |cost: Option<SignedUsd>| cost.unwrap_or_default().0;
        let cost = add("cost_usd", nanos(self.cost), nanos(more.cost), COST_MAX)?;
        Ok(Self {
            input: add("input_tokens", self.input, more.input, TOKENS_MAX)?,
            output: add("output_tokens", self.output, more.output, TOKENS_MAX)?,
            cost: self.cost.or(more.cost).map(|_| SignedUsd(cost)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(input: i64) -> BillChange {
        BillChange { input, ..BillChange::default() }
    }

    fn dollars(nanos: i64) -> BillChange {
        BillChange { cost: Some(SignedUsd(nanos)), ..BillChange::default() }
    }

    #[test]
    fn a_call_is_raised_to_its_bound_and_no_further() {
        assert_eq!(tokens(10).with(tokens(TOKENS_MAX - 10)), Ok(tokens(TOKENS_MAX)));
        for more in [TOKENS_MAX - 9, i64::MAX] {
            assert_eq!(tokens(10).with(tokens(more)), Err(NotCorrected::TooLarge("input_tokens")));
        }
        assert_eq!(dollars(0).with(dollars(COST_MAX)), Ok(dollars(COST_MAX)));
        assert_eq!(dollars(0).with(dollars(COST_MAX + 1)), Err(NotCorrected::TooLarge("cost_usd")));
    }

    #[test]
    fn a_call_that_is_beyond_its_bound_by_itself_can_be_lowered() {
        assert_eq!(tokens(i64::MAX).with(tokens(-1)), Ok(tokens(i64::MAX - 1)));
        assert_eq!(tokens(i64::MAX).with(dollars(1)), Ok(BillChange { input: i64::MAX, ..dollars(1) }));
        assert_eq!(tokens(1).with(tokens(-2)), Err(NotCorrected::BelowZero("input_tokens")));
    }
}
