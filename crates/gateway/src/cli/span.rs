//! Spans of time as people type them.

use std::time::Duration;

use domain::shown_ms;

use super::Usage;
use crate::clock::raw_now;
use crate::config::read_duration;

/// The moment so long ago, as the management API reads it. Days are understood besides what the configuration knows.
///
/// # Errors
/// What is no duration.
pub(super) fn ago(option: &str, text: &str) -> Result<String, Usage> {
    let wrong = || Usage(format!("{option}: `{text}` is not a duration such as 15m, 1h or 30d"));
    let ago = duration(text).ok_or_else(wrong)?;
    let ago_ms = u64::try_from(ago.as_millis()).map_err(|_| wrong())?;
    Ok(shown_ms(raw_now().wall_ms.saturating_sub(ago_ms)).to_string())
}

fn duration(text: &str) -> Option<Duration> {
    let Some(days) = text.strip_suffix('d') else { return read_duration(text) };
    let days: u64 = days.parse().ok()?;
    days.checked_mul(86_400).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_durations_too() {
        assert_eq!(duration("2d"), Some(Duration::from_secs(172_800)));
        assert_eq!(duration("90m"), Some(Duration::from_secs(5_400)));
        for bad in ["", "d", "-1d", "1w", "18446744073709551615d", "1.5h"] {
            assert_eq!(duration(bad), None, "{bad}");
            assert!(ago("--since", bad).is_err());
        }
    }
}
