//! What a limit measures: use within a window, what is spent within a period, or calls in flight.
//!
//! Knows nothing of: thresholds, counters, who declares what, what a token costs.

use domain::{Amount, LimitType, Meter, Unit, Usd};

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// What a group uses within a window.
    Use(LimitType, Unit),
    /// What calls spend on a line of a model config, within its period.
    Spend(Meter),
    /// The calls in flight: each counts 1 from its admission until it ends, however it ends, and in no window.
    Concurrency,
}

/// How large a call is, in what limits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Prompt plus completion.
    pub tokens: u64,
    /// What they cost.
    pub usd: Usd,
}

impl Size {
    /// Of a call that uses nothing.
    pub const ZERO: Self = Self { tokens: 0, usd: Usd::ZERO };
}

impl Measure {
    /// The published name: `TOKEN`, `REQUEST`, `USD` or `CONCURRENCY`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Use(kind, _) => kind.name(),
            Self::Spend(meter) => meter.name(),
            Self::Concurrency => "CONCURRENCY",
        }
    }

    /// The published name of the window: `SECOND`, `MINUTE`, `DAY` or `PERIOD`; calls in flight have none.
    #[must_use]
    pub fn unit_name(self) -> Option<&'static str> {
        match self {
            Self::Use(_, unit) => Some(unit.name()),
            Self::Spend(_) => Some("PERIOD"),
            Self::Concurrency => None,
        }
    }

    /// The window of a group's limit; periods and calls in flight have none.
    #[must_use]
    pub fn unit(self) -> Option<Unit> {
        match self {
            Self::Use(_, unit) => Some(unit),
            Self::Spend(_) | Self::Concurrency => None,
        }
    }

    /// A number of this measure, as it is told: dollars in dollars.
    #[must_use]
    pub fn told(self, number: u64) -> Amount {
        if self.counts_usd() { Amount::Usd(Usd(number)) } else { Amount::Count(number) }
    }

    /// Whether it is tokens or dollars: only then does the size of a call matter.
    #[must_use]
    pub fn weighs(self) -> bool {
        self.counts_tokens() || self.counts_usd()
    }

    /// Whether it is tokens.
    #[must_use]
    pub fn counts_tokens(self) -> bool {
        matches!(self, Self::Use(LimitType::Token, _) | Self::Spend(Meter::Tokens))
    }

    /// Whether it is dollars.
    #[must_use]
    pub fn counts_usd(self) -> bool {
        self == Self::Spend(Meter::Usd)
    }

    /// Whether it begins anew at set times, in UTC or from the moment a line was made.
    #[must_use]
    pub fn has_periods(self) -> bool {
        matches!(self, Self::Use(_, Unit::Day) | Self::Spend(_))
    }

    /// What of a call it counts.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Use(LimitType::Request, _) | Self::Spend(Meter::Requests) => Kind::Requests,
            Self::Use(LimitType::Token, _) | Self::Spend(Meter::Tokens) => Kind::Tokens,
            Self::Spend(Meter::Usd) => Kind::Usd,
            Self::Concurrency => Kind::Calls,
        }
    }
}

/// What of a call a limit counts: all that a call under the lock has to know of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// That it was made.
    Requests = 0,
    /// Its tokens.
    Tokens = 1,
    /// What it costs.
    Usd = 2,
    /// That it is in flight.
    Calls = 3,
}

impl Kind {
    /// Whether the size of a call matters.
    #[inline]
    pub(crate) fn weighs(self) -> bool {
        matches!(self, Self::Tokens | Self::Usd)
    }
}

/// How a call looks to limits of each kind, worked out before the lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amounts([u64; 4]);

impl Amounts {
    /// What an admitted call of this size is charged.
    #[inline]
    pub(crate) fn charged(size: Size) -> Self {
        Self([1, size.tokens, size.usd.0, 1])
    }

    /// The part of it that is held until the call ends: a request stays charged.
    #[inline]
    pub(crate) fn held(size: Size) -> Self {
        Self([0, size.tokens, size.usd.0, 1])
    }

    /// What has to fit: an exhausted counter refuses a call that costs nothing as well.
    #[inline]
    pub(crate) fn demanded(size: Size) -> Self {
        Self(Self::charged(size).0.map(|amount| amount.max(1)))
    }

    #[inline]
    pub(crate) fn of(&self, kind: Kind) -> u64 {
        let [requests, tokens, usd, calls] = self.0;
        match kind {
            Kind::Requests => requests,
            Kind::Tokens => tokens,
            Kind::Usd => usd,
            Kind::Calls => calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Verdict;

    const LINES: [Measure; 3] =
        [Measure::Spend(Meter::Tokens), Measure::Spend(Meter::Requests), Measure::Spend(Meter::Usd)];

    #[test]
    fn measures_are_named_as_published() {
        let day = |kind| Measure::Use(kind, Unit::Day);
        let names = [day(LimitType::Token), day(LimitType::Request), Measure::Concurrency].map(Measure::name);
        assert_eq!(names, ["TOKEN", "REQUEST", "CONCURRENCY"]);
        assert_eq!(LINES.map(Measure::name), ["TOKEN", "REQUEST", "USD"]);
        assert_eq!(LINES.map(Measure::unit_name), [Some("PERIOD"); 3]);
        assert_eq!(day(LimitType::Token).unit_name(), Some("DAY"));
        assert_eq!((Measure::Concurrency.unit_name(), Measure::Concurrency.unit()), (None, None));
        assert_eq!((day(LimitType::Token).unit(), LINES[0].unit()), (Some(Unit::Day), None));
    }

    #[test]
    fn only_tokens_and_dollars_weigh() {
        assert_eq!(LINES.map(Measure::weighs), [true, false, true]);
        assert!(Measure::Use(LimitType::Token, Unit::Second).weighs());
        assert!(!Measure::Use(LimitType::Request, Unit::Second).weighs() && !Measure::Concurrency.weighs());
    }

    #[test]
    fn each_measure_has_its_code_where_waiting_helps() {
        let wait = Verdict::Wait { nanos: 1, hold_may_end: false };
        let of = |unit| wait.code(Measure::Use(LimitType::Token, unit));
        assert_eq!(wait.code(Measure::Concurrency), "concurrency_limit_exceeded");
        assert_eq!(of(Unit::Second), "rate_limit_exceeded");
        assert_eq!(of(Unit::Minute), "rate_limit_exceeded");
        assert_eq!(of(Unit::Day), "usage_limit_exceeded");
        assert_eq!(Verdict::NeverFits.code(Measure::Concurrency), "request_exceeds_limit");
    }

    #[test]
    fn a_budget_has_one_code_and_a_rate_limit_says_whether_to_come_back() {
        let wait = Verdict::Wait { nanos: 1, hold_may_end: true };
        let codes = |verdict: Verdict| LINES.map(|line| verdict.code(line));
        assert_eq!(codes(wait), ["rate_limit_exceeded", "rate_limit_exceeded", "budget_exceeded"]);
        assert_eq!(codes(Verdict::Blocked), codes(wait));
        let never = codes(Verdict::NeverFits);
        assert_eq!(never, ["request_exceeds_limit", "request_exceeds_limit", "budget_exceeded"]);
        assert_eq!(Verdict::Blocked.code(Measure::Concurrency), "concurrency_limit_exceeded");
    }
}
