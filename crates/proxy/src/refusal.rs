//! A refusal, put into words: which limit said no, and when to come back.

use domain::{LimitType, Slug, Unit};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use limits::{CounterScope, Path, PathLimit, Refusal, Verdict};
use wire::LimitNote;

use crate::error::Face;

const NANOS_PER_MS: u64 = 1_000_000;
const NANOS_PER_S: u64 = 1_000_000_000;
/// Past this, clients are told not to wait: SDKs must not sleep for hours.
const WAIT_MAX_S: u64 = 120;

/// A refused call, ready to be answered.
#[derive(Debug)]
pub(crate) struct Refused {
    limit: PathLimit,
    verdict: Verdict,
    slug: Slug,
    used: Option<u64>,
}

impl Refused {
    pub(crate) fn new(path: &Path, refusal: &Refusal, slug: &Slug) -> Self {
        let limit = path.limits()[refusal.limit].clone();
        // An ancestor's counter has no standing here unless the operator lets customers see the traffic of siblings.
        let shown = refusal.standings.iter().find(|standing| standing.limit == refusal.limit);
        let used = shown.map(|shown| limit.threshold.saturating_sub(shown.remaining));
        Self { limit, verdict: refusal.verdict, slug: slug.clone(), used }
    }

    pub(crate) fn face(&self) -> Face {
        let code = self.verdict.code(self.limit.counter.unit);
        let message = self.sentence();
        Face { status: StatusCode::TOO_MANY_REQUESTS, kind: "rate_limit_error", code, param: None, message }
    }

    /// Bifrost's word for the kind of limit.
    pub(crate) fn word(&self) -> &'static str {
        match self.limit.counter.kind {
            LimitType::Token => "token_limited",
            LimitType::Request => "request_limited",
        }
    }

    pub(crate) fn note(&self) -> LimitNote<'static> {
        let unit = self.limit.counter.unit;
        LimitNote {
            kind: self.limit.counter.kind.name(),
            unit: unit.name(),
            window: unit.window(),
            threshold: self.limit.threshold,
            scope: self.limit.scope.name(),
            source_group: Some(self.limit.source.to_string()),
            used: self.used,
            retry_after_s: self.retry_after_s(),
        }
    }

    pub(crate) fn put_headers(&self, headers: &mut HeaderMap) {
        let should_retry = match self.verdict {
            Verdict::NeverFits => Some("false"),
            Verdict::Wait { nanos, hold_may_end } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(nanos.div_ceil(NANOS_PER_S)));
                headers.insert("retry-after-ms", HeaderValue::from(nanos.div_ceil(NANOS_PER_MS)));
                match (hold_may_end, nanos > WAIT_MAX_S * NANOS_PER_S) {
                    (true, _) => Some("true"),
                    (false, true) => Some("false"),
                    (false, false) => None,
                }
            }
        };
        if let Some(should_retry) = should_retry {
            headers.insert("x-should-retry", HeaderValue::from_static(should_retry));
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self.verdict {
            Verdict::NeverFits => None,
            Verdict::Wait { nanos, .. } => Some(nanos.div_ceil(NANOS_PER_S)),
        }
    }

    fn sentence(&self) -> String {
        let (what, per) = match self.limit.counter.kind {
            LimitType::Token => ("tokens", per(self.limit.counter.unit)),
            LimitType::Request => ("requests", per(self.limit.counter.unit)),
        };
        let whose = match self.limit.scope {
            CounterScope::Group => "your group's limit",
            CounterScope::Ancestor => "a limit that your group shares with others",
        };
        let (threshold, slug) = (self.limit.threshold, &self.slug);
        match self.verdict {
            Verdict::NeverFits => format!(
                "This call needs more than {whose} of {threshold} {what} {per} for `{slug}` ever allows; \
                 shorten the prompt or declare a smaller max_tokens."
            ),
            Verdict::Wait { .. } => {
                let wait = self.retry_after_s().unwrap_or(1);
                format!(
                    "This call does not fit {whose} of {threshold} {what} {per} for `{slug}` now; try again in {wait} s."
                )
            }
        }
    }
}

fn per(unit: Unit) -> &'static str {
    match unit {
        Unit::Second => "per second",
        Unit::Minute => "per minute",
        Unit::Day => "per day (UTC)",
    }
}
