//! Random traces: a small CASCADING tree, its limits, and what happens to it.

use std::sync::Arc;

use domain::{Day, GroupId, LimitType, Now, Unit, Version};
use limits::{
    CounterKey, CounterScope, Decision, Engine, Explanation, LimitState, Measure, Need, Path, PathLimit,
    PathSpec, Reading, Refusal, Reservation, Seen, Shown, Standing, TopUp, Verdict,
};
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) const ROOT: GroupId = GroupId(0);
/// Owners on the path of each caller, its own group first: two leaves, and the group above them.
pub(crate) const PATHS: [&[u64]; 3] = [&[2, 1, 0], &[3, 1, 0], &[1, 0]];

/// A limit of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    pub(crate) key: CounterKey,
    pub(crate) threshold: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Wait(u64),
    /// `lag`: the caller read its clock that long before.
    Ask {
        path: usize,
        need: Need,
        lag: u64,
    },
    TopUp {
        nth: usize,
        tokens: u64,
        lag: u64,
    },
    Settle {
        nth: usize,
        tokens: u64,
    },
    Release {
        nth: usize,
    },
    Cancel {
        nth: usize,
    },
    Edit {
        nth: usize,
        threshold: u64,
    },
    Sweep,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Nothing,
    Admitted { tokens: u64, standings: Vec<Standing>, seen: Vec<LimitState> },
    Refused { limit: usize, verdict: Verdict, standings: Vec<Standing>, states: Vec<LimitState>, at: Now },
    ToppedUp,
    NotToppedUp { limit: usize, verdict: Verdict },
}

/// An engine with a configuration and a clock, and the calls in flight.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) limits: Vec<Declared>,
    pub(crate) now: Now,
    pub(crate) held: Vec<Held>,
    /// How far the wall clock is ahead of what it should be.
    pub(crate) skew_ms: u64,
    epoch: u64,
    paths: [Option<Arc<Path>>; 3],
}

pub(crate) struct Held {
    pub(crate) reservation: Reservation,
    /// The limits it was admitted on.
    pub(crate) path: Vec<Declared>,
}

impl World {
    pub(crate) fn new(limits: &[Declared]) -> Self {
        let mut world = Self {
            engine: Engine::new(),
            limits: limits.to_vec(),
            now: Now::default(),
            held: Vec::new(),
            skew_ms: 0,
            epoch: 0,
            paths: [None, None, None],
        };
        // An hour before midnight, and not at a round number of anything.
        world.wait(82_800_123_456_789);
        world
    }

    /// The world after `steps`.
    pub(crate) fn after(limits: &[Declared], steps: &[Step]) -> Self {
        let mut world = Self::new(limits);
        for step in steps {
            world.step(step);
        }
        world
    }

    pub(crate) fn step(&mut self, step: &Step) -> Outcome {
        match *step {
            Step::Wait(nanos) => self.wait(nanos),
            Step::Ask { path, need, lag } => return self.ask(path, need, lag),
            Step::TopUp { nth, tokens, lag } => return self.top_up(nth, tokens, lag),
            Step::Settle { nth, tokens } => {
                self.end(nth, |engine, held, now| {
                    engine.settle(held, tokens, now);
                });
            }
            Step::Release { nth } => self.end(nth, |engine, held, now| engine.release(held, now)),
            Step::Cancel { nth } => self.end(nth, |engine, held, now| engine.cancel(held, now)),
            Step::Edit { nth, threshold } => {
                if let Some(nth) = nth.checked_rem(self.limits.len()) {
                    self.limits[nth].threshold = threshold;
                    self.epoch += 1;
                    self.engine.publish(ROOT, Version(self.epoch));
                }
            }
            Step::Sweep => {
                self.engine.sweep(self.now);
            }
        }
        Outcome::Nothing
    }

    pub(crate) fn wait(&mut self, nanos: u64) {
        let mono_ns = self.now.mono_ns + nanos;
        let wall_ms = Day(20_000).start_ms() + mono_ns / 1_000_000 + self.skew_ms;
        self.now = Now { mono_ns, wall_ms };
        // Something happens in the tree at this time, so that a caller with an older reading really is late.
        let nothing = PathSpec { root: ROOT, epoch: Version(0), shown: Shown::Own, limits: Vec::new() };
        let _bound = self.engine.bind(nothing, self.now);
    }

