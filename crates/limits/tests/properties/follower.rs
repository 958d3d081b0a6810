//! A world and its oracle, side by side.

use domain::Now;
use limits::{Size, Verdict};
use proptest::prelude::*;

use crate::oracle::Oracle;
use crate::trace::{Declared, Outcome, Step, World, amount, least, output, plus, used};

/// A world and its oracle, compared after every step.
pub(crate) struct Follower {
    world: World,
    oracle: Oracle,
    in_flight: Vec<InFlight>,
}

/// A call, the limits it was admitted on, what it holds, and what it was charged in tokens, oldest first.
pub(crate) struct InFlight {
    pub(crate) path: Vec<Declared>,
    pub(crate) held: Size,
    pub(crate) charges: Vec<(Now, u64)>,
}

impl Follower {
    pub(crate) fn new(limits: &[Declared]) -> Self {
        let mut oracle = Oracle::default();
        oracle.observe_thresholds(limits);
        Self { world: World::new(limits), oracle, in_flight: Vec::new() }
    }

    pub(crate) fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.note(step);
        let outcome = self.world.step(step);
        self.oracle.observe_thresholds(&self.world.limits);
        match (step, outcome) {
            (Step::Ask { path, .. }, Outcome::Admitted { size, .. }) => self.admitted(*path, size)?,
            (Step::Ask { path, need, .. }, Outcome::Refused { limit, verdict, .. }) => {
                let path = self.world.on_path(*path);
                self.refused(&path, least(&path, *need), (limit, verdict))?;
            }
            (Step::TopUp { nth, tokens, .. }, Outcome::ToppedUp) => self.topped_up(*nth, *tokens)?,
            (Step::TopUp { nth, tokens, .. }, Outcome::NotToppedUp { limit, verdict }) => {
                self.not_topped_up(*nth, *tokens, (limit, verdict))?;
            }
            (Step::Recycle { nth, .. }, _) => {
                if let Some(line) = self.world.line(*nth) {
                    self.oracle.recycled(&self.world.limits[line], self.world.now);
                }
            }
            _ => {}
        }
        self.compare()
    }

    /// What is known of a step before it is made.
    fn note(&mut self, step: &Step) {
        let (nth, size, requests) = match *step {
            Step::Settle { nth, tokens } => (nth, used(tokens), 1),
            Step::Release { nth } => (nth, Size::ZERO, 1),
            Step::Cancel { nth } => (nth, Size::ZERO, 0),
            Step::Reset { nth } => {
                return self
                    .world
                    .line(nth)
                    .into_iter()
                    .for_each(|line| self.oracle.reset(&self.world.limits[line].key));
            }
            Step::Wait(_)
            | Step::Ask { .. }
            | Step::TopUp { .. }
            | Step::Edit { .. }
            | Step::Recycle { .. }
            | Step::Sweep => return,
        };
        let Some(nth) = nth.checked_rem(self.in_flight.len()) else { return };
        let call = self.in_flight.remove(nth);
        self.oracle.ended(&call, (size, requests), (&self.world.limits, self.world.now));
    }

    /// Every limit fits with this call in it.
    fn admitted(&mut self, path: usize, size: Size) -> Result<(), TestCaseError> {
        let path = self.world.on_path(path);
        self.oracle.admitted(&path, size, self.world.now);
        let charges = vec![(self.world.now, size.tokens)];
        self.in_flight.push(InFlight { path: path.clone(), held: size, charges });
        path.iter().try_for_each(|limit| self.keeps_its_cap(limit))
    }

    /// Every limit on tokens or dollars that the call was admitted on fits with as much more in it.
    fn topped_up(&mut self, nth: usize, tokens: u64) -> Result<(), TestCaseError> {
        let nth = nth % self.in_flight.len();
        let call = &mut self.in_flight[nth];
        call.charges.push((self.world.now, tokens));
        call.held = plus(call.held, output(tokens));
        self.oracle.topped_up(&call.path, output(tokens), self.world.now);
        let mut weighing = self.in_flight[nth].path.iter().filter(|limit| limit.key.measure.weighs());
        weighing.try_for_each(|limit| self.keeps_its_cap(limit))
    }

    fn keeps_its_cap(&self, limit: &Declared) -> Result<(), TestCaseError> {
        let level = self.oracle.level(&limit.key, self.world.now);
        prop_assert!(level.exact + level.pending <= limit.threshold, "{:?} passes its cap", limit);
        Ok(())
    }

    /// The limit that is named is one on tokens or dollars and has no room, by the thresholds that the call was admitted
    /// at.
    fn not_topped_up(
        &self,
        nth: usize,
        tokens: u64,
        (limit, verdict): (usize, Verdict),
    ) -> Result<(), TestCaseError> {
        let path = &self.in_flight[nth % self.in_flight.len()].path;
        let weighing: Vec<Declared> =
            path.iter().filter(|limit| limit.key.measure.weighs()).cloned().collect();
        let named = weighing.iter().position(|weighs| weighs.key == path[limit].key);
        prop_assert!(named.is_some());
        self.refused(&weighing, output(tokens), (named.unwrap(), verdict))
    }

    /// The limit that is named does not fit, with the slack of a ring at the most. A budget is named only where all else
    /// fits.
    fn refused(
        &self,
        path: &[Declared],
        size: Size,
        (limit, verdict): (usize, Verdict),
    ) -> Result<(), TestCaseError> {
        let asked = |limit: &Declared| amount(&limit.key, size).max(1);
        let is_budget = |limit: &Declared| limit.key.measure.counts_usd();
        let never = |budgets: bool| {
            path.iter().position(|limit| is_budget(limit) == budgets && asked(limit) > limit.threshold)
        };
        let binding = &path[limit];
        let expected = match (never(false), never(true)) {
            (Some(first), _) => {
                prop_assert_eq!(first, limit);
                Some(Verdict::NeverFits)
            }
            (None, Some(first)) if is_budget(binding) => {
                prop_assert_eq!(first, limit);
                Some(Verdict::NeverFits)
            }
            (None, Some(_)) => Some(Verdict::Blocked),
            (None, None) => None,
        };
        prop_assert!(expected.is_none_or(|expected| expected == verdict), "{:?}", verdict);
        let waits = matches!(verdict, Verdict::Wait { .. });
        prop_assert!(expected.is_some() || waits);
        let level = self.oracle.level(&binding.key, self.world.now);
        prop_assert!(level.most + level.pending + asked(binding) > binding.threshold, "{:?} fits", binding);
        for other in path.iter().filter(|other| is_budget(binding) && !is_budget(other)) {
            let level = self.oracle.level(&other.key, self.world.now);
            prop_assert!(
                level.exact + level.pending + asked(other) <= other.threshold,
                "{:?} refuses",
                other
            );
        }
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
