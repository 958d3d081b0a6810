//! What is counted, and how often.
//!
//! A task is done as many times before anything is counted: windows turn, memory is warm. Begins at [`Tally::count`].

use std::hint::black_box;

/// One figure of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    /// What is done once, and how much that is.
    pub(crate) name: &'static str,
    /// How often it is counted.
    pub(crate) rounds: u64,
    /// Does it until the tally is [full](Tally::is_full).
    pub(crate) run: fn(&mut Tally),
}

/// How often something was done.
#[derive(Debug)]
pub(crate) struct Tally {
    rounds: u64,
    warmed: u64,
    counted: u64,
}

impl Tally {
    pub(crate) fn new(rounds: u64) -> Self {
        Self { rounds, warmed: 0, counted: 0 }
    }

    /// Does the work, and has it counted once everything is warm.
    #[inline(always)]
    pub(crate) fn count<T>(&mut self, work: impl FnOnce() -> T) -> T {
        if self.warmed < self.rounds {
            self.warmed += 1;
            return work();
        }
        self.counted += 1;
        counted_here(work)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.counted == self.rounds
    }

    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }
}

/// Callgrind is told this name: it begins to count when this is called and ends when it returns. So it must stay a
/// function of its own and call nothing of the same name.
#[inline(never)]
fn counted_here<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}