    pub(crate) fn ask(&mut self, path: usize, need: Need, lag: u64) -> Outcome {
        let late = self.late(lag);
        let mut seen = Seen::default();
        for _ in 0..2 {
            let bound = self.paths[path].take().unwrap_or_else(|| self.bind(path));
            match self.engine.reserve(&bound, need, late, Some(&mut seen)) {
                Decision::Stale => assert!(seen.is_empty()),
                Decision::Admitted(admission) => {
                    let bound_limits = bound.shared_limits();
                    self.paths[path] = Some(bound);
                    let tokens = admission.reservation.tokens();
                    let standings = admission.standings.iter().collect();
                    let at = admission.reservation.admitted_at();
                    assert_eq!(at, self.now, "the time of the tree");
                    let seen = seen.states(&bound_limits, at);
                    self.held.push(Held { reservation: admission.reservation, path: self.on_path(path) });
                    return Outcome::Admitted { tokens, standings, seen };
                }
                Decision::Refused(refusal) => {
                    self.paths[path] = Some(bound);
                    assert!(seen.is_empty());
                    let Refusal { limit, verdict, at, .. } = refusal;
                    let (standings, states) = (refusal.standings.iter().collect(), refusal.states.to_vec());
                    return Outcome::Refused { limit, verdict, standings, states, at };
                }
            }
        }
        panic!("a path that was just bound is stale");
    }

    fn top_up(&mut self, nth: usize, tokens: u64, lag: u64) -> Outcome {
        let late = self.late(lag);
        let Some(nth) = nth.checked_rem(self.held.len()) else { return Outcome::Nothing };
        let held = &mut self.held[nth].reservation;
        let before = held.tokens();
        let answer = self.engine.top_up(held, tokens, late);
        let granted = if answer == TopUp::Granted { tokens } else { 0 };
        assert_eq!(held.tokens(), before + granted);
        match answer {
            TopUp::Granted => Outcome::ToppedUp,
            TopUp::Refused { limit, verdict } => Outcome::NotToppedUp { limit, verdict },
        }
    }

    /// What a caller reads whose clock lags.
    fn late(&self, lag: u64) -> Now {
        Now {
            mono_ns: self.now.mono_ns.saturating_sub(lag),
            wall_ms: self.now.wall_ms.saturating_sub(lag / 1_000_000),
        }
    }

    fn end(&mut self, nth: usize, end: impl FnOnce(&Engine, Reservation, Now)) {
        if let Some(nth) = nth.checked_rem(self.held.len()) {
            end(&self.engine, self.held.remove(nth).reservation, self.now);
        }
    }

    pub(crate) fn bind(&self, path: usize) -> Arc<Path> {
        self.engine.bind(self.spec(path), self.now)
    }

    /// What the same call by a caller whose clock is right would meet.
    pub(crate) fn explain(&self, path: usize, need: Need) -> Explanation {
        self.engine.explain(&self.spec(path), need, self.now).expect("the limits are the latest")
    }

    fn spec(&self, path: usize) -> PathSpec {
        let limits = self.on_path(path).into_iter().map(|declared| PathLimit {
            threshold: declared.threshold,
            source: declared.key.owner,
            scope: if declared.key.owner.0 == PATHS[path][0] {
                CounterScope::Group
            } else {
                CounterScope::Ancestor
            },
            since: Version(0),
            opening: 0,
            counter: declared.key,
        });
        PathSpec { root: ROOT, epoch: Version(self.epoch), shown: Shown::Own, limits: limits.collect() }
    }

    /// The limits of a path, in its order.
    pub(crate) fn on_path(&self, path: usize) -> Vec<Declared> {
        let of = |owner: u64| self.limits.iter().filter(move |limit| limit.key.owner == GroupId(owner));
        PATHS[path].iter().copied().flat_map(of).cloned().collect()
    }

    /// What a counter holds; one that is not open holds nothing.
    pub(crate) fn read(&self, key: &CounterKey) -> Reading {
        let nothing = Reading { used: 0, pending: 0, touched: false };
        self.engine.peek(ROOT, key, Version(0), self.now).unwrap_or(nothing)
    }

    /// What every open counter holds.
    pub(crate) fn peek_all(&self) -> Vec<Option<Reading>> {
        let peek = |limit: &Declared| self.engine.peek(ROOT, &limit.key, Version(0), self.now);
        self.limits.iter().map(peek).collect()
    }

    /// What every counter holds.
    pub(crate) fn read_all(&self) -> Vec<(u64, u64)> {
        let held = |limit: &Declared| {
            let reading = self.read(&limit.key);
            (reading.used, reading.pending)
        };
        self.limits.iter().map(held).collect()
    }
}

/// What an admitted call is charged on a counter.
pub(crate) fn amount(key: &CounterKey, tokens: u64) -> u64 {
    if key.measure.counts_tokens() { tokens } else { 1 }
}

