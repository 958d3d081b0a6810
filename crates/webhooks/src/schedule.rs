//! When a delivery that failed is tried again, and when it is given up.

use std::sync::Arc;
use std::time::Duration;

/// The published ladder: the first wait, doubled each time ...
const FIRST_WAIT_MS: u64 = 1_000;
/// ... up to this one ...
const LONGEST_WAIT_MS: u64 = 5_000;
/// ... and no attempt begins later than this after the first one began.
const ELAPSED_MAX_MS: u64 = 15_000;

/// Most waits of a ladder of one's own.
pub const WAITS_MAX: usize = 100;
/// Longest of them: a week.
pub const WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);

/// When deliveries are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Schedule {
    /// Waits of 1, 2, 4, 5, 5 … seconds; no attempt later than 15 s after the first.
    #[default]
    Published,
    /// These waits, one after the other; then no more.
    Waits(Arc<[Duration]>),
}

impl Schedule {
    /// When the next attempt may begin, in milliseconds since 1970 UTC, after so many that failed: the first began at
    /// `first_ms`, the last ended at `ended_ms`. None: it is given up.
    #[must_use]
    pub fn next_ms(&self, failed: u32, first_ms: u64, ended_ms: u64) -> Option<u64> {
        let past = failed.saturating_sub(1);
        match self {
            Self::Published => {
                let wait = FIRST_WAIT_MS.saturating_mul(1 << past.min(16)).min(LONGEST_WAIT_MS);
                let at_ms = ended_ms.saturating_add(wait);
                (at_ms.saturating_sub(first_ms) <= ELAPSED_MAX_MS).then_some(at_ms)
            }
            Self::Waits(waits) => {
                let wait = waits.get(usize::try_from(past).unwrap_or(usize::MAX))?;
                Some(ended_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When attempts begin, in milliseconds after the first, where each takes so long and fails.
    fn begins(schedule: &Schedule, takes_ms: u64) -> Vec<u64> {
        let (first, mut begins) = (1_000_000, vec![0]);
        for failed in 1.. {
            let ended = first + begins.last().unwrap() + takes_ms;
            let Some(next) = schedule.next_ms(failed, first, ended) else { break };
            begins.push(next - first);
        }
        begins
    }

    #[test]
    fn case_214_and_216_attempts_that_fail_at_once_are_made_at_0_1_3_7_and_12_seconds() {
        assert_eq!(begins(&Schedule::Published, 0), [0, 1_000, 3_000, 7_000, 12_000]);
    }

    #[test]
    fn case_213_attempts_that_hang_for_ten_seconds_are_two() {
        assert_eq!(begins(&Schedule::Published, 10_000), [0, 11_000]);
    }

    #[test]
    fn an_attempt_may_begin_at_15_seconds_and_not_later() {
        assert_eq!(Schedule::Published.next_ms(1, 0, 14_000), Some(15_000));
        assert_eq!(Schedule::Published.next_ms(1, 0, 14_001), None);
    }

    #[test]
    fn a_ladder_of_ones_own_is_taken_step_by_step_however_long_attempts_take() {
        let waits = [1, 300, 3_600].map(Duration::from_secs);
        let schedule = Schedule::Waits(waits.into());
        assert_eq!(begins(&schedule, 0), [0, 1_000, 301_000, 3_901_000]);
        assert_eq!(begins(&schedule, 10_000), [0, 11_000, 321_000, 3_931_000]);
        assert_eq!(begins(&Schedule::Waits([].into()), 0), [0], "no waits: no second attempt");
    }
}
