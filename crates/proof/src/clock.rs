//! The clock of a gateway under proof: real time that passes, and a wall clock that is stepped while it runs.
//!
//! Rolling windows run on the monotonic reading, which is real. Days, and the times in request ids, run on the wall
//! reading: real time plus an offset. What the offset was is remembered, so that an id can be read as real time again.
//! A wall clock may be stepped back, but never behind a midnight that it has shown: in production
//! `gateway::clock` holds steps back altogether, so that a day never comes twice.
//!
//! The request ids of one instant before and after a step may differ by minutes; [`SteppedClock::real_us`] takes the
//! offset under which the id falls between the moments when its request left and its answer came.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use domain::{Clock, Day, Now};

use crate::windows::Span;

/// 2026-05-13T23:56:00Z, in milliseconds since 1970: a day ends while it runs.
const START_MS: u64 = 1_778_716_560_000;
/// The monotonic clock of a machine that has been up for a while.
const UP_NS: u64 = 1_000_000_000_000;

/// A clock whose wall time is stepped.
#[derive(Debug)]
pub struct SteppedClock {
    began: Instant,
    /// What was added to real time, and since when. Never empty, in order, and bounded by the steps of a run.
    offsets: Mutex<Vec<Offset>>,
}

/// How far the wall clock may be behind the latest time that it has shown.
const BEHIND_MAX_MS: u64 = 30_000;

#[derive(Debug, Clone, Copy)]
struct Offset {
    since_us: u64,
    ms: u64,
}

impl SteppedClock {
    /// Starts some minutes before midnight.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(START_MS)
    }

    /// Starts at this wall time, in milliseconds since 1970.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a run against real sockets passes in real time")]
    pub fn start_at(wall_ms: u64) -> Self {
        let first = Offset { since_us: 0, ms: wall_ms };
        Self { began: Instant::now(), offsets: Mutex::new(vec![first]) }
    }

    /// Microseconds since the run began.
    #[must_use]
    pub fn us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Steps the wall clock. A step back ends at the last midnight that has been shown, and not far behind the latest
    /// time that has been: in production the clock holds such steps back altogether.
    pub fn step(&self, by_ms: i64) {
        let mut offsets = self.offsets();
        let now_us = self.us();
        let Some(last) = offsets.last().copied() else { return };
        let wall_ms = now_us / 1_000 + last.ms;
        let latest_ms = latest(&offsets, now_us);
        let least_ms = Day::of(wall_ms).start_ms().max(latest_ms.saturating_sub(BEHIND_MAX_MS));
        let wanted_ms = wall_ms.saturating_add_signed(by_ms).max(least_ms);
        let ms = wanted_ms.saturating_sub(now_us / 1_000);
        offsets.push(Offset { since_us: now_us, ms });
    }

    /// How often it was stepped.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.offsets().len().saturating_sub(1)
    }

    /// The real times at which the wall clock may have shown this millisecond, between these two. `None`: it never
    /// did.
    #[must_use]
    pub fn real_us(&self, wall_ms: u64, (from_us, until_us): (u64, u64)) -> Option<Span> {
        let offsets = self.offsets();
        let mut found: Option<Span> = None;
        for (at, offset) in offsets.iter().enumerate().rev() {
            let ends_us = offsets.get(at + 1).map_or(u64::MAX, |next| next.since_us);
            if ends_us < from_us {
                break;
            }
            let Some(real_ms) = wall_ms.checked_sub(offset.ms) else { continue };
            let shown = (real_ms * 1_000).max(offset.since_us)..=(real_ms * 1_000 + 999).min(ends_us);
            let (earliest_us, latest_us) = ((*shown.start()).max(from_us), (*shown.end()).min(until_us));
            if earliest_us <= latest_us {
                let known = found.unwrap_or(Span { earliest_us, latest_us });
                found = Some(Span {
                    earliest_us: known.earliest_us.min(earliest_us),
                    latest_us: known.latest_us.max(latest_us),
                });
            }
        }
        found
    }

    /// The UTC day in which all of this span lay; `None` where a midnight may be in it.
    #[must_use]
    pub fn day(&self, span: Span) -> Option<Day> {
        let (first, last) = (self.day_at(span.earliest_us), self.day_at(span.latest_us));
        // Days never come back, so that equal ends have nothing else between them.
        (first == last).then_some(first)
    }

    /// The latest reading of the wall clock up to this time, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn latest_ms(&self, until_us: u64) -> u64 {
        self.shown(Span { earliest_us: 0, latest_us: until_us }).1
    }

    /// The earliest reading of the wall clock within this span.
    #[must_use]
    pub fn earliest_ms(&self, span: Span) -> u64 {
        self.shown(span).0
    }

    /// The earliest and the latest reading within a span.
    fn shown(&self, Span { earliest_us, latest_us }: Span) -> (u64, u64) {
        let latest_us = latest_us.min(self.us());
        let offsets = self.offsets();
        let (mut least, mut most) = (u64::MAX, 0);
        for (at, offset) in offsets.iter().enumerate() {
            let ends_us = offsets.get(at + 1).map_or(u64::MAX, |next| next.since_us);
            let (from_us, until_us) = (offset.since_us.max(earliest_us), ends_us.min(latest_us));
            if from_us <= until_us {
                least = least.min(offset.ms + from_us / 1_000);
                most = most.max(offset.ms + until_us / 1_000);
            }
        }
        (least, most)
    }

    fn day_at(&self, us: u64) -> Day {
        let offsets = self.offsets();
        let in_force = offsets.partition_point(|offset| offset.since_us <= us).saturating_sub(1);
        Day::of(offsets.get(in_force).map_or(0, |offset| offset.ms).saturating_add(us / 1_000))
    }

    fn offsets(&self) -> MutexGuard<'_, Vec<Offset>> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest reading by these offsets, up to this time.
