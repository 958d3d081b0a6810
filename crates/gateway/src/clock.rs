//! The machine's clocks, read in one place, and the discipline that keeps a jumping wall clock from harm.
//!
//! Rolling windows run on a monotonic clock that counts suspend. Wall time is that clock plus an offset, which
//! `Discipline` looks at once a second: small steps forward are taken at once, large ones after they have stood
//! for a minute, steps back are held (time runs on at the monotonic rate) until they pass an hour.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::{Clock, Now};
use storage::BootId;

const NANOS_PER_MS: u64 = 1_000_000;
/// A larger step forward has to prove itself.
const LEAP_MS: i64 = 10 * 60 * 1_000;
/// For this long.
const PROOF_MS: i64 = 60 * 1_000;
/// Two readings within this belong to the same step.
const SAME_STEP_MS: i64 = 1_000;
/// A larger step back is believed, with an alarm.
const SET_BACK_MS: i64 = 60 * 60 * 1_000;

/// The clocks of this machine.
#[derive(Debug)]
pub struct SystemClock {
    /// Wall time minus monotonic time, in milliseconds.
    offset_ms: AtomicI64,
    discipline: Mutex<Discipline>,
}

impl SystemClock {
    /// Starts at the machine's wall time, unless the ledger has seen a later one within the last hour.
    #[must_use]
    pub fn start(last_recorded_ms: u64) -> (Self, Step) {
        let (mono_ms, wall_ms) = (signed(boottime_ns() / NANOS_PER_MS), signed(wall_ms()));
        let (discipline, step) = Discipline::start(mono_ms, wall_ms, signed(last_recorded_ms));
        (Self { offset_ms: AtomicI64::new(discipline.offset_ms), discipline: Mutex::new(discipline) }, step)
    }

    /// Compares wall time with the machine's. Called once a second.
    pub fn observe(&self) -> Step {
        let mut discipline = self.discipline.lock().unwrap_or_else(PoisonError::into_inner);
        let step = discipline.observe(signed(boottime_ns() / NANOS_PER_MS), signed(wall_ms()));
        self.offset_ms.store(discipline.offset_ms, Ordering::Release);
        step
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let mono_ns = boottime_ns();
        let offset_ms = self.offset_ms.load(Ordering::Acquire);
        let wall_ms = signed(mono_ns / NANOS_PER_MS).saturating_add(offset_ms);
        Now { mono_ns, wall_ms: u64::try_from(wall_ms).unwrap_or(0) }
    }
}

/// The machine's wall time, undisciplined: for the moment before the ledger is open.
#[must_use]
pub fn raw_now() -> Now {
    Now { mono_ns: boottime_ns(), wall_ms: wall_ms() }
}

/// Which start of the machine this is, as it says itself. Where it does not say, each start of the program counts as one:
/// then what rolling windows count is as old as the wall clock says.
#[must_use]
pub fn boot_id() -> BootId {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    read_boot_id(&text).unwrap_or_else(storage::random_bytes)
}

/// The bytes of a UUID.
fn read_boot_id(text: &str) -> Option<BootId> {
    let digits: Vec<u8> = text.trim().bytes().filter(|byte| *byte != b'-').collect();
    let mut id = BootId::default();
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != id.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

/// What an observation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// In step, or a step back that is held, or a leap that has not proved itself.
    Kept,
    /// Wall time moved forward.
    Forward,
    /// Wall time was set back by more than an hour and is believed: raise an alarm, lower stored times to this.
    SetBack {
        /// The new wall time, in milliseconds since 1970 UTC.
        wall_ms: u64,
    },
}

/// The rule by which wall time follows the machine's. Pure: readings come as arguments, in milliseconds.
#[derive(Debug)]
struct Discipline {
    offset_ms: i64,
    /// A leap forward that has not proved itself: when it was first seen, and its offset.
    leap: Option<(i64, i64)>,
}

impl Discipline {
    fn start(mono_ms: i64, wall_ms: i64, last_recorded_ms: i64) -> (Self, Step) {
        let behind_ms = last_recorded_ms.saturating_sub(wall_ms);
        let (wall_ms, step) = match behind_ms {
            ..=0 => (wall_ms, Step::Kept),
            1..=SET_BACK_MS => (last_recorded_ms, Step::Kept),
            _ => (wall_ms, Step::SetBack { wall_ms: u64::try_from(wall_ms).unwrap_or(0) }),
        };
        (Self { offset_ms: wall_ms.saturating_sub(mono_ms), leap: None }, step)
    }

