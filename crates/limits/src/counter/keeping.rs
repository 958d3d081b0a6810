//! The life of a counter: how it opens, changes its form when its threshold is edited, and is given back.
//!
//! Guarantees: an edit of a threshold changes nothing that is used; a path bound to a former life is stale.
//! Begins at [`Counter::open`] and [`Counter::reshape`].

use domain::{Day, LimitType, Unit};

use crate::counter::day::DayCounter;
use crate::counter::log::{LOG_LEN_MAX, Log};
use crate::counter::ring::Ring;
use crate::counter::{Counter, Form};
use crate::measure::Measure;
use crate::moment::{Moment, Span};
use crate::path::PathLimit;

impl Counter {
    /// A new counter for this limit. One of a day opens with what its owner has used on `day`.
    pub(crate) fn open(limit: &PathLimit, day: Day) -> Self {
        let form = match limit.counter.measure {
            Measure::Concurrency => Form::Calls,
            Measure::Use(_, Unit::Day) => {
                let (gauge, counter) = DayCounter::open(limit.opening, day);
                return Self { gauge, form: Form::Day(counter), ..Self::default() };
            }
            Measure::Use(kind, Unit::Second) => Form::rolling(kind, limit.threshold, Span::Second),
            Measure::Use(kind, Unit::Minute) => Form::rolling(kind, limit.threshold, Span::Minute),
        };
        Self { form, ..Self::default() }
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
    /// Whether giving the counter back would forget nothing. That a DAY counter has been touched is worth remembering:
    /// people are shown 0 instead of nothing.
    pub(crate) fn is_idle(&mut self, moment: &Moment) -> bool {
        self.advance(moment);
        let touched = matches!(&self.form, Form::Day(day) if day.touched);
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

    /// The wall clock was set back to `present`.
    pub(crate) fn set_back(&mut self, present: Day) {
        if let Form::Day(_) = self.form {
            DayCounter::set_back(&mut self.gauge, present);
        }
    }
}
