//! A counter of a period: a calendar day in UTC, or the period of a line of a model config.
//!
//! Its gauge wakes when the period ends, in milliseconds of wall time: that is all that a call has to know of it. Where
//! the next one ends is worked out then, from the cycle and the time alone.
//! Holds belong to no period. A call that runs over its end is charged to the period it ends in, so neither passes its
//! cap.

use domain::Cycle;

use crate::counter::Gauge;
use crate::moment::Moment;

/// What the counter of a period remembers beside its gauge.
#[derive(Debug)]
pub(crate) struct PeriodCounter {
    /// Where periods begin. None: at midnight UTC.
    cycle: Option<Box<Cycle>>,
    /// When what had been used was last forgotten, on the monotonic clock, which is never set back. What was charged
    /// before is no part of the level.
    began_ns: u64,
    /// Whether a call has ever landed here, or it opened with use.
    pub(crate) touched: bool,
}

impl PeriodCounter {
    /// A counter whose owner has used `opening` in the period of `wall_ms`.
    pub(crate) fn open(cycle: Cycle, opening: u64, wall_ms: u64) -> (Gauge, Self) {
        let boxed = (cycle != Cycle::DAYS).then(|| Box::new(cycle));
        let gauge = Gauge { level: opening, held: 0, wake: cycle.period(wall_ms).end_ms };
        (gauge, Self { cycle: boxed, began_ns: 0, touched: opening > 0 })
    }

    /// Begins the period of `moment`: what was used goes, what is held stays.
    pub(crate) fn roll(&mut self, gauge: &mut Gauge, moment: &Moment) {
        gauge.level = gauge.held;
        gauge.wake = self.ends_at(moment.wall_ms);
        self.began_ns = moment.mono_ns;
    }

    /// Forgets what was used within the period, and answers how much that was. What is held stays.
    pub(crate) fn reset(&mut self, gauge: &mut Gauge, moment: &Moment) -> u64 {
        let used = gauge.without_holds();
        gauge.level = gauge.held;
        // Nothing is charged together with a reset, so all that was charged at this very moment came before it.
        self.began_ns = moment.mono_ns.saturating_add(1);
        used
    }

    /// Replaces what was held with what was used; both stand against the threshold alike.
    pub(crate) fn settle(&mut self, gauge: &mut Gauge, held: u64, used: u64) {
        gauge.held = gauge.held.saturating_sub(held);
        gauge.level = gauge.level.saturating_sub(held).saturating_add(used);
        self.touched = true;
    }

    /// Gives back a request that was charged at `charged`, if it is still part of the level.
    pub(crate) fn give_request_back(&self, gauge: &mut Gauge, charged: &Moment) {
        if charged.mono_ns >= self.began_ns {
            gauge.level = gauge.level.saturating_sub(1);
        }
    }

    /// Nanoseconds until a refused `demand` passes: at the end of the period, unless what is held forbids it even then;
    /// then as soon as nothing is held.
    pub(crate) fn opens_in(gauge: &Gauge, demand: u64, threshold: u64, moment: &Moment) -> u64 {
        let passes = |level: u64| level.saturating_add(demand) <= threshold;
        let only_holds_stand = !passes(gauge.held) && passes(gauge.without_holds());
        if only_holds_stand { 0 } else { moment.until_wall(gauge.wake) }
    }

    /// Whether its periods begin elsewhere than those of `other`.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        self.cycle() != other.cycle()
    }

    /// Goes on from what `former` holds: what is used there counts for the present period here.
    pub(crate) fn go_on_from(&mut self, gauge: &mut Gauge, former: (&Self, &Gauge), moment: &Moment) {
        let (counter, level) = former;
        (self.began_ns, self.touched) = (counter.began_ns, counter.touched);
        *gauge = Gauge { wake: self.ends_at(moment.wall_ms), ..*level };
    }

    /// Moves a period of the future to the present one, keeping what is used.
    pub(crate) fn set_back(&self, gauge: &mut Gauge, wall_ms: u64) {
        gauge.wake = gauge.wake.min(self.ends_at(wall_ms));
    }

    fn ends_at(&self, wall_ms: u64) -> u64 {
        self.cycle().period(wall_ms).end_ms
    }

    fn cycle(&self) -> Cycle {
        self.cycle.as_deref().copied().unwrap_or(Cycle::DAYS)
    }
}
