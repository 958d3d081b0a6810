//! A counter: the number that limits are checked against, in the form that its window and type ask for.

pub(crate) mod day;
pub(crate) mod log;
pub(crate) mod ring;

use domain::{Day, LimitType, Unit};

use crate::counter::day::DayCounter;
use crate::counter::log::{LOG_LEN_MAX, Log};
use crate::counter::ring::Ring;
use crate::measure::Measure;
use crate::moment::{Moment, Span};
use crate::path::PathLimit;
use crate::settlement::Ending;

/// One slab entry: a cache line, with everything that admission reads and writes.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Counter {
    /// Which counter this is of all that have lived in the entry. A path bound to another one is stale.
    pub(crate) tag: u32,
    /// Reservations that will come back to this counter. While there are any, the entry is not given to another.
    inflight: u32,
    gauge: Gauge,
    form: Form,
}

const _: () = assert!(size_of::<Counter>() == 64);

/// What admission looks at, whatever the form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gauge {
    /// What stands against a threshold: used and held.
    pub(crate) level: u64,
    /// The holds of calls that have not settled. Calls in flight: all of the level. DAY: part of it, and stays when the
    /// day ends. Rolling: in the
    /// level while their slots are live, and summed here only to tell whether a call in flight stands in the way.
    pub(crate) held: u64,
    /// From this time on the level may be too high; `u64::MAX` if time changes nothing. On the clock of the form.
    pub(crate) wake: u64,
}

#[derive(Debug, Default)]
enum Form {
    #[default]
    Vacant,
    /// Calls in flight: the gauge says it all.
    Calls,
    Day(DayCounter),
    Log(Log),
    Ring(Ring),
}

impl Default for Gauge {
    fn default() -> Self {
        Self { level: 0, held: 0, wake: u64::MAX }
    }
}

impl Gauge {
    #[inline]
    fn add(&mut self, amount: u64) {
        self.level = self.level.saturating_add(amount);
    }

    /// Ends a hold that stands against the threshold.
    #[inline]
    fn release(&mut self, amount: u64) {
        self.held = self.held.saturating_sub(amount);
        self.level = self.level.saturating_sub(amount);
    }

    pub(crate) fn without_holds(&self) -> u64 {
        self.level.saturating_sub(self.held)
    }
}

/// Opening.
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

/// Deciding.
impl Counter {
    /// Whether `demand` fits now. Changes nothing but what time has changed.
    #[inline]
    pub(crate) fn admits(&mut self, demand: u64, threshold: u64, moment: &Moment) -> bool {
        self.advance(moment);
        threshold.checked_sub(self.gauge.level).is_some_and(|room| demand <= room)
    }

    #[inline]
    fn advance(&mut self, moment: &Moment) {
        let time = if matches!(self.form, Form::Day(_)) { moment.wall_ms } else { moment.mono_ns };
        if time >= self.gauge.wake {
            self.wake(moment);
        }
    }

    /// Lets go of what time has ended.
    #[cold]
    fn wake(&mut self, moment: &Moment) {
        match &mut self.form {
            Form::Vacant | Form::Calls => {}
            Form::Day(_) => DayCounter::roll(&mut self.gauge, moment),
            Form::Log(log) => log.expire(&mut self.gauge, moment.mono_ns),
            Form::Ring(ring) => ring.expire(&mut self.gauge, moment.mono_ns),
        }
    }

    /// What is left below `threshold`; 0 in debt.
    #[inline]
    pub(crate) fn remaining(&self, threshold: u64) -> u64 {
        threshold.saturating_sub(self.gauge.level)
    }

    /// Whether a refused `demand` would pass now if no call were in flight.
    pub(crate) fn admits_without_holds(&self, demand: u64, threshold: u64) -> bool {
        self.gauge.without_holds().saturating_add(demand) <= threshold
    }

    /// Nanoseconds until a refused `demand` passes, if nothing else arrives or settles. `demand` is not above the
    /// threshold.
    pub(crate) fn opens_in(&self, demand: u64, threshold: u64, moment: &Moment) -> u64 {
        match &self.form {
            // Time ends no call.
            Form::Vacant | Form::Calls => 0,
            Form::Day(_) => DayCounter::opens_in(&self.gauge, demand, threshold, moment),
            Form::Log(log) => moment.until(log.opens_at(threshold)),
            Form::Ring(ring) => moment.until(ring.opens_at(self.gauge.level, demand, threshold)),
        }
    }

    /// Nanoseconds until the next part of what is used leaves and more is left below `threshold`; `None` if no time
    /// brings that about. The counter has been brought up to date.
    pub(crate) fn eases_in(&self, threshold: u64, moment: &Moment) -> Option<u64> {
        let more = self.remaining(threshold).saturating_add(1);
        let is_used = match &self.form {
            Form::Calls | Form::Day(_) => self.gauge.without_holds() > 0,
            Form::Vacant | Form::Log(_) | Form::Ring(_) => self.gauge.level > 0,
        };
        match &self.form {
            _ if !is_used || more > threshold => None,
            Form::Day(_) => Some(moment.until_midnight()),
            Form::Vacant | Form::Calls | Form::Log(_) | Form::Ring(_) => {
                Some(self.opens_in(more, threshold, moment))
            }
        }
    }

