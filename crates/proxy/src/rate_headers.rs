//! The limits that the caller is shown, as headers: OpenAI's `x-ratelimit-*` or Anthropic's `anthropic-ratelimit-*`, as
//! the route speaks, and the IETF's `RateLimit` fields.
//!
//! Follows draft-ietf-httpapi-ratelimit-headers-10. A value that is not known is left out, never a sentinel.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use domain::{GroupId, LimitType, Meter, Now, Unit};
use http::{HeaderMap, HeaderName, HeaderValue};
use limits::{ConfigLine, CounterScope, Measure, Owner, Path, PathLimit, Source, Standings};
use wire::Dialect;

const NANOS_PER_MS: u64 = 1_000_000;
/// Largest integer of a structured field (RFC 9651, 3.3.1).
const FIELD_INTEGER_MAX: u64 = 999_999_999_999_999;

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

/// One of the limits that the caller is shown, at the moment of the decision.
#[derive(Debug, Clone)]
struct Row {
    kind: LimitType,
    span: Span,
    threshold: u64,
    remaining: u64,
    reset_s: u64,
}

/// How long a limit's window is, and what tells its policy from others of the same length.
#[derive(Debug, Clone)]
enum Span {
    /// Of the caller's own group.
    Own(Unit),
    /// Of an ancestor.
    Above(Unit, GroupId),
    /// Of a model config.
    Period(Arc<ConfigLine>),
}

/// The limits that the caller is shown, at the moment of the decision.
#[derive(Debug, Clone)]
pub(crate) struct RateHeaders {
    rows: Vec<Row>,
    /// When it was, in milliseconds since 1970 UTC.
    at_ms: u64,
}

/// The name of a policy: `tokens-minute`, or `tokens-minute-` and the ancestor whose counter it is, or `tokens-period-`
/// and the line of a model config.
struct PolicyName<'a>(&'a Row);

impl fmt::Display for PolicyName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = kind_word(self.0.kind);
        match &self.0.span {
            Span::Own(unit) => write!(f, "{kind}-{}", unit_word(*unit)),
            Span::Above(unit, ancestor) => write!(f, "{kind}-{}-{ancestor}", unit_word(*unit)),
            Span::Period(line) => write!(f, "{kind}-period-{}", line.line),
        }
    }
}

impl RateHeaders {
    pub(crate) fn new(path: &Path, standings: &Standings, now: Now) -> Self {
        let row = |standing: limits::Standing| {
            let limit = &path.limits()[standing.limit];
            let (kind, span) = told(limit)?;
            Some(Row {
                kind,
                span,
                threshold: limit.threshold,
                remaining: standing.remaining,
                reset_s: seconds(standing.reset_nanos),
            })
        };
        Self { rows: standings.iter().filter_map(row).collect(), at_ms: now.wall_ms }
    }

    /// Writes all headers; none where no limit is shown.
    pub(crate) fn put(&self, dialect: Dialect, headers: &mut HeaderMap) {
        if self.rows.is_empty() {
            return;
        }
        let (requests, tokens) = match dialect {
            Dialect::OpenAi => (OPENAI_REQUESTS, OPENAI_TOKENS),
            Dialect::Anthropic => (ANTHROPIC_REQUESTS, ANTHROPIC_TOKENS),
        };
        self.put_flat(dialect, headers, (LimitType::Request, requests));
        self.put_flat(dialect, headers, (LimitType::Token, tokens));
        let (mut policy, mut standing) = (String::new(), String::new());
        for row in &self.rows {
            let separator = if policy.is_empty() { "" } else { ", " };
            let name = PolicyName(row);
            let quota = row.threshold.min(FIELD_INTEGER_MAX);
            let left = row.remaining.min(FIELD_INTEGER_MAX);
            // Writing to a String cannot fail.
            let _ = write!(policy, "{separator}\"{name}\";q={quota};w={}", row.span.seconds());
            let _ = write!(standing, "{separator}\"{name}\";r={left};t={}", row.reset_s);
        }
        put(headers, POLICY, policy);
        put(headers, RATE_LIMIT, standing);
    }

    /// The most constrained limit of a type: the one with least left, the slowest to come back among equals.
    fn put_flat(&self, dialect: Dialect, headers: &mut HeaderMap, (kind, names): (LimitType, Names)) {
        let rows = self.rows.iter().filter(|row| row.kind == kind);
        let tightest = rows.min_by_key(|row| (row.remaining, std::cmp::Reverse(row.reset_s)));
        let Some(row) = tightest else { return };
        let [limit, remaining, reset] = names;
        headers.insert(limit, HeaderValue::from(row.threshold));
        headers.insert(remaining, HeaderValue::from(row.remaining));
        let when = match dialect {
            Dialect::OpenAi => duration(row.reset_s),
            Dialect::Anthropic => moment(self.at_ms, row.reset_s),
        };
        put(headers, reset, when);
    }
}

/// What a limit counts and over which span, if headers have a place for it: not for dollars, nor for calls in flight.
fn told(limit: &PathLimit) -> Option<(LimitType, Span)> {
    match (limit.counter.measure, &limit.counter.owner, &limit.source) {
        (Measure::Use(kind, unit), Owner::Model(owner, _), _) => {
            let is_above = limit.scope == CounterScope::Ancestor;
            Some((kind, if is_above { Span::Above(unit, *owner) } else { Span::Own(unit) }))
        }
        (Measure::Spend(Meter::Tokens), _, Source::Config(line)) => {
            Some((LimitType::Token, Span::Period(Arc::clone(line))))
        }
        (Measure::Spend(Meter::Requests), _, Source::Config(line)) => {
            Some((LimitType::Request, Span::Period(Arc::clone(line))))
        }
        (Measure::Use(..) | Measure::Spend(_) | Measure::Concurrency, _, _) => None,
    }
}

impl Span {
    /// Length in seconds, at least 1.
    fn seconds(&self) -> u64 {
        match self {
            Self::Own(unit) | Self::Above(unit, _) => unit.seconds(),
            Self::Period(line) => line.reset.length_ms().div_ceil(1_000),
        }
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
