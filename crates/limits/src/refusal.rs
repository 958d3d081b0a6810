//! Refusal: of all limits that do not fit, which one binds, and when the same call would pass.

use crate::moment::Moment;
use crate::path::Hop;
use crate::standing::Standings;
use crate::tree::State;

/// When only calls in flight stand in the way: one of them is likely to end first.
const HOLD_WAIT_NS: u64 = 1_000_000_000;

/// A call that may not go on. Nothing was charged.
#[derive(Debug)]
pub struct Refusal {
    /// The limit that binds, as an index into the limits of the path: one that can never fit first, then the one with
    /// the latest retry time, then the first in path order.
    pub limit: usize,
    /// When to come back.
    pub verdict: Verdict,
    /// The caller's own limits as they are.
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

/// The limit that binds among `asks`, the hops of a path with their demands, and its verdict. At least one does not fit.
pub(crate) fn verdict<'a>(
    asks: impl Iterator<Item = (&'a Hop, u64)>,
    state: &mut State,
    moment: &Moment,
) -> (usize, Verdict) {
    let mut first = None;
    let mut latest = (0, 0);
    let mut only_holds = true;
    for (limit, (hop, demand)) in asks.enumerate() {
        if demand > hop.threshold {
            return (limit, Verdict::NeverFits);
        }
        let counter = state.held(hop.counter);
        if counter.admits(demand, hop.threshold, moment) {
            continue;
        }
        first = first.or(Some(limit));
        only_holds &= counter.admits_without_holds(demand, hop.threshold);
        let opens_in = counter.opens_in(demand, hop.threshold, moment);
        if opens_in > latest.1 {
            latest = (limit, opens_in);
        }
    }
    match first {
        // All wait for the same second, so the first in path order binds.
        Some(limit) if only_holds => (limit, Verdict::Wait { nanos: HOLD_WAIT_NS, hold_may_end: true }),
        _ => (latest.0, Verdict::Wait { nanos: latest.1, hold_may_end: false }),
    }
}
