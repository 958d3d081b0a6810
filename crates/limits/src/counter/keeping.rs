//! The life of a counter: how it opens, changes when its limit is edited, and is given back.
//!
//! Guarantees: an edit of a threshold or of a period changes nothing that is used; a path bound to a former life is stale.
//! Begins at [`Counter::open`] and [`Counter::reshape`].

use domain::{Cycle, LimitType, Unit};

use crate::counter::log::{LOG_LEN_MAX, Log};
use crate::counter::period::PeriodCounter;
use crate::counter::ring::Ring;
use crate::counter::{Counter, Form};
use crate::measure::Measure;
use crate::moment::{Moment, Span};
use crate::path::PathLimit;

impl Counter {
    /// A new counter for this limit. One of a period opens with what its owner has used in that of `wall_ms`, a rolling
    /// one with what was charged before a restart.
    pub(crate) fn open(limit: &PathLimit, wall_ms: u64) -> Self {
        let mut counter = Self::blank(limit, wall_ms);
        counter.replay(limit.counter.measure.kind(), &limit.recent);
        counter
    }

    /// A rolling counter of this limit's form that nothing was charged to; any other as it opens.
    pub(crate) fn blank(limit: &PathLimit, wall_ms: u64) -> Self {
        let form = match limit.counter.measure {
            Measure::Concurrency => Form::Calls,
            Measure::Use(_, Unit::Day) | Measure::Spend(_) => {
                return Self::of_periods(limit.cycle(), limit.opening, wall_ms);
            }
            Measure::Use(kind, Unit::Second) => Form::rolling(kind, limit.threshold, Span::Second),
            Measure::Use(kind, Unit::Minute) => Form::rolling(kind, limit.threshold, Span::Minute),
        };
        Self { form, ..Self::default() }
    }

    /// A counter of periods that has used `opening` in the one of `wall_ms`.
    pub(crate) fn of_periods(cycle: Cycle, opening: u64, wall_ms: u64) -> Self {
        let (gauge, counter) = PeriodCounter::open(cycle, opening, wall_ms);
        Self { gauge, form: Form::Period(counter), ..Self::default() }
    }
}

impl Form {
    fn rolling(kind: LimitType, threshold: u64, span: Span) -> Self {
        let short = usize::try_from(threshold).is_ok_and(|threshold| threshold <= LOG_LEN_MAX);
        match kind {
            LimitType::Request if short => Self::Log(Log::new(span)),
            LimitType::Request | LimitType::Token => Self::Ring(Ring::new(span)),
        }
    }
}

impl Counter {
    /// Whether giving the counter back would forget nothing. That a counter of a period has been touched is worth remembering:
    /// people are shown 0 instead of nothing.
    pub(crate) fn is_idle(&mut self, moment: &Moment) -> bool {
        self.advance(moment);
        let touched = matches!(&self.form, Form::Period(period) if period.touched);
        self.inflight == 0 && self.gauge.level == 0 && !touched
    }

    /// Whether no reservation will come back to this counter.
    pub(crate) fn is_settled(&self) -> bool {
        self.inflight == 0
    }

    /// Begins as `fresh`, in a vacant entry.
    pub(crate) fn renew(&mut self, fresh: &mut Self) {
        std::mem::swap(&mut self.gauge, &mut fresh.gauge);
        std::mem::swap(&mut self.form, &mut fresh.form);
    }

    /// Ends this counter. What is left of it is for the caller to drop, away from the lock.
    pub(crate) fn vacate(&mut self) -> Self {
        let mut left = Self::default();
        self.renew(&mut left);
        self.expel_paths();
        left
    }

    /// Makes every path that is bound to this counter stale.
    pub(crate) fn expel_paths(&mut self) {
        self.tag = self.tag.wrapping_add(1);
    }

    /// Takes the form of `fresh` if a threshold asks for the other one: a log becomes a ring keeping its times, a ring
    /// becomes a log only when it is empty, because it no longer knows its times. What is not needed ends in `fresh`.
    pub(crate) fn reshape(&mut self, fresh: &mut Self, moment: &Moment) {
        if self.copy_reshaped(fresh, moment) {
            self.renew(fresh);
            self.expel_paths();
        }
    }

    /// Makes `fresh` what this counter would be after [`reshape`](Self::reshape). Answers whether it would change.
    pub(crate) fn copy_reshaped(&mut self, fresh: &mut Self, moment: &Moment) -> bool {
        self.advance(moment);
        match (&self.form, &mut fresh.form) {
            (Form::Log(log), Form::Ring(ring)) => log.pour_into(ring, &mut fresh.gauge),
            (Form::Ring(_), Form::Log(_)) if self.gauge.level == 0 => {}
            _ => return false,
        }
        true
    }

    /// Goes on in the periods of `fresh`, keeping what is used and held. What is not needed ends in `fresh`.
    pub(crate) fn recycle(&mut self, fresh: &mut Self, moment: &Moment) {
        if self.copy_recycled(fresh, moment) {
            self.renew(fresh);
        }
    }

    /// Makes `fresh` what this counter would be after [`recycle`](Self::recycle). Answers whether it would change.
    pub(crate) fn copy_recycled(&mut self, fresh: &mut Self, moment: &Moment) -> bool {
        self.advance(moment);
        match (&self.form, &mut fresh.form) {
            (Form::Period(period), Form::Period(other)) if period.differs(other) => {
                other.go_on_from(&mut fresh.gauge, (period, &self.gauge), moment);
                true
            }
            _ => false,
        }
    }

    /// Forgets what is used in the present period, keeping what is held, and answers how much that was; `None` where
    /// there are no periods.
    pub(crate) fn reset(&mut self, moment: &Moment) -> Option<u64> {
        self.advance(moment);
        match &mut self.form {
            Form::Period(period) => Some(period.reset(&mut self.gauge, moment)),
            Form::Vacant | Form::Calls | Form::Log(_) | Form::Ring(_) => None,
        }
    }

    /// Uses what a reset forgot once more.
    pub(crate) fn remember(&mut self, used: u64, moment: &Moment) {
        self.advance(moment);
        if matches!(self.form, Form::Period(_)) {
            self.gauge.level = self.gauge.level.saturating_add(used);
        }
    }

    /// The wall clock was set back to `wall_ms`.
    pub(crate) fn set_back(&mut self, wall_ms: u64) {
        if let Form::Period(period) = &self.form {
            period.set_back(&mut self.gauge, wall_ms);
        }
    }
}
