//! Refusal: of all limits that do not fit, which one binds, and when the same call would pass.

use domain::Unit;

use crate::counter::Counter;
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
    /// The limits that the caller is shown, as they are.
    pub standings: Standings,
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
    /// The published word for a refusal by a limit of this unit.
    #[must_use]
    pub fn code(self, unit: Unit) -> &'static str {
        match (self, unit) {
            (Self::NeverFits, _) => "request_exceeds_limit",
            (Self::Wait { .. }, Unit::Second | Unit::Minute) => "rate_limit_exceeded",
            (Self::Wait { .. }, Unit::Day) => "usage_limit_exceeded",
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

/// The limit that binds, given what is in the way of each of a path, and its verdict. At least one does not fit.
pub(crate) fn verdict(obstacles: impl Iterator<Item = Option<Obstacle>>) -> (usize, Verdict) {
    let mut first = None;
    let mut latest = (0, 0);
    let mut all_hold = true;
    for (limit, obstacle) in obstacles.enumerate() {
        match obstacle {
            None => {}
            Some(Obstacle::TooMuch) => return (limit, Verdict::NeverFits),
            Some(Obstacle::Full { opens_in, only_holds }) => {
                first = first.or(Some(limit));
                all_hold &= only_holds;
                if opens_in > latest.1 {
                    latest = (limit, opens_in);
                }
            }
        }
    }
    match first {
        // All wait for the same second, so the first in path order binds.
        Some(limit) if all_hold => (limit, Verdict::Wait { nanos: HOLD_WAIT_NS, hold_may_end: true }),
        _ => (latest.0, Verdict::Wait { nanos: latest.1, hold_may_end: false }),
    }
}
