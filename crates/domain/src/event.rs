//! Billing events: what a line of the ledger tells those who write bills.
//!
//! Whoever pulls events and whoever is sent them read the same form, which is written here once.
//!
//! The name of an event is a ULID (<https://github.com/ulid/spec>). A request id and a ULID are both a 48-bit time and then
//! randomness, so an event is named by the same 128 bits as the line it tells of: whatever happens in between, one line
//! is one event.
//!
//! Begins at [`BillingEvent::view`].

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::id::{RequestId, Slug};
use crate::money::SignedUsd;
use crate::time::shown_ms;
use crate::usage::UsageSource;

/// Crockford's base 32: no I, L, O, U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What receivers tell events apart by: their `idempotencyKey`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(u128);

/// A call that is billed, or a correction of one. Holds no prompt and no completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingEvent {
    /// Its place in the order of its workspace: from 1, without a gap.
    pub sequence: u64,
    /// Milliseconds since 1970 UTC; never before that of the event before it.
    pub at_ms: u64,
    /// The line that it tells of: the call's id, or the correction's own.
    pub line: RequestId,
    /// The call that it corrects, where it is a correction.
    pub corrects: Option<RequestId>,
    /// The call's own `metadata` object as JSON text, if it had one.
    pub metadata: Option<Box<str>>,
    /// The slug called.
    pub slug: Slug,
    /// The calling group's identifier at admission.
    pub external_entity_id: Box<str>,
    /// The key used.
    pub key_prefix: Box<str>,
    /// Prompt tokens; of a correction the difference.
    pub input: i64,
    /// Completion tokens; of a correction the difference.
    pub output: i64,
    /// The part of `input` that the server had in its cache.
    pub cached: i64,
    /// Who counted the tokens of the call.
    pub source: UsageSource,
    /// What it cost, of a correction the difference; none where the route had no price.
    pub cost: Option<SignedUsd>,
}

/// What an event is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventForm {
    /// Whether the call's metadata is told.
    pub metadata: bool,
    /// Whether `externalCustomerId` is told as well, the older name of `externalEntityId`.
    pub legacy_customer_id: bool,
}

/// A billing event as it is told: one call, or a correction of one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BillingEvent)]
#[serde(rename_all = "camelCase")]
pub struct EventView<'a> {
    /// Tells events apart: the same however often the event is told, and never that of another.
    #[schema(value_type = String, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    idempotency_key: Shown<EventId>,
    /// When it was settled, in UTC; never before the one before it.
    #[serde(serialize_with = "as_moment")]
    #[schema(value_type = String, format = DateTime)]
    timestamp: u64,
    /// The call, or the correction.
    #[schema(value_type = String, format = "uuid")]
    request_id: Shown<RequestId>,
    /// The top-level `metadata` object of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    request_metadata: Option<Option<&'a RawValue>>,
    model_slug: &'a Slug,
    /// The calling group's identifier.
    external_entity_id: &'a str,
    /// The older name of `externalEntityId`; left out where the gateway is set to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    external_customer_id: Option<&'a str>,
    api_key_prefix: &'a str,
    tokens: TokensView,
    /// Its place in the order of its workspace: from 1, without a gap.
    sequence: u64,
    /// Who counted: `reported` by the model server, `estimated`, or `recovered` after the gateway ended.
    usage_source: &'static str,
    /// A decimal number of dollars; `null` where the route had no price.
    #[schema(value_type = Option<String>, required)]
    cost_usd: Option<SignedUsd>,
    /// Of a correction the call that it corrects: counts and cost are differences then, and may be below zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid", nullable = false)]
    corrects: Option<Shown<RequestId>>,
}

/// A value as the text that it prints.
#[derive(Debug)]
struct Shown<T>(T);

/// Tokens of one call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BilledTokens)]
#[serde(rename_all = "camelCase")]
struct TokensView {
    /// Prompt tokens, cached ones included.
    input_tokens: i64,
    /// Completion tokens.
    output_tokens: i64,
    /// The part of `inputTokens` that the model server had in its cache.
    cached_input_tokens: i64,
}

