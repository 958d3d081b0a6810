//! Times as people read them: RFC 3339, UTC, whole seconds, `Z`.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_in_utc() {
        let text = |seconds| serde_json::to_value(Timestamp(seconds)).unwrap();
        assert_eq!(text(1_778_673_600), "2026-05-13T12:00:00Z");
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert!(text(u64::MAX).as_str().unwrap().ends_with('Z'));
    }
}
