//! What counters show right after a restart, against what callers were told before it.
//!
//! *At least*: what was acknowledged, that is the calls whose end was seen. *At most*: those, and all that the others
//! can have used or held. A counter of the day, or of a period, must besides be what the ledger's lines come to. A rolling
//! minute is asked to know the calls of its last 60 s whole, and none that ended before 62 s.
//!
//! A pure judgement of plain values. Begins at [`judge`].

use std::collections::HashMap;
use std::fmt;

use super::verdict::{Promise, Verdict};

/// Calls that began within this belong to a rolling minute.
const MINUTE_US: u64 = 60_000_000;
/// Calls that ended before this do not: a window may be 2 % late.
const MINUTE_MOST_US: u64 = 62_000_000;

/// Whose use is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// This group's use of this model, by their places.
    Group(usize, usize),
    /// Everybody's, of every model.
    All,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// Calls.
    Requests,
    /// Tokens.
    Tokens,
    /// Nano-dollars.
    Usd,
}

/// Over which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// The last minute.
    Minute,
    /// This day, or this period of a line.
    Day,
}

/// One counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counter {
    /// Whose.
    pub owner: Owner,
    /// Of what.
    pub measure: Measure,
    /// Over what.
    pub window: Window,
}

/// A call as counters see it.
#[derive(Debug, Clone)]
pub struct Charge {
    /// Whose counters it is on.
    pub owners: Vec<Owner>,
    /// When it was sent, and when it ended at the latest, in microseconds of the run.
    pub from_us: u64,
    /// The latest.
    pub until_us: u64,
    /// Requests, tokens and nano-dollars that were acknowledged.
    pub least: [u64; 3],
    /// The same, at most.
    pub most: [u64; 3],
}

/// What lines of the ledger come to, by owner: requests, tokens and nano-dollars of the day.
pub type Sums = HashMap<Owner, [u64; 3]>;

/// Judges what is shown at a time between these two, in microseconds of the run. `sums`: of the ledger, if no midnight
/// is near.
pub fn judge(
    shown: &[(Counter, u64)],
    charges: &[Charge],
    (asked_us, answered_us): (u64, u64),
    sums: Option<&Sums>,
    verdict: &mut Verdict,
) {
    let bounds = bounds(charges, (asked_us, answered_us));
    for (counter, used) in shown {
        let (least, most) = bounds.get(counter).copied().unwrap_or_default();
        if !(least..=most).contains(used) {
            let text = format!("{counter}: it shows {used}; the calls used {least} to {most}");
            verdict.broken(Promise::Counters, format!("{counter} {used} {least} {most}"), text);
        }
        let sum = sums.map(|sums| sums.get(&counter.owner).map_or(0, |sum| sum[counter.measure.place()]));
        if let Some(sum) = sum.filter(|sum| counter.window == Window::Day && sum != used) {
            let text = format!("{counter}: it shows {used}; the ledger's lines come to {sum}");
            verdict.broken(Promise::Counters, format!("{counter} {used} of {sum}"), text);
        }
    }
    verdict.checked(Promise::Counters, u64::try_from(shown.len()).unwrap_or(u64::MAX));
}

fn bounds(charges: &[Charge], (asked_us, answered_us): (u64, u64)) -> HashMap<Counter, (u64, u64)> {
    let mut bounds: HashMap<Counter, (u64, u64)> = HashMap::new();
    for charge in charges {
        let still = charge.from_us.saturating_add(MINUTE_US) > answered_us;
        let perhaps = charge.until_us.saturating_add(MINUTE_MOST_US) > asked_us;
        for owner in &charge.owners {
            for measure in [Measure::Requests, Measure::Tokens, Measure::Usd] {
                let (least, most) = (charge.least[measure.place()], charge.most[measure.place()]);
                let mut add = |window, least: u64, most: u64| {
                    let sum = bounds.entry(Counter { owner: *owner, measure, window }).or_default();
                    *sum = (sum.0.saturating_add(least), sum.1.saturating_add(most));
                };
                add(Window::Day, least, most);
                add(Window::Minute, if still { least } else { 0 }, if perhaps { most } else { 0 });
            }
        }
    }
    bounds
}

impl Measure {
    /// Its place in sums.
    #[must_use]
    pub fn place(self) -> usize {
        match self {
            Self::Requests => 0,
            Self::Tokens => 1,
            Self::Usd => 2,
        }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, measure, window } = self;
        write!(f, "{measure:?} per {window:?} of {owner:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Charge, Counter, Measure, Owner, Sums, Window, judge};
    use crate::crash::verdict::{Promise, Verdict};

    const OWNER: Owner = Owner::Group(0, 0);
    const NOW: (u64, u64) = (100_000_000, 100_000_100);

    fn tokens(window: Window) -> Counter {
        Counter { owner: OWNER, measure: Measure::Tokens, window }
    }

    /// Acknowledged with 30 tokens, at so many seconds of the run.
    fn acknowledged(seconds: u64) -> Charge {
        Charge { least: [1, 30, 60], ..open(seconds) }
    }

    /// Whose end nobody saw.
    fn open(seconds: u64) -> Charge {
        let at_us = seconds * 1_000_000;
        Charge { owners: vec![OWNER], from_us: at_us, until_us: at_us, least: [0; 3], most: [1, 30, 60] }
    }

    fn breaks(counter: Counter, used: u64, charges: &[Charge], sums: Option<&Sums>) -> u64 {
        let mut verdict = Verdict::default();
        judge(&[(counter, used)], charges, NOW, sums, &mut verdict);
        verdict.breaks(Promise::Counters)
    }

    #[test]
    fn a_counter_between_what_was_acknowledged_and_what_can_have_been_used_holds() {
        let charges = [acknowledged(90), open(91)];
        for window in [Window::Day, Window::Minute] {
            assert_eq!([30, 45, 60].map(|used| breaks(tokens(window), used, &charges, None)), [0; 3]);
        }
    }

    #[test]
    fn a_counter_that_went_down_is_found_and_so_is_one_that_has_too_much() {
        let charges = [acknowledged(90), open(91)];
        for window in [Window::Day, Window::Minute] {
            assert_eq!([0, 29, 61].map(|used| breaks(tokens(window), used, &charges, None)), [1; 3]);
        }
    }

    #[test]
    fn a_rolling_minute_forgets_what_is_older_and_a_day_does_not() {
        let charges = [acknowledged(37)];
        assert_eq!(breaks(tokens(Window::Minute), 30, &charges, None), 1);
        assert_eq!(breaks(tokens(Window::Minute), 0, &charges, None), 0);
        assert_eq!(breaks(tokens(Window::Day), 0, &charges, None), 1);
        // It may be up to 2 % late.
        assert_eq!(breaks(tokens(Window::Minute), 30, &[acknowledged(39)], None), 0);
    }

    #[test]
    fn a_counter_of_the_day_that_is_not_what_the_lines_come_to_is_found() {
        let charges = [acknowledged(90), open(91)];
        let sums = Sums::from([(OWNER, [2, 45, 90])]);
        assert_eq!(breaks(tokens(Window::Day), 45, &charges, Some(&sums)), 0);
        assert_eq!(breaks(tokens(Window::Day), 44, &charges, Some(&sums)), 1);
        assert_eq!(breaks(tokens(Window::Minute), 44, &charges, Some(&sums)), 0, "lines have no slots");
    }
}
