//! Time under the lock: one reading, already cut into the slots that rings need.

use domain::Now;

/// The two lengths of a rolling window, and how their rings divide them.
///
/// A ring of S slots behind the newest one refuses at most one slot's worth of what an exact log would admit, so
/// sustained use is at least S / (S + 1) of the threshold: 90 % for a second, 98 % for a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Second,
    Minute,
}

/// Slots behind the newest one: S.
const SECOND_SLOTS: u64 = 10;
const MINUTE_SLOTS: u64 = 50;
/// The window divided by S.
const SECOND_SLOT_NS: u64 = 100_000_000;
const MINUTE_SLOT_NS: u64 = 1_200_000_000;
/// The finest time within a slot: a round number of which a slot has at most 65 535.
const SECOND_STEP_NS: u32 = 2_000;
const MINUTE_STEP_NS: u32 = 20_000;

impl Span {
    pub(crate) const fn window_ns(self) -> u64 {
        match self {
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
        }
    }

    pub(crate) const fn slots(self) -> u64 {
        match self {
            Self::Second => SECOND_SLOTS,
            Self::Minute => MINUTE_SLOTS,
        }
    }

    /// Where a ring keeps a slot: S slots in a row never meet.
    #[inline]
    pub(crate) fn position(self, slot: u64) -> usize {
        let position = match self {
            Self::Second => slot % SECOND_SLOTS,
            Self::Minute => slot % MINUTE_SLOTS,
        };
        // Below 50, so the fallback is out of reach.
        usize::try_from(position).unwrap_or(0)
    }

    /// The slot of `mono_ns`, and how far into it.
    #[inline]
    pub(crate) fn place(self, mono_ns: u64) -> Place {
        let (slot, nanos) = match self {
            Self::Second => (mono_ns / SECOND_SLOT_NS, mono_ns % SECOND_SLOT_NS),
            Self::Minute => (mono_ns / MINUTE_SLOT_NS, mono_ns % MINUTE_SLOT_NS),
        };
        // Below 1.2 thousand million, so the fallback is out of reach.
        Place { slot, nanos: u32::try_from(nanos).unwrap_or(u32::MAX) }
    }

    /// A time within a slot as a ring keeps it for older slots: in steps, rounded up, so that nothing leaves early.
    #[inline]
    pub(crate) fn steps(self, nanos: u32) -> u16 {
        let step_ns = match self {
            Self::Second => SECOND_STEP_NS,
            Self::Minute => MINUTE_STEP_NS,
        };
        // At most 60 000 steps, so the fallback is out of reach.
        u16::try_from(nanos.div_ceil(step_ns)).unwrap_or(u16::MAX)
    }

    /// The time that so many steps stand for.
    #[inline]
    pub(crate) fn nanos(self, steps: u16) -> u32 {
        let step_ns = match self {
            Self::Second => SECOND_STEP_NS,
            Self::Minute => MINUTE_STEP_NS,
        };
        u32::from(steps).saturating_mul(step_ns)
    }

    /// When what was charged at this place has left every window. Saturates after 584 years of uptime.
    #[inline]
    pub(crate) fn leaves_at(self, place: Place) -> u64 {
        let slot_ns = match self {
            Self::Second => SECOND_SLOT_NS,
            Self::Minute => MINUTE_SLOT_NS,
        };
        let slot_begins = place.slot.saturating_mul(slot_ns);
        slot_begins.saturating_add(u64::from(place.nanos)).saturating_add(self.window_ns())
    }
}

/// A slot of a ring since the clock's zero, and the time within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) slot: u64,
    pub(crate) nanos: u32,
}

/// A reading of both clocks that never runs backward within a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) mono_ns: u64,
    pub(crate) wall_ms: u64,
    second: Place,
    minute: Place,
}

impl Moment {
    pub(crate) fn at(now: Now) -> Self {
        let Now { mono_ns, wall_ms } = now;
        Self { mono_ns, wall_ms, second: Span::Second.place(mono_ns), minute: Span::Minute.place(mono_ns) }
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        match span {
            Span::Second => self.second,
            Span::Minute => self.minute,
        }
    }

    /// The reading this was made of.
    pub(crate) fn now(&self) -> Now {
        Now { mono_ns: self.mono_ns, wall_ms: self.wall_ms }
    }

    /// Nanoseconds until a time on the monotonic clock; 0 if it has passed.
    pub(crate) fn until(&self, mono_ns: u64) -> u64 {
        mono_ns.saturating_sub(self.mono_ns)
    }

    /// Nanoseconds until a time on the wall clock; 0 if it has passed. Saturates after 584 years.
    pub(crate) fn until_wall(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_sub(self.wall_ms).saturating_mul(1_000_000)
    }
}
