//! A world and its oracle, side by side.

use domain::Now;
use limits::{Need, Verdict};
use proptest::prelude::*;

use crate::oracle::Oracle;
use crate::trace::{Declared, Outcome, Step, World, demand};

/// A world and its oracle, compared after every step.
pub(crate) struct Follower {
    world: World,
    oracle: Oracle,
    in_flight: Vec<InFlight>,
}

/// A call, the limits it was admitted on, and what it was charged in tokens, oldest first.
pub(crate) struct InFlight {
    pub(crate) path: Vec<Declared>,
    pub(crate) charges: Vec<(Now, u64)>,
}

impl Follower {
    pub(crate) fn new(limits: &[Declared]) -> Self {
        let mut oracle = Oracle::default();
        oracle.observe_thresholds(limits);
        Self { world: World::new(limits), oracle, in_flight: Vec::new() }
    }

    pub(crate) fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.note_ending(step);
        let outcome = self.world.step(step);
        self.oracle.observe_thresholds(&self.world.limits);
        match (step, outcome) {
            (Step::Ask { path, .. }, Outcome::Admitted { tokens, .. }) => self.admitted(*path, tokens)?,
            (Step::Ask { path, need, .. }, Outcome::Refused { limit, verdict, .. }) => {
                self.refused(*path, *need, (limit, verdict))?;
            }
            (Step::TopUp { nth, tokens, .. }, Outcome::ToppedUp) => self.topped_up(*nth, *tokens)?,
            (Step::TopUp { nth, tokens, .. }, Outcome::NotToppedUp { limit, verdict }) => {
                self.not_topped_up(*nth, *tokens, (limit, verdict))?;
            }
            _ => {}
        }
        self.compare()
    }

    fn note_ending(&mut self, step: &Step) {
        let (nth, used, requests) = match *step {
            Step::Settle { nth, tokens } => (nth, tokens, 1),
            Step::Release { nth } => (nth, 0, 1),
            Step::Cancel { nth } => (nth, 0, 0),
            Step::Wait(_) | Step::Ask { .. } | Step::TopUp { .. } | Step::Edit { .. } | Step::Sweep => return,
        };
        let Some(nth) = nth.checked_rem(self.in_flight.len()) else { return };
        let call = self.in_flight.remove(nth);
        self.oracle.ended(&call, (used, requests), self.world.now);
    }

    /// Every limit fits with this call in it.
    fn admitted(&mut self, path: usize, tokens: u64) -> Result<(), TestCaseError> {
        let path = self.world.on_path(path);
        self.oracle.admitted(&path, tokens, self.world.now);
        self.in_flight.push(InFlight { path: path.clone(), charges: vec![(self.world.now, tokens)] });
        path.iter().try_for_each(|limit| self.keeps_its_cap(limit))
    }

    /// Every limit on tokens that the call was admitted on fits with as much more in it.
    fn topped_up(&mut self, nth: usize, tokens: u64) -> Result<(), TestCaseError> {
        let nth = nth % self.in_flight.len();
        let call = &mut self.in_flight[nth];
        call.charges.push((self.world.now, tokens));
        self.oracle.topped_up(&call.path, tokens, self.world.now);
        let mut of_tokens = self.in_flight[nth].path.iter().filter(|limit| limit.key.measure.counts_tokens());
        of_tokens.try_for_each(|limit| self.keeps_its_cap(limit))
    }

    fn keeps_its_cap(&self, limit: &Declared) -> Result<(), TestCaseError> {
        let level = self.oracle.level(&limit.key, self.world.now);
        prop_assert!(level.exact + level.pending <= limit.threshold, "{:?} passes its cap", limit);
        Ok(())
    }

    /// The limit that is named is one on tokens and has no room, by the thresholds that the call was admitted at.
    fn not_topped_up(
        &self,
        nth: usize,
        tokens: u64,
        (limit, verdict): (usize, Verdict),
    ) -> Result<(), TestCaseError> {
        let path = &self.in_flight[nth % self.in_flight.len()].path;
        let asked = tokens.max(1);
        let never = |limit: &Declared| limit.key.measure.counts_tokens() && asked > limit.threshold;
        let first = path.iter().position(never);
        prop_assert_eq!(first.is_some(), verdict == Verdict::NeverFits);
        prop_assert!(first.is_none_or(|first| first == limit));
        let binding = &path[limit];
        prop_assert!(binding.key.measure.counts_tokens());
        let level = self.oracle.level(&binding.key, self.world.now);
        prop_assert!(level.most + level.pending + asked > binding.threshold, "{:?} fits", binding);
        Ok(())
    }

    /// The limit that is named does not fit, with the slack of a ring at the most.
    fn refused(&self, path: usize, need: Need, refusal: (usize, Verdict)) -> Result<(), TestCaseError> {
        let path = self.world.on_path(path);
        let binding = &path[refusal.0];
        let asked = demand(&path, binding, need);
        let never = path.iter().position(|limit| demand(&path, limit, need) > limit.threshold);
        prop_assert_eq!(never.is_some(), refusal.1 == Verdict::NeverFits);
        prop_assert!(never.is_none_or(|first| first == refusal.0));
        let level = self.oracle.level(&binding.key, self.world.now);
        prop_assert!(level.most + level.pending + asked > binding.threshold, "{:?} fits", binding);
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        for limit in &self.world.limits {
            let level = self.oracle.level(&limit.key, self.world.now);
            let reading = self.world.read(&limit.key);
            prop_assert_eq!(reading.pending, level.pending);
            prop_assert!(level.exact <= reading.used, "{:?} counts short: {:?} {:?}", limit, level, reading);
            prop_assert!(
                reading.used <= level.most,
                "{:?} counts too much: {:?} {:?}",
                limit,
                level,
                reading
            );
        }
        Ok(())
    }
}
