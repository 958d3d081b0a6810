//! A rolling window as an exact log: every charge and its time. For request limits small enough to afford it.
//!
//! Its gauge wakes when the oldest request is one window old.

use crate::counter::Gauge;
use crate::counter::ring::Ring;
use crate::moment::Span;

/// A request limit up to this threshold keeps a log; above it, a ring, whose slack is small next to the threshold.
pub(crate) const LOG_LEN_MAX: usize = 64;

/// The times of at most 64 requests, oldest first, circular from `first`. Exact in both directions.
#[derive(Debug)]
pub(crate) struct Log {
    times: Box<[u64; LOG_LEN_MAX]>,
    first: u8,
    len: u8,
    pub(crate) span: Span,
}

impl Log {
    pub(crate) fn new(span: Span) -> Self {
        Self { times: Box::new([0; LOG_LEN_MAX]), first: 0, len: 0, span }
    }

    /// Lets go of what is one window old.
    pub(crate) fn expire(&mut self, gauge: &mut Gauge, mono_ns: u64) {
        while self.len > 0 && self.leaves_at(0) <= mono_ns {
            self.first = self.first.wrapping_add(1);
            self.len = self.len.saturating_sub(1);
        }
        self.show(gauge);
    }

    /// Appends one request. There is room: no threshold bound to a log is above its length, and one that is bound later
    /// turns the log into a ring first.
    pub(crate) fn push(&mut self, gauge: &mut Gauge, mono_ns: u64) {
        debug_assert!(usize::from(self.len) < LOG_LEN_MAX, "a log admitted more than it can hold");
        self.times[self.slot(self.len)] = mono_ns;
        self.len = self.len.saturating_add(1);
        self.show(gauge);
    }

    /// Appends one request in the place of the oldest, if there is no room.
    pub(crate) fn push_over(&mut self, gauge: &mut Gauge, mono_ns: u64) {
        if usize::from(self.len) >= LOG_LEN_MAX {
            self.first = self.first.wrapping_add(1);
            self.len = self.len.saturating_sub(1);
        }
        self.push(gauge, mono_ns);
    }

    /// Removes one request that came at `mono_ns`, if it is still in the window.
    pub(crate) fn give_back(&mut self, gauge: &mut Gauge, mono_ns: u64) {
        let Some(found) = (0..self.len).find(|&nth| self.time(nth) == mono_ns) else { return };
        for nth in found..self.len.saturating_sub(1) {
            self.times[self.slot(nth)] = self.time(nth.saturating_add(1));
        }
        self.len = self.len.saturating_sub(1);
        self.show(gauge);
    }

    /// When one more request would pass, given that the limit refuses now and is not 0.
    pub(crate) fn opens_at(&self, threshold: u64) -> u64 {
        let too_many = u64::from(self.len).saturating_sub(threshold);
        self.leaves_at(u8::try_from(too_many).unwrap_or(u8::MAX))
    }

    /// When the log is empty again.
    pub(crate) fn restored_at(&self) -> u64 {
        self.len.checked_sub(1).map_or(0, |newest| self.leaves_at(newest))
    }

    /// Charges the same requests to a ring.
    pub(crate) fn pour_into(&self, ring: &mut Ring, gauge: &mut Gauge) {
        for nth in 0..self.len {
            gauge.add(1);
            ring.charge(gauge, 1, self.span.place(self.time(nth)));
        }
    }

    fn show(&self, gauge: &mut Gauge) {
        gauge.level = u64::from(self.len);
        gauge.wake = if self.len == 0 { u64::MAX } else { self.leaves_at(0) };
    }

    fn leaves_at(&self, nth: u8) -> u64 {
        self.time(nth).saturating_add(self.span.window_ns())
    }

    fn time(&self, nth: u8) -> u64 {
        self.times[self.slot(nth)]
    }

    fn slot(&self, nth: u8) -> usize {
        usize::from(self.first.wrapping_add(nth)) % LOG_LEN_MAX
    }
}
