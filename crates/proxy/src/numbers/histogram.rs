//! How long things take, sorted into fixed buckets.
//!
//! Knows nothing of: what is measured. Begins at [`Buckets::note`].

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000 * MICRO;
const SECOND: u64 = 1_000 * MILLI;

/// Upper bounds of the buckets of a histogram.
const BOUNDS: usize = 15;

/// For what the gateway adds to a call, in nanoseconds.
pub(super) const ADDED: [u64; BOUNDS] = [
    50 * MICRO,
    100 * MICRO,
    200 * MICRO,
    500 * MICRO,
    MILLI,
    2 * MILLI,
    5 * MILLI,
    10 * MILLI,
    25 * MILLI,
    50 * MILLI,
    100 * MILLI,
    250 * MILLI,
    SECOND,
    5 * SECOND,
    10 * SECOND,
];

/// For what a model server takes, in nanoseconds.
pub(super) const ANSWERS: [u64; BOUNDS] = [
    10 * MILLI,
    25 * MILLI,
    50 * MILLI,
    100 * MILLI,
    250 * MILLI,
    500 * MILLI,
    SECOND,
    2_500 * MILLI,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
    120 * SECOND,
    300 * SECOND,
    1_200 * SECOND,
];

/// One thread's part of a histogram.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// One for each bound, and one for what is beyond.
    counts: [AtomicU64; BOUNDS + 1],
    sum_ns: AtomicU64,
}

/// A histogram, added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Upper bounds in nanoseconds, ascending; what is equal to one is within it.
    pub bounds_ns: &'static [u64],
    /// How many fell into each bucket and into none before; one more than there are bounds.
    pub counts: Vec<u64>,
    /// All of them together, in nanoseconds.
    pub sum_ns: u64,
}

impl Buckets {
    pub(super) fn note(&self, bounds: &[u64; BOUNDS], ns: u64) {
        let at = bounds.partition_point(|bound| *bound < ns);
        self.counts[at].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }
}

impl Histogram {
    pub(super) fn sum<'a>(bounds_ns: &'static [u64], parts: impl Iterator<Item = &'a Buckets>) -> Self {
        let mut sum = Self { bounds_ns, counts: vec![0; BOUNDS + 1], sum_ns: 0 };
        for part in parts {
            for (total, count) in sum.counts.iter_mut().zip(&part.counts) {
                *total = total.wrapping_add(count.load(Relaxed));
            }
            sum.sum_ns = sum.sum_ns.wrapping_add(part.sum_ns.load(Relaxed));
        }
        sum
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}
