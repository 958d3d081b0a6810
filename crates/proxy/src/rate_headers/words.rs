//! What headers say of each limit of a path, whatever is left of it: names, thresholds, spans.

use std::fmt::Write as _;

use domain::{LimitType, Meter, Unit};
use http::HeaderValue;
use limits::{ConfigLine, CounterScope, Measure, Owner, Path, PathLimit, Source};

/// Largest integer of a structured field (RFC 9651, 3.3.1).
pub(super) const FIELD_INTEGER_MAX: u64 = 999_999_999_999_999;

/// One of the limits that the caller is shown.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: LimitType,
    /// The name of its policy, quoted: `"tokens-minute"`, or `"tokens-minute-` and the ancestor whose counter it is, or
    /// `"tokens-period-` and the line of a model config.
    pub(super) name: String,
    pub(super) threshold: HeaderValue,
}

/// The limits of one path that its callers are shown, in the order of its standings.
#[derive(Debug)]
pub(crate) struct RateWords {
    pub(super) rows: Vec<Option<Row>>,
    /// All of them as the `RateLimit-Policy` field; none where there are none.
    pub(super) policy: Option<HeaderValue>,
}

impl RateWords {
    pub(crate) fn of(path: &Path) -> Self {
        let mut policy = String::new();
        let mut row = |limit: &PathLimit| {
            let (kind, name, span_s) = told(limit)?;
            let separator = if policy.is_empty() { "" } else { ", " };
            let quota = limit.threshold.min(FIELD_INTEGER_MAX);
            // Writing to a String cannot fail.
            let _ = write!(policy, "{separator}{name};q={quota};w={span_s}");
            Some(Row { kind, name, threshold: HeaderValue::from(limit.threshold) })
        };
        let shown = path.shown().iter();
        let rows = shown.map(|at| path.limits().get(*at).and_then(&mut row)).collect();
        let policy = if policy.is_empty() { None } else { HeaderValue::try_from(policy).ok() };
        Self { rows, policy }
    }
}

/// What a limit counts, the name of its policy, and its span in seconds, at least 1; none if headers have no place for it:
/// for dollars and for calls in flight.
fn told(limit: &PathLimit) -> Option<(LimitType, String, u64)> {
    match (limit.counter.measure, &limit.counter.owner, &limit.source) {
        (Measure::Use(kind, unit), Owner::Model(owner, _), _) => {
            let (kind_word, unit_word) = (kind_word(kind), unit_word(unit));
            let name = if limit.scope == CounterScope::Ancestor {
                format!("\"{kind_word}-{unit_word}-{owner}\"")
            } else {
                format!("\"{kind_word}-{unit_word}\"")
            };
            Some((kind, name, unit.seconds()))
        }
        (Measure::Spend(Meter::Tokens), _, Source::Config(line)) => Some(of_line(LimitType::Token, line)),
        (Measure::Spend(Meter::Requests), _, Source::Config(line)) => Some(of_line(LimitType::Request, line)),
        (Measure::Use(..) | Measure::Spend(_) | Measure::Concurrency, _, _) => None,
    }
}

fn of_line(kind: LimitType, line: &ConfigLine) -> (LimitType, String, u64) {
    let name = format!("\"{}-period-{}\"", kind_word(kind), line.line);
    (kind, name, line.reset.length_ms().div_ceil(1_000))
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
