//! Which refusals go to disk: of a client that retries without end only so many, or it would push out everybody else's.
//!
//! Each (key, model) may have so many at once, and then one from time to time, so that every stretch of a storm has an
//! example. What callers of no granted model send as its name does not count: they could make up a new one each time.

use std::collections::HashMap;
use std::sync::Arc;

use domain::WorkspaceId;

use super::recorded::{DecisionFacts, DecisionOutcome, TurnedAway};

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
        DecisionOutcome::Admitted
        | DecisionOutcome::Refused { .. }
        | DecisionOutcome::TurnedAway(TurnedAway::Uncountable | TurnedAway::Unpriced | TurnedAway::NoUser) => {
            Some(Arc::clone(&facts.model))
        }
        DecisionOutcome::TurnedAway(TurnedAway::NotAllowed | TurnedAway::NoEndpoint) => None,
    };
    (facts.workspace, Arc::clone(&facts.key_prefix), model)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn at(now_ns: u64) -> DecisionFacts {
        let mut facts = DecisionFacts::refused(0);
        facts.at.mono_ns = now_ns;
        facts
    }

    #[test]
    fn a_storm_of_a_day_leaves_a_burst_and_then_an_example_from_every_stretch() {
        let mut allowance = Allowance::default();
        let ticks = 10 * 86_400;
        let taken: Vec<u64> = (0..ticks)
            .map(|tick| tick * SECOND_NS / 10)
            .filter(|now_ns| allowance.take(&at(*now_ns)))
            .collect();
        let by_and_by = 86_400 * SECOND_NS / ONE_EVERY_NS;
        assert!(
            (AT_ONCE + by_and_by - 1..=AT_ONCE + by_and_by).contains(&(taken.len() as u64)),
            "{}",
            taken.len()
        );
        assert!(taken.windows(2).all(|pair| pair[1] - pair[0] <= ONE_EVERY_NS), "no stretch is left out");
    }

    #[test]
    fn the_burst_is_exact_and_comes_back_with_quiet() {
        let mut allowance = Allowance::default();
        let burst =
            |allowance: &mut Allowance, now| (0..1_000).filter(|_| allowance.take(&at(now))).count() as u64;
        assert_eq!(burst(&mut allowance, 0), AT_ONCE);
        assert_eq!(burst(&mut allowance, ONE_EVERY_NS - 1), 0);
        assert_eq!(burst(&mut allowance, ONE_EVERY_NS), 1);
        assert_eq!(burst(&mut allowance, (AT_ONCE + 1) * ONE_EVERY_NS), AT_ONCE);
    }

    #[test]
    fn each_key_and_granted_model_has_its_own_and_made_up_names_share_one() {
        let mut allowance = Allowance::default();
        let mut count = |change: &dyn Fn(&mut DecisionFacts, u64)| {
            let facts = |nth| {
                let mut facts = at(0);
                change(&mut facts, nth);
                facts
            };
            (0..1_000).filter(|nth| allowance.take(&facts(*nth))).count() as u64
        };
        assert_eq!(count(&|_, _| {}), AT_ONCE);
        assert_eq!(count(&|facts, _| facts.model = "acme/m2".into()), AT_ONCE);
        assert_eq!(count(&|facts, _| facts.key_prefix = "sky_two".into()), AT_ONCE);
        assert_eq!(count(&|facts, _| facts.workspace = WorkspaceId(2)), AT_ONCE);
        let made_up = |facts: &mut DecisionFacts, nth| {
            facts.model = format!("gpt-{nth}").into();
            facts.outcome = DecisionOutcome::TurnedAway(TurnedAway::NotAllowed);
        };
        assert_eq!(count(&made_up), AT_ONCE);
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_quiet_pairs_make_room() {
        let mut allowance = Allowance::default();
        let mut taken = |now_ns, from: usize| {
            let facts = |nth: usize| DecisionFacts { key_prefix: format!("{nth}").into(), ..at(now_ns) };
            let taken = (from..from + PAIRS_MAX + 9).filter(|nth| allowance.take(&facts(*nth))).count();
            assert!(allowance.back_at.len() <= PAIRS_MAX);
            taken
        };
        assert_eq!(taken(0, 0), PAIRS_MAX);
        assert_eq!(taken(1, 0), PAIRS_MAX, "those that are known go on");
        assert_eq!(
            taken(2 * ONE_EVERY_NS, 1_000_000),
            PAIRS_MAX,
            "after a while of quiet others have their turn"
        );
    }
}
