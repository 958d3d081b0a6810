//! A refusal, put into words: which limit said no, and when to come back.

use domain::{LimitType, Slug, Unit};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use limits::{CounterScope, Measure, Path, PathLimit, Refusal, Verdict};
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
        // An ancestor's counter is not shown unless the operator lets customers see the traffic of siblings.
        let state = refusal.states.get(refusal.limit).filter(|_| path.shows(refusal.limit));
        // Past the threshold where there is debt: the number that the operator reads of this call, too.
        let used = state.map(|state| state.reading.used.saturating_add(state.reading.pending));
        Self { limit, verdict: refusal.verdict, slug: slug.clone(), used }
    }

    pub(crate) fn face(&self) -> Face {
        let code = self.verdict.code(self.limit.counter.measure);
        let message = self.sentence();
        Face { status: StatusCode::TOO_MANY_REQUESTS, kind: "rate_limit_error", code, param: None, message }
    }

    /// Bifrost's word for the kind of limit.
    pub(crate) fn word(&self) -> &'static str {
        match self.limit.counter.measure {
            Measure::Use(LimitType::Token, _) => "token_limited",
            Measure::Use(LimitType::Request, _) => "request_limited",
            Measure::Concurrency => "rate_limited",
        }
    }

    pub(crate) fn note(&self) -> LimitNote<'static> {
        let measure = self.limit.counter.measure;
        LimitNote {
            kind: measure.name(),
            unit: measure.unit().map(Unit::name),
            window: measure.unit().map(Unit::window),
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
        match self.limit.counter.measure {
            Measure::Use(LimitType::Token, unit) => self.sentence_of_use("token", per(unit)),
            Measure::Use(LimitType::Request, unit) => self.sentence_of_use("request", per(unit)),
            Measure::Concurrency => self.sentence_of_calls(),
        }
    }

    fn sentence_of_use(&self, one: &str, per: &str) -> String {
        let whose = match self.limit.scope {
            CounterScope::Group => "your group's limit",
            CounterScope::Ancestor => "a limit that your group shares with others",
        };
        let (threshold, slug) = (self.limit.threshold, &self.slug);
        let what = if threshold == 1 { one.to_owned() } else { format!("{one}s") };
        match self.verdict {
            Verdict::NeverFits if threshold == 0 => {
                format!("With {whose} of 0 {what} {per} no call for `{slug}` passes; have it raised.")
            }
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

    /// No call is larger than another here: only a threshold of 0 never lets one pass.
    fn sentence_of_calls(&self) -> String {
        let who = match self.limit.scope {
            CounterScope::Group => "Your group",
            CounterScope::Ancestor => "A group that yours belongs to",
        };
        let (threshold, slug) = (self.limit.threshold, &self.slug);
        match self.verdict {
            Verdict::NeverFits => {
                format!(
                    "{who} may have no call in flight for `{slug}`; have its limit on calls in flight raised."
                )
            }
            Verdict::Wait { .. } => {
                let calls = if threshold == 1 { "call" } else { "calls" };
                let wait = self.retry_after_s().unwrap_or(1);
                format!(
                    "{who} already has {threshold} {calls} in flight for `{slug}`, which is its limit; \
                     try again in {wait} s."
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

#[cfg(test)]
mod tests {
    use domain::{GroupId, Version};
    use limits::CounterKey;

    use super::*;

    const HOLD: Verdict = Verdict::Wait { nanos: NANOS_PER_S, hold_may_end: true };

    fn by_calls(threshold: u64, scope: CounterScope, verdict: Verdict) -> Refused {
        let slug: Slug = "acme/chat".parse().unwrap();
        let counter = CounterKey { owner: GroupId(1), slug: slug.clone(), measure: Measure::Concurrency };
        let limit =
            PathLimit { counter, threshold, source: GroupId(1), scope, since: Version(0), opening: 0 };
        Refused { limit, verdict, slug, used: None }
    }

    #[test]
    fn a_refusal_by_calls_in_flight_says_how_many_there_are_and_whose() {
        assert_eq!(
            by_calls(4, CounterScope::Group, HOLD).sentence(),
            "Your group already has 4 calls in flight for `acme/chat`, which is its limit; try again in 1 s."
        );
        assert_eq!(
            by_calls(1, CounterScope::Ancestor, HOLD).sentence(),
            "A group that yours belongs to already has 1 call in flight for `acme/chat`, which is its limit; \
             try again in 1 s."
        );
        assert_eq!(
            by_calls(0, CounterScope::Group, Verdict::NeverFits).sentence(),
            "Your group may have no call in flight for `acme/chat`; have its limit on calls in flight raised."
        );
    }

    #[test]
    fn a_threshold_of_one_is_one_request() {
        let wait = Verdict::Wait { nanos: 3 * NANOS_PER_S, hold_may_end: false };
        let mut refused = by_calls(1, CounterScope::Group, wait);
        refused.limit.counter.measure = Measure::Use(LimitType::Request, Unit::Minute);
        assert_eq!(
            refused.sentence(),
            "This call does not fit your group's limit of 1 request per minute for `acme/chat` now; try again in 3 s."
        );
    }

    #[test]
    fn a_threshold_of_nothing_is_told_as_one_that_no_smaller_call_fits() {
        let mut refused = by_calls(0, CounterScope::Group, Verdict::NeverFits);
        refused.limit.counter.measure = Measure::Use(LimitType::Request, Unit::Minute);
        assert_eq!(
            refused.sentence(),
            "With your group's limit of 0 requests per minute no call for `acme/chat` passes; have it raised."
        );
    }

    #[test]
    fn a_refusal_by_calls_in_flight_is_noted_without_unit_and_window() {
        let refused = by_calls(4, CounterScope::Group, HOLD);
        let note = refused.note();
        assert_eq!((note.kind, note.unit, note.window), ("CONCURRENCY", None, None));
        assert_eq!(refused.face().code, "concurrency_limit_exceeded");
        assert_eq!(refused.word(), "rate_limited");
    }
}
