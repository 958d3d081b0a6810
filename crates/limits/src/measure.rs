//! What a limit measures: use within a window, or calls in flight.
//!
//! Knows nothing of: thresholds, counters, who declares what.

use domain::{LimitType, Unit};

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// What is used within a window.
    Use(LimitType, Unit),
    /// The calls in flight: each counts 1 from its admission until it ends, however it ends, and in no window.
    Concurrency,
}

impl Measure {
    /// The published name: `TOKEN`, `REQUEST` or `CONCURRENCY`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Use(kind, _) => kind.name(),
            Self::Concurrency => "CONCURRENCY",
        }
    }

    /// The window; calls in flight have none.
    #[must_use]
    pub fn unit(self) -> Option<Unit> {
        match self {
            Self::Use(_, unit) => Some(unit),
            Self::Concurrency => None,
        }
    }

    /// Whether it is tokens: only then does the size of a call matter.
    #[must_use]
    pub fn counts_tokens(self) -> bool {
        matches!(self, Self::Use(LimitType::Token, _))
    }

    /// What an admitted call that holds `tokens` is charged.
    #[inline]
    pub(crate) fn amount(self, tokens: u64) -> u64 {
        if self.counts_tokens() { tokens } else { 1 }
    }

    /// What has to fit: an exhausted counter refuses a call that costs nothing as well.
    #[inline]
    pub(crate) fn demand(self, tokens: u64) -> u64 {
        self.amount(tokens).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_named_as_published() {
        let day = |kind| Measure::Use(kind, Unit::Day);
        let names = [day(LimitType::Token), day(LimitType::Request), Measure::Concurrency].map(Measure::name);
        assert_eq!(names, ["TOKEN", "REQUEST", "CONCURRENCY"]);
        assert_eq!(Measure::Concurrency.unit(), None);
        assert_eq!(day(LimitType::Token).unit(), Some(Unit::Day));
    }

    #[test]
    fn each_measure_has_its_code_where_waiting_helps() {
        use crate::refusal::Verdict;
        let wait = Verdict::Wait { nanos: 1, hold_may_end: false };
        let of = |unit| wait.code(Measure::Use(LimitType::Token, unit));
        assert_eq!(wait.code(Measure::Concurrency), "concurrency_limit_exceeded");
        assert_eq!(of(Unit::Second), "rate_limit_exceeded");
        assert_eq!(of(Unit::Minute), "rate_limit_exceeded");
        assert_eq!(of(Unit::Day), "usage_limit_exceeded");
        assert_eq!(Verdict::NeverFits.code(Measure::Concurrency), "request_exceeds_limit");
    }
}
