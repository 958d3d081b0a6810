//! A refusal, put into words: which limit said no, and when to come back.

mod words;

use domain::{LimitType, Meter, Slug, Unit};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use limits::{ConfigLine, Measure, Path, PathLimit, Refusal, Size, Source, Verdict};
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
    /// What the call asked for.
    asked: Size,
    /// When that was, in milliseconds since 1970 UTC.
    at_ms: u64,
    /// The status of a refusal by a budget.
    budget_status: StatusCode,
}

impl Refused {
    pub(crate) fn new(path: &Path, refusal: &Refusal, slug: &Slug, budget_status: StatusCode) -> Self {
        let limit = path.limits()[refusal.limit].clone();
        // A counter that others share is not shown unless the operator lets customers see the traffic of siblings.
        let state = refusal.states.get(refusal.limit).filter(|_| path.shows(refusal.limit));
        // Past the threshold where there is debt: the number that the operator reads of this call, too.
        let used = state.map(|state| state.reading.used.saturating_add(state.reading.pending));
        let (asked, at_ms) = (refusal.asked, refusal.at.wall_ms);
        Self { limit, verdict: refusal.verdict, slug: slug.clone(), used, asked, at_ms, budget_status }
    }

    pub(crate) fn face(&self) -> Face {
        let code = self.verdict.code(self.limit.counter.measure);
        let message = self.sentence();
        let (status, kind) = if self.limit.counter.measure.counts_usd() {
            (self.budget_status, "billing_error")
        } else {
            (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error")
        };
        Face { status, kind, code, param: None, message }
    }

    /// What the limit that binds is on.
    pub(crate) fn measure(&self) -> Measure {
        self.limit.counter.measure
    }

    /// Bifrost's word for the kind of limit.
    pub(crate) fn word(&self) -> &'static str {
        match self.limit.counter.measure {
            Measure::Use(LimitType::Token, _) | Measure::Spend(Meter::Tokens) => "token_limited",
            Measure::Use(LimitType::Request, _) | Measure::Spend(Meter::Requests) => "request_limited",
            Measure::Spend(Meter::Usd) => "budget_exceeded",
            Measure::Concurrency => "rate_limited",
        }
    }