    fn observe(&mut self, mono_ms: i64, wall_ms: i64) -> Step {
        let seen = wall_ms.saturating_sub(mono_ms);
        let ahead = seen.saturating_sub(self.offset_ms);
        if ahead > LEAP_MS && !self.has_proved_itself(mono_ms, seen) {
            return Step::Kept;
        }
        self.leap = None;
        if ahead > 0 {
            self.offset_ms = seen;
            return Step::Forward;
        }
        if ahead < -SET_BACK_MS {
            self.offset_ms = seen;
            return Step::SetBack { wall_ms: u64::try_from(wall_ms).unwrap_or(0) };
        }
        Step::Kept
    }

    fn has_proved_itself(&mut self, mono_ms: i64, seen: i64) -> bool {
        match self.leap {
            Some((since, offset)) if (seen.saturating_sub(offset)).abs() <= SAME_STEP_MS => {
                mono_ms.saturating_sub(since) >= PROOF_MS
            }
            _ => {
                self.leap = Some((mono_ms, seen));
                false
            }
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn boottime_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000_000;
    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;

    fn started() -> Discipline {
        Discipline::start(0, NOON, 0).0
    }

    fn wall(discipline: &Discipline, mono_ms: i64) -> i64 {
        mono_ms + discipline.offset_ms
    }

    #[test]
    fn a_start_of_the_machine_is_known_by_its_uuid() {
        let text = "01020304-0506-0708-090a-0b0c0d0e0fff\n";
        let expected = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255];
        assert_eq!(read_boot_id(text), Some(expected));
        for text in
            ["", "0102", "zz020304-0506-0708-090a-0b0c0d0e0fff", "01020304-0506-0708-090a-0b0c0d0e0fff0"]
        {
            assert_eq!(read_boot_id(text), None, "{text}");
        }
        assert_eq!(boot_id(), boot_id(), "this machine says which start it is");
    }

    #[test]
    fn a_small_step_forward_is_taken_at_once() {
        let mut discipline = started();
        assert_eq!(discipline.observe(1_000, NOON + 1_000 + 5 * MINUTE), Step::Forward);
        assert_eq!(wall(&discipline, 1_000), NOON + 1_000 + 5 * MINUTE);
    }

    #[test]
    fn a_leap_forward_has_to_stand_for_a_minute() {
        let mut discipline = started();
        let leaped = |mono: i64| NOON + mono + 2 * HOUR;
        assert_eq!(discipline.observe(1_000, leaped(1_000)), Step::Kept);
        assert_eq!(discipline.observe(60_999, leaped(60_999)), Step::Kept);
        assert_eq!(wall(&discipline, 60_999), NOON + 60_999);
        assert_eq!(discipline.observe(61_000, leaped(61_000)), Step::Forward);
    }

    #[test]
    fn a_leap_that_is_taken_back_leaves_no_trace() {
        let mut discipline = started();
        discipline.observe(1_000, NOON + 1_000 + 2 * HOUR);
        discipline.observe(2_000, NOON + 2_000);
        assert_eq!(discipline.observe(70_000, NOON + 70_000 + 2 * HOUR), Step::Kept);
    }

    #[test]
    fn a_step_back_is_held_and_past_an_hour_believed_with_an_alarm() {
        let mut discipline = started();
        assert_eq!(discipline.observe(1_000, NOON + 1_000 - HOUR), Step::Kept);
        assert_eq!(wall(&discipline, 5_000), NOON + 5_000);
        let wall_ms = u64::try_from(NOON - 2 * HOUR).unwrap();
        assert_eq!(discipline.observe(0, NOON - 2 * HOUR), Step::SetBack { wall_ms });
    }

    #[test]
    fn a_start_never_goes_behind_what_the_ledger_has_seen_within_the_hour() {
        assert_eq!(wall(&Discipline::start(0, NOON, NOON + MINUTE).0, 0), NOON + MINUTE);
        let (discipline, step) = Discipline::start(0, NOON, NOON + 2 * HOUR);
        assert_eq!(wall(&discipline, 0), NOON);
        assert!(matches!(step, Step::SetBack { .. }));
    }
}
