//! A world and its oracle, side by side.

use limits::{CounterKey, Need, Verdict};
use proptest::prelude::*;

use crate::oracle::Oracle;
use crate::trace::{Declared, Outcome, Step, World, demand};

/// A world and its oracle, compared after every step.
pub(crate) struct Follower {
    world: World,
    oracle: Oracle,
    in_flight: Vec<Vec<CounterKey>>,
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
            _ => {}
        }
        self.compare()
    }

    fn note_ending(&mut self, step: &Step) {
        let (nth, used, requests) = match *step {
            Step::Settle { nth, tokens } => (nth, tokens, 1),
            Step::Release { nth } => (nth, 0, 1),
            Step::Cancel { nth } => (nth, 0, 0),
            Step::Wait(_) | Step::Ask { .. } | Step::Edit { .. } | Step::Sweep => return,
        };
        let Some(nth) = nth.checked_rem(self.in_flight.len()) else { return };
        let path = self.in_flight.remove(nth);
        let held = &self.world.held[nth];
        let numbers = (held.reservation.tokens(), used, requests);
        self.oracle.ended(&path, held.charged, numbers, self.world.now);
    }

    /// Every limit fits with this call in it.
    fn admitted(&mut self, path: usize, tokens: u64) -> Result<(), TestCaseError> {
        let path = self.world.on_path(path);
        self.oracle.admitted(&path, tokens, self.world.now);
        self.in_flight.push(path.iter().map(|limit| limit.key.clone()).collect());
        for limit in path {
            let level = self.oracle.level(&limit.key, self.world.now);
            prop_assert!(level.exact + level.pending <= limit.threshold, "{:?} passes its cap", limit);
        }
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
