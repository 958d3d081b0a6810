//! Refusal: of all limits that do not fit, which one binds, and when the same call would pass.

use domain::{Meter, Now, Unit};

use crate::counter::Counter;
use crate::explanation::LimitState;
use crate::measure::{Kind, Measure, Size};
use crate::moment::Moment;
use crate::standing::Standings;

/// When only calls in flight stand in the way: one of them is likely to end first.
pub(crate) const HOLD_WAIT_NS: u64 = 1_000_000_000;

/// A call that may not go on. Nothing was charged.
#[derive(Debug)]
pub struct Refusal {
    /// The limit that binds, as an index into the limits of the path: one that can never fit first, then the one with
    /// the latest retry time, then the first in path order. A budget binds only where nothing but budgets refuses.
    pub limit: usize,
    /// When to come back.
    pub verdict: Verdict,
    /// The least that was asked for.
    pub asked: Size,
    /// The limits that the caller is shown, as they are.
    pub standings: Standings,
    /// How every limit of the path stood, in its order; of a path of more than
    /// [`LIMIT_STATES_MAX`](crate::LIMIT_STATES_MAX), the first so many.
    pub states: Box<[LimitState]>,
    /// When that was: the tree's time, which never runs backward, and not always the caller's.
    pub at: Now,
}

/// When the same call would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not at any time: it asks for more than a whole threshold.
    NeverFits,
    /// After this time, if nothing else arrives and nothing settles.
    Wait {
        /// Nanoseconds until then. Not rounded: sufficient, and one millisecond less is not.
        nanos: u64,
        /// Every limit that refuses would pass now if no call were in flight. Then `nanos` is one second.
        hold_may_end: bool,
    },
    /// The limit that binds has no room now, and a budget of the path is smaller than the call: to wait for the one is
    /// of no use.
    Blocked,
}

impl Verdict {
    /// The published word for a refusal by a limit of this measure.
    #[must_use]
    pub fn code(self, measure: Measure) -> &'static str {
        match (measure, self) {
            (Measure::Spend(Meter::Usd), _) => "budget_exceeded",
            (_, Self::NeverFits) => "request_exceeds_limit",
            (Measure::Use(_, Unit::Second | Unit::Minute), Self::Wait { .. } | Self::Blocked)
            | (Measure::Spend(Meter::Requests | Meter::Tokens), Self::Wait { .. } | Self::Blocked) => {
                "rate_limit_exceeded"
            }
            (Measure::Use(_, Unit::Day), Self::Wait { .. } | Self::Blocked) => "usage_limit_exceeded",
            (Measure::Concurrency, Self::Wait { .. } | Self::Blocked) => "concurrency_limit_exceeded",
        }
    }
}

/// Why one limit does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// More is asked for than the whole threshold.
    TooMuch,
    /// There is no room now.
    Full {
        /// Nanoseconds until there is, if nothing else arrives or settles; 0 where only calls in flight are in the way
        /// and their holds do not end with time.
        opens_in: u64,
        /// Whether there would be room now if no call were in flight.
        only_holds: bool,
    },
}

/// What is in the way of `demand` on one counter, if anything.
pub(crate) fn obstacle(
    counter: &mut Counter,
    demand: u64,
    threshold: u64,
    moment: &Moment,
) -> Option<Obstacle> {
    if demand > threshold {
        return Some(Obstacle::TooMuch);
    }
    if counter.admits(demand, threshold, moment) {
        return None;
    }
    let only_holds = counter.admits_without_holds(demand, threshold);
    Some(Obstacle::Full { opens_in: counter.opens_in(demand, threshold, moment), only_holds })
}

/// Finds the limit that binds, given what is in the way of each limit of a path.
///
/// Who is told of a budget is sent to whoever pays, and who is told of another limit to wait: so a budget binds only
/// where nothing else refuses. The time to wait is that of all limits together.
#[derive(Debug)]
pub(crate) struct Judge {
    next: usize,
    others: Bench,
    budgets: Bench,
    all_hold: bool,
}

/// Limits of one kind that refuse.
#[derive(Debug, Default)]
struct Bench {
    /// The first that never lets the call pass.
    never: Option<usize>,
    /// The first that may.
    first: Option<usize>,
    /// The first of those that take longest, and how long.
    latest: Option<(usize, u64)>,
}

impl Default for Judge {
    fn default() -> Self {
        Self { next: 0, others: Bench::default(), budgets: Bench::default(), all_hold: true }
    }
}

impl Judge {
    /// Takes in what is in the way of the next limit of the path.
    pub(crate) fn hear(&mut self, kind: Kind, obstacle: Option<Obstacle>) {
        let limit = self.next;
        self.next = limit.saturating_add(1);
        let bench = if kind == Kind::Usd { &mut self.budgets } else { &mut self.others };
        match obstacle {
            None => {}
            Some(Obstacle::TooMuch) => bench.never = bench.never.or(Some(limit)),
            Some(Obstacle::Full { opens_in, only_holds }) => {
                bench.first = bench.first.or(Some(limit));
                self.all_hold &= only_holds;
                if bench.latest.is_none_or(|(_, latest)| opens_in > latest) {
                    bench.latest = Some((limit, opens_in));
                }
            }
        }
    }

    /// The limit that binds and its verdict. At least one had something in its way.
    pub(crate) fn verdict(&self) -> (usize, Verdict) {
        let Self { others, budgets, .. } = self;
        let (binding, has_room_later) = match self.longest(others) {
            _ if others.never.is_some() => (others.never, false),
            Some(limit) => (Some(limit), true),
            None if budgets.never.is_some() => (budgets.never, false),
            None => (self.longest(budgets), true),
        };
        let verdict = match has_room_later {
            false => Verdict::NeverFits,
            true if budgets.never.is_some() => Verdict::Blocked,
            true if self.all_hold => Verdict::Wait { nanos: HOLD_WAIT_NS, hold_may_end: true },
            true => Verdict::Wait { nanos: others.wait().max(budgets.wait()), hold_may_end: false },
        };
        (binding.unwrap_or_default(), verdict)
    }
    /// The limit that takes longest; where all wait for the same second, the first.
    fn longest(&self, bench: &Bench) -> Option<usize> {
        if self.all_hold { bench.first } else { bench.latest.map(|(limit, _)| limit) }
    }
}

impl Bench {
    fn wait(&self) -> u64 {
        self.latest.map_or(0, |(_, nanos)| nanos)
    }
}
