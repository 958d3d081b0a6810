//! The caller's own limits, as headers: OpenAI's `x-ratelimit-*` and the IETF's `RateLimit` fields.
//!
//! Follows draft-ietf-httpapi-ratelimit-headers-10. A value that is not known is left out, never a sentinel.

use std::fmt::Write as _;

use domain::{LimitType, Unit};
use http::{HeaderMap, HeaderName, HeaderValue};
use limits::{Path, Standings};

const NANOS_PER_MS: u64 = 1_000_000;
/// Largest integer of a structured field (RFC 9651, 3.3.1).
const FIELD_INTEGER_MAX: u64 = 999_999_999_999_999;

const LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
const LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
const REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");
const RESET_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// One of the caller's own limits at the moment of the decision.
#[derive(Debug, Clone, Copy)]
struct Row {
    kind: LimitType,
    unit: Unit,
    threshold: u64,
    remaining: u64,
    reset_s: u64,
}

/// The caller's own limits at the moment of the decision.
#[derive(Debug, Clone, Default)]
pub(crate) struct RateHeaders(Vec<Row>);

impl RateHeaders {
    pub(crate) fn new(path: &Path, standings: &Standings) -> Self {
        let row = |standing: limits::Standing| {
            let limit = &path.limits()[standing.limit];
            Row {
                kind: limit.counter.kind,
                unit: limit.counter.unit,
                threshold: limit.threshold,
                remaining: standing.remaining,
                reset_s: seconds(standing.reset_nanos),
            }
        };
        Self(standings.iter().map(row).collect())
    }

    /// Writes all headers; none where no limit is the caller's own.
    pub(crate) fn put(&self, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        self.put_flat(headers, LimitType::Request, [LIMIT_REQUESTS, REMAINING_REQUESTS, RESET_REQUESTS]);
        self.put_flat(headers, LimitType::Token, [LIMIT_TOKENS, REMAINING_TOKENS, RESET_TOKENS]);
        let (mut policy, mut standing) = (String::new(), String::new());
        for row in &self.0 {
            let separator = if policy.is_empty() { "" } else { ", " };
            let (kind, unit) = (kind_word(row.kind), unit_word(row.unit));
            let quota = row.threshold.min(FIELD_INTEGER_MAX);
            let left = row.remaining.min(FIELD_INTEGER_MAX);
            // Writing to a String cannot fail.
            let _ = write!(policy, "{separator}\"{kind}-{unit}\";q={quota};w={}", row.unit.seconds());
            let _ = write!(standing, "{separator}\"{kind}-{unit}\";r={left};t={}", row.reset_s);
        }
        put(headers, POLICY, policy);
        put(headers, RATE_LIMIT, standing);
    }

    /// The most constrained limit of a type: the one with least left, the slowest to come back among equals.
    fn put_flat(&self, headers: &mut HeaderMap, kind: LimitType, names: [HeaderName; 3]) {
        let own = self.0.iter().filter(|row| row.kind == kind);
        let tightest = own.min_by_key(|row| (row.remaining, std::cmp::Reverse(row.reset_s)));
        let Some(row) = tightest else { return };
        let [limit, remaining, reset] = names;
        headers.insert(limit, HeaderValue::from(row.threshold));
        headers.insert(remaining, HeaderValue::from(row.remaining));
        put(headers, reset, duration(row.reset_s));
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn kind_word(kind: LimitType) -> &'static str {
    match kind {
        LimitType::Token => "tokens",
        LimitType::Request => "requests",
    }
}

fn unit_word(unit: Unit) -> &'static str {
    match unit {
        Unit::Second => "second",
        Unit::Minute => "minute",
        Unit::Day => "day",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_writes_them() {
        for (seconds, text) in [(0, "0s"), (1, "1s"), (360, "6m0s"), (86_399, "23h59m59s"), (3_600, "1h0m0s")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
