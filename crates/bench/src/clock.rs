//! The clocks. A benchmark measures time, so it may read them.

use std::time::{Instant, SystemTime};

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Today in UTC, `2026-11-20`.
#[expect(clippy::disallowed_methods, reason = "a report says its day")]
pub(crate) fn today() -> anyhow::Result<String> {
    Ok(jiff::Timestamp::try_from(SystemTime::now())?.strftime("%Y-%m-%d").to_string())
}
