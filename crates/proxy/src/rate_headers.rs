//! The limits that the caller is shown, as headers: OpenAI's `x-ratelimit-*` or Anthropic's `anthropic-ratelimit-*`, as
//! the route speaks, and the IETF's `RateLimit` fields.
//!
//! Follows draft-ietf-httpapi-ratelimit-headers-10. A value that is not known is left out, never a sentinel. What headers
//! say of a path whatever is left of it is worked out once, in `words`.
//! Begins at [`RateHeaders::put`].

mod words;

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use domain::{LimitType, Now};
use http::{HeaderMap, HeaderName, HeaderValue};
use limits::{Standing, Standings};
use wire::Dialect;

pub(crate) use self::words::RateWords;
use self::words::{FIELD_INTEGER_MAX, Row};

const NANOS_PER_MS: u64 = 1_000_000;
/// Room for what is left of one limit: `"tokens-minute";r=999999999999999;t=86400, `.
const STANDING_LEN: usize = 64;

/// Limit, remaining and reset.
type Names = [HeaderName; 3];
const OPENAI_REQUESTS: Names = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const OPENAI_TOKENS: Names = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
const ANTHROPIC_REQUESTS: Names = [
    HeaderName::from_static("anthropic-ratelimit-requests-limit"),
    HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    HeaderName::from_static("anthropic-ratelimit-requests-reset"),
];
const ANTHROPIC_TOKENS: Names = [
    HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
    HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
    HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
];
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The limits that the caller is shown, at the moment of the decision.
#[derive(Debug, Clone)]
pub(crate) struct RateHeaders {
    words: Arc<RateWords>,
    standings: Standings,
    /// When it was, in milliseconds since 1970 UTC.
    at_ms: u64,
}

impl RateHeaders {
    /// `words` and `standings` are of the same path.
    pub(crate) fn new(words: &Arc<RateWords>, standings: Standings, now: Now) -> Self {
        Self { words: Arc::clone(words), standings, at_ms: now.wall_ms }
    }

    /// Writes all headers; none where no limit is shown.
    pub(crate) fn put(&self, dialect: Dialect, headers: &mut HeaderMap) {
        let Some(policy) = &self.words.policy else { return };
        let (requests, tokens) = match dialect {
            Dialect::OpenAi => (OPENAI_REQUESTS, OPENAI_TOKENS),
            Dialect::Anthropic => (ANTHROPIC_REQUESTS, ANTHROPIC_TOKENS),
        };
        self.put_flat(dialect, headers, (LimitType::Request, requests));
        self.put_flat(dialect, headers, (LimitType::Token, tokens));
        let mut standing = String::with_capacity(self.words.rows.len() * STANDING_LEN);
        for (row, stands) in self.rows() {
            let separator = if standing.is_empty() { "" } else { ", " };
            let left = stands.remaining.min(FIELD_INTEGER_MAX);
            // Writing to a String cannot fail.
            let _ = write!(standing, "{separator}{};r={left};t={}", row.name, seconds(stands.reset_nanos));
        }
        headers.insert(POLICY, policy.clone());
        put(headers, RATE_LIMIT, standing);
    }

    /// The most constrained limit of a type: the one with least left, the slowest to come back among equals.
    fn put_flat(&self, dialect: Dialect, headers: &mut HeaderMap, (kind, names): (LimitType, Names)) {
        let rows = self.rows().filter(|(row, _)| row.kind == kind);
        let tightest =
            rows.min_by_key(|(_, stands)| (stands.remaining, std::cmp::Reverse(seconds(stands.reset_nanos))));
        let Some((row, stands)) = tightest else { return };
        let [limit, remaining, reset] = names;
        headers.insert(limit, row.threshold.clone());
        headers.insert(remaining, HeaderValue::from(stands.remaining));
        let when = match dialect {
            Dialect::OpenAi => duration(seconds(stands.reset_nanos)),
            Dialect::Anthropic => moment(self.at_ms, seconds(stands.reset_nanos)),
        };
        put(headers, reset, when);
    }

    fn rows(&self) -> impl Iterator<Item = (&Row, Standing)> {
        let rows = self.words.rows.iter().zip(self.standings.iter());
        rows.filter_map(|(row, stands)| row.as_ref().map(|row| (row, stands)))
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
        headers.insert(name, value);
    }
}

/// Whole seconds, rounded up from whole milliseconds: a window's end is known to some microseconds, and a minute
/// that ends ten of them late is still `1m0s`.
fn seconds(nanos: u64) -> u64 {
    (nanos / NANOS_PER_MS).div_ceil(1_000)
}

/// A duration as OpenAI writes it: `0s`, `59s`, `6m0s`, `23h59m59s`.
fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// So many seconds after a moment, in whole seconds and RFC 3339, as Anthropic writes it. Rounds up.
fn moment(at_ms: u64, seconds: u64) -> String {
    let reset_s = at_ms.div_ceil(1_000).saturating_add(seconds);
    let reset = jiff::Timestamp::from_second(i64::try_from(reset_s).unwrap_or(i64::MAX));
    reset.unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_anthropic_writes_them() {
        assert_eq!(moment(1_778_673_600_000, 60), "2026-05-13T12:01:00Z");
        assert_eq!(moment(1_778_673_600_001, 0), "2026-05-13T12:00:01Z");
        assert!(moment(u64::MAX, u64::MAX).ends_with('Z'));
    }

    #[test]
    fn durations_are_written_as_openai_writes_them() {
        for (seconds, text) in [(0, "0s"), (1, "1s"), (360, "6m0s"), (86_399, "23h59m59s"), (3_600, "1h0m0s")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