    pub(crate) fn note(&self) -> LimitNote<'_> {
        let measure = self.limit.counter.measure;
        let note = LimitNote {
            kind: measure.name(),
            unit: measure.unit_name(),
            window: measure.unit().map(Unit::window),
            threshold: measure.told(self.limit.threshold),
            scope: self.limit.scope.name(),
            used: self.used.map(|used| measure.told(used)),
            retry_after_s: self.retry_after_s(),
            ..LimitNote::default()
        };
        match &self.limit.source {
            Source::Group(group) => LimitNote { source_group: Some(group.to_string()), ..note },
            Source::Config(line) => {
                let (id, is_budget) = (line.line.to_string(), line.meter == Meter::Usd);
                LimitNote {
                    window: Some(line.reset.as_str()),
                    model_config_id: Some(line.config.to_string()),
                    budget_id: is_budget.then(|| id.clone()),
                    rate_limit_id: (!is_budget).then_some(id),
                    resets_at: Some(self.resets_at(line)),
                    ..note
                }
            }
        }
    }

    /// When the present period of a config's limit ends.
    fn resets_at(&self, line: &ConfigLine) -> String {
        let end_ms = line.cycle.period(self.at_ms).end_ms;
        let end = jiff::Timestamp::from_millisecond(i64::try_from(end_ms).unwrap_or(i64::MAX));
        end.unwrap_or(jiff::Timestamp::MAX).to_string()
    }

    pub(crate) fn put_headers(&self, headers: &mut HeaderMap) {
        let should_retry = match self.verdict {
            Verdict::NeverFits | Verdict::Blocked => Some("false"),
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
            Verdict::NeverFits | Verdict::Blocked => None,
            Verdict::Wait { nanos, .. } => Some(nanos.div_ceil(NANOS_PER_S)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::{ConfigId, Cycle, GroupId, LineId, Version};
    use limits::{CounterKey, Owner};

    use domain::Usd;
    use limits::CounterScope;

    use super::*;

    const HOLD: Verdict = Verdict::Wait { nanos: NANOS_PER_S, hold_may_end: true };

    fn by_calls(threshold: u64, scope: CounterScope, verdict: Verdict) -> Refused {
        let slug: Slug = "acme/chat".parse().unwrap();
        let owner = Owner::Model(GroupId(1), slug.clone());
        let counter = CounterKey { owner, measure: Measure::Concurrency };
        let source = Source::Group(GroupId(1));
        let limit = PathLimit {
            counter,
            threshold,
            source,
            scope,
            since: Version(0),
            opening: 0,
            recent: limits::Recent::default(),
        };
        let (asked, budget_status) = (Size::default(), StatusCode::PAYMENT_REQUIRED);
        Refused { limit, verdict, slug, used: None, asked, at_ms: 0, budget_status }
    }

    fn by_budget(verdict: Verdict) -> Refused {
        let (config, line, meter) = (ConfigId::from_bytes([1; 16]), LineId::from_bytes([2; 16]), Meter::Usd);
        let line = ConfigLine { config, line, meter, reset: "1M".parse().unwrap(), cycle: Cycle::Months(1) };
        let counter = CounterKey { owner: Owner::Line(line.line), measure: Measure::Spend(meter) };
        let mut refused = by_calls(10_000_000_000, CounterScope::SharedConfig, verdict);
        refused.limit.counter = counter;
        refused.limit.source = Source::Config(Arc::new(line));
        refused.asked.usd = Usd(600_000_000);
        refused
    }

    #[test]
    fn a_refusal_by_a_budget_names_the_config_the_budget_the_amount_and_the_reset_time() {
        let refused = by_budget(Verdict::Wait { nanos: 5 * NANOS_PER_S, hold_may_end: false });
        assert_eq!(
            refused.sentence(),
            "This call, which may cost 0.6 USD, does not fit the budget of 10 USD per 1M that applies to `acme/chat` \
             (budget 02020202-0202-0202-0202-020202020202 of model config 01010101-0101-0101-0101-010101010101) now; \
             its period ends at 1970-02-01T00:00:00Z; try again in 5 s."
        );
        let face = refused.face();
        assert_eq!(
            (face.status.as_u16(), face.code, refused.word()),
            (402, "budget_exceeded", "budget_exceeded")
        );
        let note = serde_json::to_string(&refused.note()).unwrap();
        assert_eq!(
            note,
            r#"{"type":"USD","unit":"PERIOD","window":"1M","threshold":10,"scope":"model_config","model_config_id":"01010101-0101-0101-0101-010101010101","budget_id":"02020202-0202-0202-0202-020202020202","resets_at":"1970-02-01T00:00:00Z","retry_after_s":5}"#
        );
    }

    #[test]
    fn a_budget_that_a_call_never_fits_is_told_without_a_time() {
        let refused = by_budget(Verdict::NeverFits);
        assert!(
            refused.sentence().contains("needs more than the budget of 10 USD per 1M"),
            "{}",
            refused.sentence()
        );
        assert_eq!((refused.face().code, refused.retry_after_s()), ("budget_exceeded", None));
    }

    #[test]
    fn a_limit_that_waiting_would_open_beside_one_that_it_would_not_says_so() {
        let mut refused = by_calls(3, CounterScope::Group, Verdict::Blocked);
        refused.limit.counter.measure = Measure::Use(LimitType::Request, Unit::Minute);
        assert_eq!(
            refused.sentence(),
            "This call does not fit your group's limit of 3 requests per minute for `acme/chat` now; another limit never \
             lets it pass, so make it smaller."
        );
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