/// What has to fit.
pub(crate) fn demand(path: &[Declared], limit: &Declared, need: Need) -> u64 {
    let tokens = path.iter().filter(|limit| limit.key.measure.counts_tokens());
    let smallest = tokens.map(|limit| limit.threshold).min().unwrap_or(u64::MAX);
    let tokens = match need {
        Need::Declared { prompt, output } => prompt + output,
        Need::Guessed { prompt, output } => prompt + output.min(smallest.saturating_sub(prompt)),
        Need::Fitting { prompt, output, least } => prompt + least.min(output),
        Need::Observed => 0,
    };
    amount(&limit.key, tokens).max(1)
}

/// What every limit on tokens of a path has left.
pub(crate) fn room(path: &[Declared], level: impl Fn(&CounterKey) -> u64) -> u64 {
    let of_tokens = path.iter().filter(|limit| limit.key.measure.counts_tokens());
    of_tokens.map(|limit| limit.threshold.saturating_sub(level(&limit.key))).min().unwrap_or(u64::MAX)
}

/// Up to ten limits, at most one for each counter.
pub(crate) fn limits() -> impl Strategy<Value = Vec<Declared>> {
    let declared = (0..4_u64, measure()).prop_flat_map(|(owner, measure)| {
        let key = CounterKey { owner: GroupId(owner), slug: "acme/chat".parse().unwrap(), measure };
        threshold(measure).prop_map(move |threshold| Declared { key: key.clone(), threshold })
    });
    prop::collection::vec(declared, 1..10).prop_map(|mut limits| {
        let all = limits.clone();
        let mut nth = 0;
        limits.retain(|limit| {
            nth += 1;
            !all[..nth - 1].iter().any(|earlier| earlier.key == limit.key)
        });
        limits
    })
}

fn measure() -> impl Strategy<Value = Measure> {
    let kinds = select(vec![LimitType::Request, LimitType::Token]);
    let units = select(vec![Unit::Second, Unit::Minute, Unit::Day]);
    prop_oneof![
        6 => (kinds, units).prop_map(|(kind, unit)| Measure::Use(kind, unit)),
        1 => Just(Measure::Concurrency),
    ]
}

/// Request thresholds on both sides of the longest log.
fn threshold(measure: Measure) -> BoxedStrategy<u64> {
    match measure {
        Measure::Use(LimitType::Request, _) => prop_oneof![3 => 1..8_u64, 1 => 60..70_u64].boxed(),
        Measure::Use(LimitType::Token, _) => (1..300_u64).boxed(),
        Measure::Concurrency => (1..5_u64).boxed(),
    }
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60)
}

fn step() -> impl Strategy<Value = Step> {
    let nth = 0..64_usize;
    prop_oneof![
        4 => pause().prop_map(Step::Wait),
        8 => ask(),
        3 => top_up(nth.clone()),
        4 => (nth.clone(), 0..200_u64).prop_map(|(nth, tokens)| Step::Settle { nth, tokens }),
        1 => nth.clone().prop_map(|nth| Step::Release { nth }),
        1 => nth.clone().prop_map(|nth| Step::Cancel { nth }),
        1 => (nth, prop_oneof![1..8_u64, 60..300_u64]).prop_map(|(nth, threshold)| Step::Edit { nth, threshold }),
        1 => Just(Step::Sweep),
    ]
}

fn ask() -> impl Strategy<Value = Step> {
    (0..PATHS.len(), need(), lag()).prop_map(|(path, need, lag)| Step::Ask { path, need, lag })
}

fn top_up(nth: impl Strategy<Value = usize>) -> impl Strategy<Value = Step> {
    let tokens = prop_oneof![3 => 0..60_u64, 1 => 0..400_u64];
    (nth, tokens, lag()).prop_map(|(nth, tokens, lag)| Step::TopUp { nth, tokens, lag })
}

fn lag() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 1 => 0..1_500_000_000_u64]
}

pub(crate) fn need() -> impl Strategy<Value = Need> {
    prop_oneof![
        4 => (0..40_u64, 0..80_u64).prop_map(|(prompt, output)| Need::Declared { prompt, output }),
        2 => (0..40_u64, 0..400_u64).prop_map(|(prompt, output)| Need::Guessed { prompt, output }),
        2 => (0..40_u64, 0..200_u64, 0..60_u64)
            .prop_map(|(prompt, output, least)| Need::Fitting { prompt, output, least }),
        1 => Just(Need::Observed),
    ]
}

/// From within a step of a ring to over midnight.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0_u64),
        2 => 0..50_000_u64,
        4 => 0..300_000_000_u64,
        4 => 0..5_000_000_000_u64,
        3 => 0..70_000_000_000_u64,
        1 => 0..100_000_000_000_000_u64,
    ]
}