    /// Nanoseconds until nothing stands against a threshold any more.
    #[inline]
    pub(crate) fn restored_in(&self, moment: &Moment) -> u64 {
        match &self.form {
            _ if self.gauge.level == 0 => 0,
            Form::Vacant | Form::Calls => 0,
            Form::Day(_) => moment.until_midnight(),
            Form::Log(log) => moment.until(log.restored_at()),
            Form::Ring(ring) => moment.until(ring.restored_at()),
        }
    }
}

/// Charging.
impl Counter {
    /// Takes `amount` for an admitted call; tokens, and its place among the calls in flight, are held until it ends.
    #[inline]
    pub(crate) fn charge(&mut self, measure: Measure, amount: u64, moment: &Moment) {
        self.inflight = self.inflight.saturating_add(1);
        let hold = match measure {
            Measure::Use(LimitType::Token, _) | Measure::Concurrency => amount,
            Measure::Use(LimitType::Request, _) => 0,
        };
        self.gauge.held = self.gauge.held.saturating_add(hold);
        self.add(amount, moment);
    }

    /// Takes `amount` tokens more for a call that was charged before, held until it settles.
    #[inline]
    pub(crate) fn top_up(&mut self, amount: u64, moment: &Moment) {
        self.gauge.held = self.gauge.held.saturating_add(amount);
        self.add(amount, moment);
    }

    #[inline]
    fn add(&mut self, amount: u64, moment: &Moment) {
        self.gauge.add(amount);
        match &mut self.form {
            Form::Ring(ring) if amount > 0 => ring.charge(&mut self.gauge, amount, moment.place(ring.span)),
            Form::Vacant | Form::Calls | Form::Ring(_) => {}
            Form::Day(day) => day.touched = true,
            Form::Log(log) => log.push(&mut self.gauge, moment.mono_ns),
        }
    }

    /// Replaces what an admitted call took with what it used.
    #[inline]
    pub(crate) fn end(&mut self, measure: Measure, ending: &Ending<'_>, moment: &Moment) {
        self.inflight = self.inflight.saturating_sub(1);
        match measure {
            Measure::Use(LimitType::Request, _) if ending.requests == 0 => {
                self.give_request_back(ending, moment);
            }
            Measure::Use(LimitType::Request, _) => {}
            Measure::Concurrency => self.gauge.release(1),
            Measure::Use(LimitType::Token, _) => self.settle_tokens(ending, moment),
        }
    }

    fn give_request_back(&mut self, ending: &Ending<'_>, moment: &Moment) {
        self.advance(moment);
        let gauge = &mut self.gauge;
        match &mut self.form {
            Form::Vacant | Form::Calls => {}
            Form::Day(_) => DayCounter::give_request_back(gauge, ending.admitted.day),
            Form::Log(log) => log.give_back(gauge, ending.admitted.mono_ns),
            Form::Ring(ring) => ring.refund(gauge, 1, ending.admitted.place(ring.span).slot),
        }
    }

    /// A surplus goes back to the slots that took it, or nowhere if they have left; overage is charged now, in full, past
    /// the threshold if need be.
    #[inline]
    fn settle_tokens(&mut self, ending: &Ending<'_>, moment: &Moment) {
        self.advance(moment);
        let &Ending { held, tokens, .. } = ending;
        match &mut self.form {
            // Tokens are never logged.
            Form::Vacant | Form::Calls | Form::Log(_) => {}
            Form::Day(day) => day.settle(&mut self.gauge, held, tokens),
            Form::Ring(ring) => {
                self.gauge.held = self.gauge.held.saturating_sub(held);
                match held.checked_sub(tokens) {
                    Some(0) => {}
                    Some(surplus) => refund(ring, &mut self.gauge, surplus, ending),
                    None => self.add(tokens.saturating_sub(held), moment),
                }
            }
        }
    }
}

/// Gives a surplus back, of the newest charge first, each part to the slot that took it.
#[inline]
fn refund(ring: &mut Ring, gauge: &mut Gauge, surplus: u64, ending: &Ending<'_>) {
    let mut left = surplus;
    for charge in ending.later.iter().rev() {
        let part = left.min(charge.amount);
        ring.refund(gauge, part, ring.span.place(charge.at.mono_ns).slot);
        left = left.saturating_sub(part);
        if left == 0 {
            return;
        }
    }
    ring.refund(gauge, left, ending.admitted.place(ring.span).slot);
}

/// Keeping.
impl Counter {
    /// What admission has just left here.
    #[inline]
    pub(crate) fn mark(&self) -> Gauge {
        self.gauge
    }

    /// Brings the counter up to date and shows what it holds: used, pending, touched.
    pub(crate) fn read(&mut self, moment: &Moment) -> (u64, u64, bool) {
        self.advance(moment);
        match &self.form {
            Form::Day(day) => (self.gauge.without_holds(), self.gauge.held, day.touched),
            Form::Calls => (0, self.gauge.held, self.gauge.held > 0),
            Form::Vacant | Form::Log(_) | Form::Ring(_) => (self.gauge.level, 0, self.gauge.level > 0),
        }
    }

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
