//! A rolling window as a conservative ring: sums by slot, each leaving with its last charge.
//!
//! Time is cut into slots, S to the window. A slot leaves when its *last* charge (of an older slot, rounded up) is one
//! window old, so nothing is ever counted short, and what arrived in one burst becomes free exactly one window later. At most S slots
//! behind the newest are live: the last charge of the one before them is a window old when a newer slot begins.
//!
//! Its gauge wakes when the oldest slot leaves, or earlier, and never while nothing is live. The newest slot is kept in
//! the counter's cache line; the older ones are behind a box that is touched when the slot changes, when one leaves,
//! and when an older charge is given back.

use crate::counter::Gauge;
use crate::moment::{Place, Span};

/// The largest S.
const SLOTS_MAX: usize = 50;
/// No slot of any clock, so that the first charge begins one.
const NO_SLOT: u64 = u64::MAX;

/// Charges of the last window, by slot. Their sum is the level of the gauge.
#[derive(Debug)]
pub(crate) struct Ring {
    newest_sum: u64,
    newest_slot: u64,
    older: Box<Older>,
    /// The last charge of the newest slot, to the nanosecond: who is refused in the same burst is told one window, not
    /// a step more, which in whole seconds would make 61 of 60.
    newest_nanos: u32,
    pub(crate) span: Span,
}

/// The slots behind the newest, each where [`Span::position`] says.
#[derive(Debug)]
struct Older {
    /// Bit k: the slot k before the newest is live.
    ages: u64,
    sums: [u64; SLOTS_MAX],
    offsets: [u16; SLOTS_MAX],
}

// Kept within the size class of 512 bytes: with its cache line, a rolling counter stays below 0.6 KB.
const _: () = assert!(size_of::<Older>() <= 512);

impl Ring {
    pub(crate) fn new(span: Span) -> Self {
        let older = Box::new(Older { ages: 0, sums: [0; SLOTS_MAX], offsets: [0; SLOTS_MAX] });
        Self { newest_sum: 0, newest_slot: NO_SLOT, older, newest_nanos: 0, span }
    }

    /// Lets go of the slots that are one window old. An idle ring is cleared with one fill, not slot by slot.
    pub(crate) fn expire(&mut self, gauge: &mut Gauge, mono_ns: u64) {
        if mono_ns >= self.newest_leaves_at() {
            (self.newest_sum, self.newest_slot, self.older.ages) = (0, NO_SLOT, 0);
            (gauge.level, gauge.wake) = (0, u64::MAX);
            return;
        }
        while let Some(age) = self.older.ages.checked_ilog2() {
            let (leaves_at, sum) = self.older_slot(age);
            if mono_ns < leaves_at {
                gauge.wake = leaves_at;
                return;
            }
            self.older.ages &= !bit(age);
            self.lessen(gauge, sum);
        }
        gauge.wake = self.newest_leaves_at();
    }

    /// Puts `amount`, which the gauge already shows, into the slot of `place`: the newest or a later one.
    #[inline]
    pub(crate) fn charge(&mut self, gauge: &mut Gauge, amount: u64, place: Place) {
        if self.newest_slot != place.slot {
            self.begin(gauge, place);
        }
        self.newest_nanos = place.nanos;
        self.newest_sum = self.newest_sum.saturating_add(amount);
    }

    /// Begins a newer slot. The ring has been advanced to its time.
    #[cold]
    fn begin(&mut self, gauge: &mut Gauge, place: Place) {
        if self.is_empty() {
            // A bound from below is enough: the slot leaves with its last charge, which may come later.
            gauge.wake = self.span.leaves_at(place);
        } else {
            let at = self.span.position(self.newest_slot);
            self.older.sums[at] = self.newest_sum;
            self.older.offsets[at] = self.span.steps(self.newest_nanos);
            let turned = u32::try_from(place.slot.saturating_sub(self.newest_slot)).unwrap_or(u32::MAX);
            debug_assert!(u64::from(turned) <= self.span.slots(), "a slot older than the window is live");
            self.older.ages = (self.older.ages | 1).checked_shl(turned).unwrap_or(0);
        }
        self.newest_slot = place.slot;
        self.newest_sum = 0;
    }

    /// Gives back part of what was charged to `slot`, if that is still live; else there is nothing to give back.
    pub(crate) fn refund(&mut self, gauge: &mut Gauge, amount: u64, slot: u64) {
        let Some(age) = self.live_age(slot) else { return };
        let sum = match age {
            0 => &mut self.newest_sum,
            _ => &mut self.older.sums[self.span.position(slot)],
        };
        // A sum at the edge has lost count; it stays there until its slot leaves, rather than come out too small.
        if *sum < u64::MAX {
            *sum = sum.saturating_sub(amount);
            self.lessen(gauge, amount);
        }
    }

    /// When `demand` would pass, given that the limit refuses now and that it is not above the threshold.
    pub(crate) fn opens_at(&self, level: u64, demand: u64, threshold: u64) -> u64 {
        let mut left = level;
        let mut opens_at = 0;
        for (leaves_at, sum) in self.live() {
            if left.saturating_add(demand) <= threshold {
                break;
            }
            left = left.saturating_sub(sum);
            opens_at = leaves_at;
        }
        opens_at
    }

    /// When the last slot with anything in it leaves.
    #[inline]
    pub(crate) fn restored_at(&self) -> u64 {
        if self.newest_sum > 0 {
            return self.newest_leaves_at();
        }
        self.live().filter(|(_, sum)| *sum > 0).last().map_or(0, |(leaves_at, _)| leaves_at)
    }

    /// Takes `amount` from the level, which is counted afresh if it stood at the edge.
    fn lessen(&self, gauge: &mut Gauge, amount: u64) {
        gauge.level = if gauge.level < u64::MAX {
            gauge.level.saturating_sub(amount)
        } else {
            self.live().fold(0, |level, (_, sum)| level.saturating_add(sum))
        };
    }

    /// When each live slot leaves, and its sum; oldest first.
    fn live(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ages = (1..u64::BITS).rev().filter(|age| self.older.ages & bit(*age) != 0);
        let newest = (!self.is_empty()).then(|| (self.newest_leaves_at(), self.newest_sum));
        ages.map(|age| self.older_slot(age)).chain(newest)
    }

    /// How many slots before the newest `slot` is, if it is live.
    fn live_age(&self, slot: u64) -> Option<u32> {
        let age = u32::try_from(self.newest_slot.checked_sub(slot)?).ok()?;
        let live = age == 0 || (age < u64::BITS && self.older.ages & bit(age) != 0);
        live.then_some(age)
    }

    fn is_empty(&self) -> bool {
        self.newest_slot == NO_SLOT
    }

    fn newest_leaves_at(&self) -> u64 {
        self.span.leaves_at(Place { slot: self.newest_slot, nanos: self.newest_nanos })
    }

    fn older_slot(&self, age: u32) -> (u64, u64) {
        let slot = self.newest_slot.saturating_sub(u64::from(age));
        let at = self.span.position(slot);
        (
            self.span.leaves_at(Place { slot, nanos: self.span.nanos(self.older.offsets[at]) }),
            self.older.sums[at],
        )
    }
}

/// The bit of an age; ages are below 64.
fn bit(age: u32) -> u64 {
    1_u64.wrapping_shl(age)
}
