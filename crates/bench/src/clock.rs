//! The clocks. A benchmark measures time, so it may read them.

use std::time::{Instant, SystemTime};

use domain::Now;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Today in UTC, `2026-11-20`.
#[expect(clippy::disallowed_methods, reason = "a report says its day")]
pub(crate) fn today() -> anyhow::Result<String> {
    Ok(jiff::Timestamp::try_from(SystemTime::now())?.strftime("%Y-%m-%d").to_string())
}

/// The time for edits of a store that nobody serves from.
#[expect(clippy::disallowed_methods, reason = "what is written says when")]
pub(crate) fn wall() -> anyhow::Result<Now> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Now { mono_ns: 0, wall_ms: u64::try_from(since.as_millis())? })
}

/// This moment as management takes it, `2026-11-20T12:00:00Z`.
pub(crate) fn written(ms: u64) -> anyhow::Result<String> {
    let seconds = i64::try_from(ms / 1_000)?;
    Ok(jiff::Timestamp::from_second(seconds)?.to_string())
}