impl BillingEvent {
    /// The event as it is told.
    #[must_use]
    pub fn view(&self, form: EventForm) -> EventView<'_> {
        EventView {
            idempotency_key: Shown(EventId::of(self.line)),
            timestamp: self.at_ms,
            request_id: Shown(self.line),
            request_metadata: form.metadata.then(|| self.raw_metadata()),
            model_slug: &self.slug,
            external_entity_id: &self.external_entity_id,
            external_customer_id: form.legacy_customer_id.then_some(&self.external_entity_id),
            api_key_prefix: &self.key_prefix,
            tokens: TokensView {
                input_tokens: self.input,
                output_tokens: self.output,
                cached_input_tokens: self.cached,
            },
            sequence: self.sequence,
            usage_source: self.source.name(),
            cost_usd: self.cost,
            corrects: self.corrects.map(Shown),
        }
    }

    /// The text was an object when it was written; if it is not any more, it is left out.
    fn raw_metadata(&self) -> Option<&RawValue> {
        self.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }
}

fn as_moment<S: Serializer>(wall_ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&shown_ms(*wall_ms))
}

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl EventId {
    /// That of the event which tells of this line.
    #[must_use]
    pub fn of(line: RequestId) -> Self {
        Self(u128::from_be_bytes(*line.as_bytes()))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 26 digits of five bits: the first has but three.
        for place in (0..26).rev() {
            let digit = usize::try_from((self.0 >> (5 * place)) & 31).unwrap_or(0);
            f.write_str(std::str::from_utf8(&DIGITS[digit..=digit]).unwrap_or("0"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_26_digits_that_sort_like_the_calls() {
        let first = EventId::of(RequestId::from_bytes([0; 16]));
        let last = EventId::of(RequestId::from_bytes([0xff; 16]));
        assert_eq!(first.to_string(), "00000000000000000000000000");
        assert_eq!(last.to_string(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "the largest ULID there is");
    }

    fn event() -> BillingEvent {
        BillingEvent {
            sequence: 7,
            at_ms: 1_778_673_600_123,
            line: RequestId::from_bytes([0; 16]),
            corrects: None,
            metadata: Some(r#"{"b":1.50,"a":[]}"#.into()),
            slug: "acme/m1".parse().unwrap(),
            external_entity_id: "cust_42".into(),
            key_prefix: "sky_1".into(),
            input: 10,
            output: 9,
            cached: 4,
            source: UsageSource::Reported,
            cost: Some(SignedUsd(1_500)),
        }
    }

    const PUSHED: EventForm = EventForm { metadata: true, legacy_customer_id: true };
    const PULLED: EventForm = EventForm { metadata: false, legacy_customer_id: false };

    fn told(event: &BillingEvent, form: EventForm) -> String {
        serde_json::to_string(&event.view(form)).unwrap()
    }

    #[test]
    fn an_event_is_told_in_the_published_form() {
        let expected = concat!(
            r#"{"idempotencyKey":"00000000000000000000000000","timestamp":"2026-05-13T12:00:00.123Z","#,
            r#""requestId":"00000000-0000-0000-0000-000000000000","requestMetadata":{"b":1.50,"a":[]},"#,
            r#""modelSlug":"acme/m1","externalEntityId":"cust_42","externalCustomerId":"cust_42","#,
            r#""apiKeyPrefix":"sky_1","tokens":{"inputTokens":10,"outputTokens":9,"cachedInputTokens":4},"#,
            r#""sequence":7,"usageSource":"reported","costUsd":"0.0000015"}"#,
        );
        assert_eq!(told(&event(), PUSHED), expected, "metadata to the letter");
        let without = told(&event(), PULLED);
        assert!(!without.contains("requestMetadata") && !without.contains("externalCustomerId"), "{without}");
    }

    #[test]
    fn metadata_that_is_absent_is_null_where_it_is_told() {
        for absent in [None, Some("not json".into())] {
            let event = BillingEvent { metadata: absent, ..event() };
            assert!(told(&event, PUSHED).contains(r#""requestMetadata":null"#));
        }
    }

    #[test]
    fn a_correction_names_its_call_and_may_be_below_zero() {
        let call = RequestId::from_bytes([0xff; 16]);
        let (input, cost) = (-10, Some(SignedUsd(-1)));
        let text = told(&BillingEvent { corrects: Some(call), input, cost, ..event() }, PULLED);
        for part in
            [r#""inputTokens":-10"#, r#""costUsd":"-0.000000001""#, &format!(r#""corrects":"{call}""#)]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let unpriced = told(&BillingEvent { cost: None, ..event() }, PULLED);
        assert!(unpriced.contains(r#""costUsd":null"#) && !unpriced.contains("corrects"));
    }

    #[test]
    fn the_time_in_an_event_id_is_that_of_the_call() {
        // The example of the ULID specification: 01ARZ3NDEK is 1469918176385.
        let call = RequestId::new(1_469_918_176_385, [0; 10]);
        assert!(EventId::of(call).to_string().starts_with("01ARYZ6S41"));
    }
}