fn latest(offsets: &[Offset], until_us: u64) -> u64 {
    let ends = |at: usize| offsets.get(at + 1).map_or(until_us, |next: &Offset| next.since_us);
    let last = |(at, offset): (usize, &Offset)| offset.ms + ends(at) / 1_000;
    offsets.iter().enumerate().map(last).max().unwrap_or(0)
}

impl Clock for SteppedClock {
    fn now(&self) -> Now {
        // Read under the lock, so that no reading after a step shows the time before it.
        let offsets = self.offsets();
        let ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let offset_ms = offsets.last().map_or(0, |offset| offset.ms);
        Now { mono_ns: UP_NS.saturating_add(ns), wall_ms: offset_ms.saturating_add(ns / 1_000_000) }
    }
}

#[cfg(test)]
mod tests {
    use domain::Clock as _;

    use super::SteppedClock;
    use crate::windows::Span;

    #[test]
    fn an_id_is_read_by_the_offset_that_was_in_force_when_its_request_was_under_way() {
        let clock = SteppedClock::start();
        let (before, before_us) = (clock.now().wall_ms, clock.us());
        clock.step(-60_000);
        let (after, after_us) = (clock.now().wall_ms, clock.us());
        assert!(after < before);
        let read = clock.real_us(before, (0, after_us)).unwrap();
        assert!(read.earliest_us <= before_us && read.latest_us <= before_us + 1_000);
        let read = clock.real_us(after, (before_us, after_us)).unwrap();
        assert!(read.earliest_us >= before_us && read.latest_us <= after_us);
        assert_eq!(clock.real_us(before + 30_000, (0, after_us)), None);
    }

    #[test]
    fn what_the_wall_clock_has_shown_is_known_between_any_two_moments() {
        let clock = SteppedClock::start();
        let (first, first_us) = (clock.now().wall_ms, clock.us());
        // Steps within one microsecond cannot be told apart.
        let passes = |us: u64| while clock.us() == us {};
        passes(first_us);
        clock.step(60_000);
        passes(clock.us());
        let (late, late_us) = (clock.now().wall_ms, clock.us());
        passes(late_us);
        clock.step(-30_000);
        let now_us = clock.us();
        assert!(clock.latest_ms(now_us) >= late && clock.latest_ms(now_us) < late + 1_000);
        assert!(clock.latest_ms(first_us).abs_diff(first) <= 1);
        let after = clock.earliest_ms(Span { earliest_us: late_us, latest_us: now_us });
        assert!(after < late && after > first, "it was set back to between the two");
    }

    #[test]
    fn a_step_back_ends_at_midnight_and_half_a_minute_behind_the_latest_time() {
        let clock = SteppedClock::start();
        let shown = clock.now().wall_ms;
        clock.step(-3_000_000);
        assert!((29_000..=30_000).contains(&(shown - clock.now().wall_ms)));
        clock.step(280_000);
        let day = clock.now().day();
        clock.step(-3_000_000);
        assert_eq!(clock.now().day(), day);
        assert!(clock.now().wall_ms - day.start_ms() < 1_000);
    }
}
