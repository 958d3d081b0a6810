//! Times as people read them: RFC 3339, UTC, `Z`; whole seconds, or milliseconds where a window is as short as a second.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::error::Error;

/// Longest text that is read as a time, in bytes.
const TIME_LEN_MAX: usize = 64;

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
        serializer.collect_str(&domain::shown_ms(self.0))
    }
}

/// Reads ISO 8601; without an offset it is UTC, and a date is its first moment. Milliseconds since 1970, rounded up: what
/// happened in a whole millisecond is before a time exactly if it is before the millisecond that this answers.
///
/// # Errors
/// What is no such time. `name` says whose.
pub(crate) fn read_moment(name: &str, text: &str) -> Result<u64, Error> {
    let time = match text.parse::<jiff::Timestamp>() {
        // A time zone by name would be passed over in silence.
        _ if text.len() > TIME_LEN_MAX || text.contains('[') => None,
        Ok(time) => Some(time),
        Err(_) => utc(text),
    };
    let time = time.ok_or_else(|| {
        Error::invalid(format!(
            "{name} is not a time in ISO 8601, such as 2026-05-13T12:00:00Z; write the + of an offset as %2B."
        ))
    })?;
    let nanos = u128::try_from(time.as_nanosecond()).unwrap_or(0);
    Ok(u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// A time without an offset, as UTC. One after the last moment that there is, as people write for "no end", is that moment.
fn utc(text: &str) -> Option<jiff::Timestamp> {
    let civil: DateTime = text.strip_suffix(['Z', 'z']).unwrap_or(text).parse().ok()?;
    let beyond = if civil.year() > 0 { jiff::Timestamp::MAX } else { jiff::Timestamp::MIN };
    Some(civil.to_zoned(TimeZone::UTC).map_or(beyond, |time| time.timestamp()))
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
    fn a_time_is_read_in_every_usual_form_and_in_no_other() {
        let noon = 1_778_673_600_000;
        for text in [
            "2026-05-13T12:00:00Z",
            "2026-05-13T12:00:00.000Z",
            "2026-05-13T14:00:00+02:00",
            "2026-05-13T12:00:00",
            "20260513T120000Z",
        ] {
            assert_eq!(read_moment("x", text), Ok(noon), "{text}");
        }
        assert_eq!(read_moment("x", "2026-05-13"), Ok(noon - 43_200_000));
        assert_eq!(read_moment("x", "2026-05-13T12:00:00.0001Z"), Ok(noon + 1), "rounded up");
        assert_eq!(read_moment("x", "1969-12-31T23:59:59Z"), Ok(0));
        let long = format!("2026-05-13T12:00:00.{}Z", "0".repeat(TIME_LEN_MAX));
        for bad in ["", "now", "1778673600", "2026-13-01T00:00:00Z", "2026-05-13T12:00:00 02:00", "\0", &long]
        {
            assert!(read_moment("x", bad).is_err(), "{bad}");
        }
        for zone in ["2026-05-13T12:00:00[America/New_York]", "2026-05-13T12:00:00Z[Europe/Berlin]"] {
            assert!(read_moment("x", zone).is_err(), "{zone}: not taken for UTC");
        }
    }

    #[test]
    fn a_time_after_all_times_is_the_last_one() {
        for end in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999", "9999-12-31"] {
            assert_eq!(read_moment("x", end), read_moment("x", "9999-12-30T22:00:00.999999999Z"), "{end}");
        }
        assert_eq!(read_moment("x", "-009999-01-01T00:00:00Z"), Ok(0));
    }

    #[test]
    fn times_are_whole_seconds_in_utc() {
        let text = |seconds| serde_json::to_value(Timestamp(seconds)).unwrap();
        assert_eq!(text(1_778_673_600), "2026-05-13T12:00:00Z");
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert!(text(u64::MAX).as_str().unwrap().ends_with('Z'));
    }
}
