//! The oracle: every charge with its time, nothing summed ahead, nothing forgotten.

use std::collections::HashMap;

use domain::{Day, LimitType, Now, Unit};
use limits::{CounterKey, Measure};

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

    pub(crate) fn admitted(&mut self, path: &[Declared], tokens: u64, at: Now) {
        for Declared { key, .. } in path {
            let amount = amount(key, tokens);
            match key.measure {
                Measure::Use(LimitType::Token, Unit::Day) | Measure::Concurrency => {
                    self.log(key).pending += amount;
                }
                _ => self.log(key).charges.push(Charge { at, amount }),
            }
        }
    }

    pub(crate) fn topped_up(&mut self, path: &[Declared], tokens: u64, at: Now) {
        for Declared { key, .. } in path {
            match key.measure {
                Measure::Use(LimitType::Token, Unit::Day) => {
                    self.log(key).pending += tokens;
                }
                Measure::Use(LimitType::Token, _) => {
                    self.log(key).charges.push(Charge { at, amount: tokens });
                }
                Measure::Use(LimitType::Request, _) | Measure::Concurrency => {}
            }
        }
    }

    /// `requests`: 1 if the request stays charged.
    pub(crate) fn ended(&mut self, call: &InFlight, (used, requests): (u64, u64), at: Now) {
        let held: u64 = call.charges.iter().map(|(_, amount)| amount).sum();
        for Declared { key, .. } in &call.path {
            let log = self.log(key);
            match key.measure {
                Measure::Concurrency => log.pending -= 1,
                Measure::Use(LimitType::Request, _) => log.give_back(1 - requests, call.charges[0].0),
                Measure::Use(LimitType::Token, Unit::Day) => {
                    log.pending -= held;
                    log.charges.push(Charge { at, amount: used });
                }
                Measure::Use(LimitType::Token, _) => {
                    // Newest first, each part to the time that took it.
                    let mut surplus = held.saturating_sub(used);
                    for &(charged, amount) in call.charges.iter().rev() {
                        log.give_back(surplus.min(amount), charged);
                        surplus -= surplus.min(amount);
                    }
                    log.charges.push(Charge { at, amount: used.saturating_sub(held) });
                }
            }
        }
    }

    pub(crate) fn level(&self, key: &CounterKey, now: Now) -> Level {
        let Some(log) = self.counters.get(key) else { return Level { exact: 0, most: 0, pending: 0 } };
        let since = |age: u64| log.sum(|at| at.mono_ns.saturating_add(age) > now.mono_ns);
        let (exact, most) = match key.measure.unit() {
            None => (0, 0),
            Some(Unit::Day) => {
                let used = log.sum(|at| Day::of(at.wall_ms) == now.day());
                (used, used)
            }
            Some(Unit::Second) => (since(1_000_000_000), since(1_000_000_000 + SLACK_SECOND_NS)),
            Some(Unit::Minute) => (since(60_000_000_000), since(60_000_000_000 + SLACK_MINUTE_NS)),
        };
        Level { exact, most: if log.was_ring { most } else { exact }, pending: log.pending }
    }

    fn log(&mut self, key: &CounterKey) -> &mut Log {
        self.counters.entry(key.clone()).or_default()
    }
}

impl Log {
    fn sum(&self, counts: impl Fn(Now) -> bool) -> u64 {
        self.charges.iter().filter(|charge| counts(charge.at)).map(|charge| charge.amount).sum()
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
