//! Refusal: of all limits that do not fit, which one binds, and when the same call would pass.

use domain::{Now, Unit};

use crate::counter::Counter;
use crate::explanation::LimitState;
use crate::measure::Measure;
use crate::moment::Moment;
use crate::standing::Standings;

/// When only calls in flight stand in the way: one of them is likely to end first.
pub(crate) const HOLD_WAIT_NS: u64 = 1_000_000_000;

/// A call that may not go on. Nothing was charged.
#[derive(Debug)]
pub struct Refusal {
    /// The limit that binds, as an index into the limits of the path: one that can never fit first, then the one with
    /// the latest retry time, then the first in path order.
    pub limit: usize,
    /// When to come back.
    pub verdict: Verdict,
    /// Tokens that were asked for.
    pub tokens: u64,
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
}

impl Verdict {
    /// The published word for a refusal by a limit of this measure.
    #[must_use]
    pub fn code(self, measure: Measure) -> &'static str {
        match (self, measure) {
            (Self::NeverFits, _) => "request_exceeds_limit",
            (Self::Wait { .. }, Measure::Use(_, Unit::Second | Unit::Minute)) => "rate_limit_exceeded",
            (Self::Wait { .. }, Measure::Use(_, Unit::Day)) => "usage_limit_exceeded",
            (Self::Wait { .. }, Measure::Concurrency) => "concurrency_limit_exceeded",
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
#[derive(Debug)]
pub(crate) struct Judge {
    never: Option<usize>,
    first: Option<usize>,
    latest: (usize, u64),
    all_hold: bool,
}

impl Default for Judge {
    fn default() -> Self {
        Self { never: None, first: None, latest: (0, 0), all_hold: true }
    }
}

impl Judge {
    /// Takes in what is in the way of one limit. To be told in path order.
    pub(crate) fn hear(&mut self, limit: usize, obstacle: Option<Obstacle>) {
        match obstacle {
            None => {}
            Some(Obstacle::TooMuch) => self.never = self.never.or(Some(limit)),
            Some(Obstacle::Full { opens_in, only_holds }) => {
                self.first = self.first.or(Some(limit));
                self.all_hold &= only_holds;
                if opens_in > self.latest.1 {
                    self.latest = (limit, opens_in);
                }
            }
        }
    }

    /// The limit that binds and its verdict. At least one had something in its way.
    pub(crate) fn verdict(&self) -> (usize, Verdict) {
        match (self.never, self.first) {
            (Some(limit), _) => (limit, Verdict::NeverFits),
            // All wait for the same second, so the first in path order binds.
            (None, Some(limit)) if self.all_hold => {
                (limit, Verdict::Wait { nanos: HOLD_WAIT_NS, hold_may_end: true })
            }
            (None, _) => (self.latest.0, Verdict::Wait { nanos: self.latest.1, hold_may_end: false }),
        }
    }
}
