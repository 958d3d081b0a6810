//! Durations of the configuration file: whatever the text, it is read or refused, and what is read is exact.

use gateway::config::read_duration;

/// Fails if a promise is broken.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(duration) = read_duration(text) else { return };
    let millis = duration.as_millis();
    assert_eq!(read_duration(&format!("{millis}ms")), Some(duration), "{text}");
}
