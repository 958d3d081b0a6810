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
