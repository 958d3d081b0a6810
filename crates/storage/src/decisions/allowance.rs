//! Which refusals go to disk: of a client that retries without end only so many, or it would push out everybody else's.
//!
//! Each (key, model) may have so many at once, and then one from time to time, so that every stretch of a storm has an
//! example. What callers of no granted model send as its name does not count: they could make up a new one each time.

use std::collections::HashMap;
use std::sync::Arc;

use domain::WorkspaceId;

use super::recorded::{DecisionFacts, DecisionOutcome};

/// Refusals of one (key, model) that go to disk at once.
pub(super) const AT_ONCE: u64 = 60;
/// After these, one more each time this has passed: three a minute.
pub(super) const ONE_EVERY_NS: u64 = 20_000_000_000;
/// Pairs that are remembered. A further one has none on disk until another has been quiet for a while: twenty minutes
/// after a storm.
pub(super) const PAIRS_MAX: usize = 10_000;

/// Workspace and prefix of the key, and the model if it was granted.
type Pair = (WorkspaceId, Arc<str>, Option<Arc<str>>);

/// What each pair may still write.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// When all of it is back, on the monotonic clock (GCRA: one number is all there is to remember).
    back_at: HashMap<Pair, u64, foldhash::fast::RandomState>,
    tidied_ns: Option<u64>,
}

impl Allowance {
    /// Whether this refusal goes to disk; it is counted if so.
    pub(super) fn take(&mut self, facts: &DecisionFacts) -> bool {
        let now = facts.at.mono_ns;
        let pair = pair(facts);
        if self.back_at.len() >= PAIRS_MAX && !self.back_at.contains_key(&pair) {
            self.tidy(now);
            if self.back_at.len() >= PAIRS_MAX {
                return false;
            }
        }
        let back_at = self.back_at.entry(pair).or_insert(now);
        let owed = back_at.saturating_sub(now);
        if owed > (AT_ONCE - 1) * ONE_EVERY_NS {
            return false;
        }
        *back_at = now.saturating_add(owed).saturating_add(ONE_EVERY_NS);
        true
    }

    /// Forgets pairs that have all of theirs. Now and then only: it goes through all.
    fn tidy(&mut self, now: u64) {
        let is_due = |tidied: u64| now.saturating_sub(tidied) >= ONE_EVERY_NS;
        if self.tidied_ns.is_none_or(is_due) {
            self.tidied_ns = Some(now);
            self.back_at.retain(|_, back_at| *back_at > now);
        }
    }
}

fn pair(facts: &DecisionFacts) -> Pair {
    let model = match facts.outcome {
        DecisionOutcome::Admitted | DecisionOutcome::Refused { .. } => Some(Arc::clone(&facts.model)),
        DecisionOutcome::TurnedAway(_) => None,
    };
    (facts.workspace, Arc::clone(&facts.key_prefix), model)
}
