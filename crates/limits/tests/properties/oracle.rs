//! The oracle: every charge with its time, nothing summed ahead, nothing forgotten.

use std::collections::HashMap;

use domain::{LimitType, Meter, Now, Unit};
use limits::{CounterKey, Measure, Size};

use crate::follower::InFlight;
use crate::trace::{Declared, amount};

/// What a ring may keep an old charge beyond its window: the rest of its slot, and one step of rounding.
const SLACK_SECOND_NS: u64 = 100_000_000 + 2_000;
const SLACK_MINUTE_NS: u64 = 1_200_000_000 + 20_000;
const LOG_LEN_MAX: u64 = 64;

#[derive(Default)]
pub(crate) struct Oracle {
    counters: HashMap<CounterKey, Log>,
}

#[derive(Default)]
struct Log {
    charges: Vec<Charge>,
    pending: u64,
    /// Whether a threshold has ever been too large for an exact log.
    was_ring: bool,
}

struct Charge {
    at: Now,
    amount: u64,
    /// When the period ends that it counts in, where there are periods.
    until_ms: u64,
}

/// The least and the most that a counter may show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    pub(crate) exact: u64,
    pub(crate) most: u64,
    pub(crate) pending: u64,
}

impl Oracle {
    pub(crate) fn observe_thresholds(&mut self, limits: &[Declared]) {
        for limit in limits {
            let long = limit.threshold > LOG_LEN_MAX || limit.key.measure.counts_tokens();
            self.log(&limit.key).was_ring |= long;
        }
    }

    pub(crate) fn admitted(&mut self, path: &[Declared], size: Size, at: Now) {
        for limit in path {
            let amount = amount(&limit.key, size);
            if limit.key.measure == Measure::Concurrency {
                self.log(&limit.key).pending += amount;
            } else {
                self.take(limit, amount, at);
            }
        }
    }

    pub(crate) fn topped_up(&mut self, path: &[Declared], more: Size, at: Now) {
        for limit in path.iter().filter(|limit| limit.key.measure.weighs()) {
            self.take(limit, amount(&limit.key, more), at);
        }
    }

    /// What weighs is held beside all periods; all else is charged.
    fn take(&mut self, limit: &Declared, amount: u64, at: Now) {
        if limit.key.measure.has_periods() && limit.key.measure.weighs() {
            self.log(&limit.key).pending += amount;
        } else {
            self.charge(limit, amount, at);
        }
    }

    fn charge(&mut self, limit: &Declared, amount: u64, at: Now) {
        let until_ms = limit.cycle.period(at.wall_ms).end_ms;
        self.log(&limit.key).charges.push(Charge { at, amount, until_ms });
    }

    /// `requests`: 1 if the request stays charged. `limits`: all of them, as they are now.
    pub(crate) fn ended(
        &mut self,
        call: &InFlight,
        (used, requests): (Size, u64),
        (limits, at): (&[Declared], Now),
    ) {
        for Declared { key, .. } in &call.path {
            // What is charged now counts in the periods of now.
            let limit = limits.iter().find(|limit| limit.key == *key).unwrap();
            let held = amount(key, call.held);
            let used = amount(key, used);
            match key.measure {
                Measure::Concurrency => self.log(key).pending -= 1,
                Measure::Use(LimitType::Request, _) | Measure::Spend(Meter::Requests) => {
                    self.log(key).give_back(1 - requests, call.charges[0].0);
                }
                Measure::Use(LimitType::Token, Unit::Day) | Measure::Spend(Meter::Tokens | Meter::Usd) => {
                    self.log(key).pending -= held;
                    self.charge(limit, used, at);
                }
                Measure::Use(LimitType::Token, _) => {
                    // Newest first, each part to the time that took it.
                    let mut surplus = held.saturating_sub(used);
                    for &(charged, amount) in call.charges.iter().rev() {
                        self.log(key).give_back(surplus.min(amount), charged);
                        surplus -= surplus.min(amount);
                    }
                    self.charge(limit, used.saturating_sub(held), at);
                }
            }
        }
    }

    /// What was charged before counts no more.
    pub(crate) fn reset(&mut self, key: &CounterKey) {
        self.log(key).charges.iter_mut().for_each(|charge| charge.until_ms = 0);
    }

    /// What counts in the present period counts in the present one of the new cycle.
    pub(crate) fn recycled(&mut self, limit: &Declared, at: Now) {
        let present = limit.cycle.period(at.wall_ms).end_ms;
        let charges = self.log(&limit.key).charges.iter_mut();
        charges.filter(|charge| charge.until_ms > at.wall_ms).for_each(|charge| charge.until_ms = present);
    }

    pub(crate) fn level(&self, key: &CounterKey, now: Now) -> Level {
        let Some(log) = self.counters.get(key) else { return Level { exact: 0, most: 0, pending: 0 } };
        let since = |age: u64| log.sum(|charge| charge.at.mono_ns.saturating_add(age) > now.mono_ns);
        let (exact, most) = match key.measure {
            Measure::Concurrency => (0, 0),
            Measure::Use(_, Unit::Day) | Measure::Spend(_) => {
                let used = log.sum(|charge| charge.until_ms > now.wall_ms);
                (used, used)
            }
            Measure::Use(_, Unit::Second) => (since(1_000_000_000), since(1_000_000_000 + SLACK_SECOND_NS)),
            Measure::Use(_, Unit::Minute) => (since(60_000_000_000), since(60_000_000_000 + SLACK_MINUTE_NS)),
        };
        Level { exact, most: if log.was_ring { most } else { exact }, pending: log.pending }
    }

    fn log(&mut self, key: &CounterKey) -> &mut Log {
        self.counters.entry(key.clone()).or_default()
    }
}

impl Log {
    fn sum(&self, counts: impl Fn(&Charge) -> bool) -> u64 {
        self.charges.iter().filter(|charge| counts(charge)).map(|charge| charge.amount).sum()
    }

    /// From what was charged at that time. Two calls of one time are alike here as well as there.
    fn give_back(&mut self, amount: u64, charged: Now) {
        let mut left = amount;
        for charge in self.charges.iter_mut().filter(|charge| charge.at == charged) {
            let part = left.min(charge.amount);
            charge.amount -= part;
            left -= part;
        }
        assert_eq!(left, 0, "more was given back than had been charged");
    }
}
