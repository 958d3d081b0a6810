//! Time as an argument: a reading of both clocks, and the UTC day.

use std::fmt;

/// A reading of both clocks, taken once where a call arrives and handed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Nanoseconds on a monotonic clock that counts suspend. Rolling windows run on it.
    pub mono_ns: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z. Days and everything people read run on it.
    pub wall_ms: u64,
}

impl Now {
    /// The UTC day of this reading.
    #[must_use]
    pub fn day(self) -> Day {
        Day::of(self.wall_ms)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub fn wall_s(self) -> u64 {
        self.wall_ms / 1_000
    }
}

/// A time in milliseconds since 1970 as people read it: RFC 3339, UTC, milliseconds, `Z`. Past the year 9999, for which
/// there is no form, the last moment that has one.
#[must_use]
pub fn shown_ms(wall_ms: u64) -> impl fmt::Display {
    let millis = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    Shown(time)
}

struct Shown(jiff::Timestamp);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

/// Where readings come from: the machine in production, a hand-turned one in tests.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The reading of this moment.
    fn now(&self) -> Now;
}

/// A UTC calendar day, counted from 1970-01-01. A minute is never a leap second here: POSIX time has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Day(pub u32);

impl Day {
    /// Length of a day in milliseconds.
    pub const LENGTH_MS: u64 = 86_400_000;

    /// The day in which `wall_ms` lies. Saturates in the year 11 761 191.
    #[must_use]
    pub fn of(wall_ms: u64) -> Self {
        Self(u32::try_from(wall_ms / Self::LENGTH_MS).unwrap_or(u32::MAX))
    }

    /// The first millisecond of this day.
    #[must_use]
    pub fn start_ms(self) -> u64 {
        u64::from(self.0) * Self::LENGTH_MS
    }

    /// The first millisecond of the day after, which is when DAY limits reset.
    #[must_use]
    pub fn end_ms(self) -> u64 {
        self.start_ms() + Self::LENGTH_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc_and_ends_where_the_next_begins() {
        let noon = 20_000 * Day::LENGTH_MS + 43_200_000;
        assert_eq!(Day::of(noon), Day(20_000));
        assert_eq!(Day::of(Day(20_000).end_ms() - 1), Day(20_000));
        assert_eq!(Day::of(Day(20_000).end_ms()), Day(20_001));
    }
}
