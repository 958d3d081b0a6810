//! Times as people read them: RFC 3339, UTC, `Z`; whole seconds, or milliseconds where a window is as short as a second.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// RFC 3339, UTC, whole seconds.
// Held as seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(crate) struct Timestamp(pub u64);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = i64::try_from(self.0).unwrap_or(i64::MAX);
        // Past the year 9999 RFC 3339 has no form; the last moment it has is shown.
        let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
        serializer.collect_str(&time)
    }
}

/// RFC 3339, UTC, milliseconds.
// Held as milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(crate) struct Moment(pub u64);

impl Moment {
    /// So many nanoseconds after `at_ms`, rounded up: what is promised for a moment has come about then.
    pub(crate) fn after(at_ms: u64, nanos: u64) -> Self {
        Self(at_ms.saturating_add(nanos.div_ceil(1_000_000)))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        serializer.collect_str(&format_args!("{time:.3}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_milliseconds_and_are_never_early() {
        let text = |moment: Moment| serde_json::to_value(moment).unwrap();
        assert_eq!(text(Moment(1_778_673_600_000)), "2026-05-13T12:00:00.000Z");
        assert_eq!(text(Moment::after(1_778_673_600_000, 250_000_001)), "2026-05-13T12:00:00.251Z");
        assert!(text(Moment::after(u64::MAX, u64::MAX)).as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn times_are_whole_seconds_in_utc() {
        let text = |seconds| serde_json::to_value(Timestamp(seconds)).unwrap();
        assert_eq!(text(1_778_673_600), "2026-05-13T12:00:00Z");
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert!(text(u64::MAX).as_str().unwrap().ends_with('Z'));
    }
}
