//! A counter of a calendar day in UTC.
//!
//! Its gauge wakes at midnight, in milliseconds of wall time: that is all there is to know about which day it counts.
//! Holds belong to no day. A call that runs over midnight is charged to the day it ends on, so neither day passes its
//! cap.

use domain::Day;

use crate::counter::Gauge;
use crate::moment::Moment;

/// What a day counter remembers beside its gauge.
#[derive(Debug)]
pub(crate) struct DayCounter {
    /// Whether a call has ever landed here, or it opened with use.
    pub(crate) touched: bool,
}

impl DayCounter {
    /// A counter whose owner has used `opening` on `day`.
    pub(crate) fn open(opening: u64, day: Day) -> (Gauge, Self) {
        let gauge = Gauge { level: opening, held: 0, wake: day.end_ms() };
        (gauge, Self { touched: opening > 0 })
    }

    /// Begins the day of `moment`: what was used goes, what is held stays.
    pub(crate) fn roll(gauge: &mut Gauge, moment: &Moment) {
        gauge.level = gauge.held;
        gauge.wake = moment.day.end_ms();
    }

    /// Replaces what was held with what was used; both stand against the threshold alike.
    pub(crate) fn settle(&mut self, gauge: &mut Gauge, held: u64, used: u64) {
        gauge.held = gauge.held.saturating_sub(held);
        gauge.level = gauge.level.saturating_sub(held).saturating_add(used);
        self.touched = true;
    }

    /// Gives back a request that was charged on `charged`, if that is still the day. An earlier present day means that
    /// the clock was set back and took the charge with it.
    pub(crate) fn give_request_back(gauge: &mut Gauge, charged: Day) {
        if gauge.wake <= charged.end_ms() {
            gauge.level = gauge.level.saturating_sub(1);
        }
    }

    /// Nanoseconds until a refused `demand` passes: at midnight, unless what is held forbids it even then; then as soon
    /// as nothing is held.
    pub(crate) fn opens_in(gauge: &Gauge, demand: u64, threshold: u64, moment: &Moment) -> u64 {
        let passes = |level: u64| level.saturating_add(demand) <= threshold;
        let only_holds_stand = !passes(gauge.held) && passes(gauge.without_holds());
        if only_holds_stand { 0 } else { moment.until_midnight() }
    }

    /// Moves a day of the future to `present`, keeping what is used.
    pub(crate) fn set_back(gauge: &mut Gauge, present: Day) {
        gauge.wake = gauge.wake.min(present.end_ms());
    }
}
