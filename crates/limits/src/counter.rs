//! A counter: the number that limits are checked against, in the form that its window and type ask for.
//!
//! Guarantees: looking changes nothing but what time has changed.
//! Knows nothing of: other counters on the path of a call, and locks.
//! Begins at [`Counter::admits`]; `charging` takes and gives back, `keeping` begins and ends counters, `replay`
//! takes up what came before a restart, and `period`, `log`
//! and `ring` are the forms.

mod charging;
mod keeping;
pub(crate) mod log;
pub(crate) mod period;
mod replay;
pub(crate) mod ring;

use crate::counter::log::Log;
use crate::counter::period::PeriodCounter;
use crate::counter::ring::Ring;
use crate::moment::Moment;

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
    /// The holds of calls that have not settled. Calls in flight: all of the level. Periods: part of it, and stays when
    /// the period ends. Rolling: in the level while their slots are live, and summed here only to tell whether a call in
    /// flight stands in the way.
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
    Period(PeriodCounter),
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

impl Counter {
    /// Whether `demand` fits now. Changes nothing but what time has changed.
    #[inline]
    pub(crate) fn admits(&mut self, demand: u64, threshold: u64, moment: &Moment) -> bool {
        self.advance(moment);
        threshold.checked_sub(self.gauge.level).is_some_and(|room| demand <= room)
    }

    #[inline]
    fn advance(&mut self, moment: &Moment) {
        let time = if matches!(self.form, Form::Period(_)) { moment.wall_ms } else { moment.mono_ns };
        if time >= self.gauge.wake {
            self.wake(moment);
        }
    }

    /// Lets go of what time has ended.
    #[cold]
    fn wake(&mut self, moment: &Moment) {
        match &mut self.form {
            Form::Vacant | Form::Calls => {}
            Form::Period(period) => period.roll(&mut self.gauge, moment),
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
            Form::Period(_) => PeriodCounter::opens_in(&self.gauge, demand, threshold, moment),
            Form::Log(log) => moment.until(log.opens_at(threshold)),
            Form::Ring(ring) => moment.until(ring.opens_at(self.gauge.level, demand, threshold)),
        }
    }

    /// Nanoseconds until the next part of what is used leaves and more is left below `threshold`; `None` if no time
    /// brings that about. The counter has been brought up to date.
    pub(crate) fn eases_in(&self, threshold: u64, moment: &Moment) -> Option<u64> {
        let more = self.remaining(threshold).saturating_add(1);
        let is_used = match &self.form {
            Form::Calls | Form::Period(_) => self.gauge.without_holds() > 0,
            Form::Vacant | Form::Log(_) | Form::Ring(_) => self.gauge.level > 0,
        };
        match &self.form {
            _ if !is_used || more > threshold => None,
            Form::Period(_) => Some(moment.until_wall(self.gauge.wake)),
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
            Form::Period(_) => moment.until_wall(self.gauge.wake),
            Form::Log(log) => moment.until(log.restored_at()),
            Form::Ring(ring) => moment.until(ring.restored_at()),
        }
    }

    /// What admission has just left here.
    #[inline]
    pub(crate) fn mark(&self) -> Gauge {
        self.gauge
    }

    /// Brings the counter up to date and shows what it holds: used, pending, touched.
    pub(crate) fn read(&mut self, moment: &Moment) -> (u64, u64, bool) {
        self.advance(moment);
        match &self.form {
            Form::Period(period) => (self.gauge.without_holds(), self.gauge.held, period.touched),
            Form::Calls => (0, self.gauge.held, self.gauge.held > 0),
            Form::Vacant | Form::Log(_) | Form::Ring(_) => (self.gauge.level, 0, self.gauge.level > 0),
        }
    }
}
