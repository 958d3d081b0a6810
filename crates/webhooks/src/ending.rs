//! How an attempt ended, and how many ended so.

use std::sync::atomic::{AtomicU64, Ordering};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// 2xx: it arrived.
    Delivered,
    /// 4xx: the receiver does not want it, now or later.
    Refused,
    /// Any other status; redirects are not followed.
    Failed,
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// Not sent: its events cannot be read now.
    Unsent,
    /// Not sent: its events are not there any more.
    Lost,
}

impl Ending {
    /// Every one there is.
    pub const ALL: [Self; 7] = [
        Self::Delivered,
        Self::Refused,
        Self::Failed,
        Self::TimedOut,
        Self::Unreachable,
        Self::Unsent,
        Self::Lost,
    ];

    /// What an answer with this status is.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            400..=499 => Self::Refused,
            _ => Self::Failed,
        }
    }

    /// The word in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Unsent => "unsent",
            Self::Lost => "lost",
        }
    }

    fn place(self) -> usize {
        match self {
            Self::Delivered => 0,
            Self::Refused => 1,
            Self::Failed => 2,
            Self::TimedOut => 3,
            Self::Unreachable => 4,
            Self::Unsent => 5,
            Self::Lost => 6,
        }
    }
}

/// How many attempts ended how since the start.
#[derive(Debug, Default)]
pub struct Tally([AtomicU64; Ending::ALL.len()]);

impl Tally {
    /// How many ended so.
    #[must_use]
    pub fn of(&self, ending: Ending) -> u64 {
        self.0[ending.place()].load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, ending: Ending) {
        self.0[ending.place()].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_4xx_is_final_a_redirect_is_a_failure_and_only_2xx_arrived() {
        for (status, ending) in [
            (200, Ending::Delivered),
            (204, Ending::Delivered),
            (301, Ending::Failed),
            (308, Ending::Failed),
            (400, Ending::Refused),
            (408, Ending::Refused),
            (429, Ending::Refused),
            (500, Ending::Failed),
            (503, Ending::Failed),
            (103, Ending::Failed),
        ] {
            assert_eq!(Ending::of(status), ending, "{status}");
        }
    }

    #[test]
    fn each_ending_is_counted_for_itself() {
        let tally = Tally::default();
        for (at, ending) in Ending::ALL.into_iter().enumerate() {
            (0..=at).for_each(|_| tally.add(ending));
        }
        assert_eq!(Ending::ALL.map(|ending| tally.of(ending)), [1, 2, 3, 4, 5, 6, 7]);
    }
}
