//! What an admission saw: how every limit of the path stood when the call was charged, kept for little and told later.
//!
//! Under the lock three numbers of each counter are copied. What follows from them is worked out when somebody asks,
//! which for most calls nobody ever does.

use domain::{LimitType, Now, Unit};

use crate::counter::Gauge;
use crate::engine::Reading;
use crate::explanation::{Fit, LIMIT_STATES_MAX, LimitState};
use crate::measure::Measure;
use crate::moment::Span;
use crate::path::PathLimit;

/// How the limits of a path stood after a call was charged: 24 bytes for each of the first [`LIMIT_STATES_MAX`].
///
/// Made to be used again: [`Engine::reserve`](crate::Engine::reserve) clears it, and fills it if it admits the call.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    marks: Vec<Gauge>,
}

const _: () = assert!(size_of::<Gauge>() == 24);

impl Seen {
    /// Whether there is nothing: the call was refused, or its path has no limits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// How each limit stood. `path_limits` are those of the path that was asked about
    /// ([`Path::limits`](crate::Path::limits)), `at` is when it was
    /// ([`Reservation::admitted_at`](crate::Reservation::admitted_at)).
    ///
    /// The numbers are those after the charge, and exact; so are all times of days and periods. Those of a rolling window are bounds:
    /// `restored_in` is one window, which is exact where the call was charged anything, and otherwise late; `eases_in`
    /// is when the counter has to be looked at next, and never late.
    #[must_use]
    pub fn states(&self, path_limits: &[PathLimit], at: Now) -> Vec<LimitState> {
        self.marks.iter().zip(path_limits).map(|(mark, limit)| state(mark, limit, at)).collect()
    }

    /// Forgets what it held and makes room for a path of so many limits, so that nothing is allocated under the lock.
    pub(crate) fn prepare(&mut self, limits: usize) {
        self.marks.clear();
        self.marks.reserve(limits.min(LIMIT_STATES_MAX));
    }

    /// Notes the next limit of the path. Past the bound it is left out.
    #[inline]
    pub(crate) fn note(&mut self, mark: Gauge) {
        if self.marks.len() < LIMIT_STATES_MAX {
            self.marks.push(mark);
        }
    }
}

fn state(mark: &Gauge, limit: &PathLimit, at: Now) -> LimitState {
    let reading = reading(mark, limit.counter.measure);
    let is_used = reading.used > 0;
    let (wakes_in, restored_in) = times(mark, limit.counter.measure, at);
    LimitState {
        reading,
        remaining: limit.threshold.saturating_sub(mark.level),
        debt: mark.level.saturating_sub(limit.threshold),
        restored_in: is_used.then_some(restored_in),
        eases_in: is_used.then_some(wakes_in),
        fit: Fit::Fits,
    }
}

/// What the counter held. The call was charged to it just now, so a counter of a period has been touched.
fn reading(mark: &Gauge, measure: Measure) -> Reading {
    match measure {
        Measure::Concurrency => Reading { used: 0, pending: mark.level, touched: mark.level > 0 },
        Measure::Use(_, Unit::Day) | Measure::Spend(_) => {
            Reading { used: mark.without_holds(), pending: mark.held, touched: true }
        }
        Measure::Use(LimitType::Request | LimitType::Token, Unit::Second | Unit::Minute) => {
            Reading { used: mark.level, pending: 0, touched: mark.level > 0 }
        }
    }
}

/// Nanoseconds until the counter wakes, and until nothing is used any more.
fn times(mark: &Gauge, measure: Measure, at: Now) -> (u64, u64) {
    let rolling = |span: Span| (mark.wake.saturating_sub(at.mono_ns), span.window_ns());
    match measure {
        Measure::Concurrency => (0, 0),
        Measure::Use(_, Unit::Second) => rolling(Span::Second),
        Measure::Use(_, Unit::Minute) => rolling(Span::Minute),
        Measure::Use(_, Unit::Day) | Measure::Spend(_) => {
            let period_end = mark.wake.saturating_sub(at.wall_ms).saturating_mul(1_000_000);
            (period_end, period_end)
        }
    }
}
