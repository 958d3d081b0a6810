//! What a line of the ledger looks like from outside.

use domain::{EventId, GroupId, LineId, Meter, Pricing, RequestId, SignedUsd, Slug, Usage};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use storage::{Correction, DeliveryLine, LedgerLine};
use utoipa::ToSchema;

use crate::governance::view::Dollars;
use crate::time::Moment;
use crate::webhook::delivery::DeliveryView;

/// The ledger's line about a call, and what was put right of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub(crate) struct LedgerView {
    #[serde(serialize_with = "shown")]
    #[schema(value_type = String, format = "uuid")]
    request_id: RequestId,
    /// That of its event; `null` where nothing was billed.
    #[schema(required)]
    idempotency_key: Option<String>,
    /// The place of its event in the order of the workspace; `null` where nothing was billed.
    #[schema(required)]
    sequence: Option<u64>,
    admitted_at: Moment,
    settled_at: Moment,
    /// Milliseconds from admission to settlement.
    duration_ms: u64,
    /// Milliseconds from admission to the first byte of the answer; `null` where none came.
    #[schema(required)]
    ttft_ms: Option<u64>,
    /// The calling group first, then those above it, as they were at admission.
    groups: Vec<GroupId>,
    external_entity_id: String,
    api_key_prefix: String,
    /// The end user it was made for, if that is known.
    #[schema(required)]
    user: Option<String>,
    model: Slug,
    provider: String,
    upstream_model: String,
    /// The path called.
    route: String,
    /// How often it was sent upstream.
    attempts: u8,
    /// How it ended.
    outcome: &'static str,
    /// Status of the model server's answer, if there was one.
    #[schema(required)]
    upstream_status: Option<u16>,
    usage: UsageView,
    /// `null` where the route had no price.
    #[schema(required)]
    cost_usd: Option<Dollars>,
    /// The price that it cost so much by.
    #[schema(required)]
    price: Option<Pricing>,
    /// The lines of model configs that it was charged to.
    charged_to: Vec<ChargedView>,
    /// The call's own `metadata` object.
    #[schema(value_type = Option<Object>, required)]
    metadata: Option<Box<RawValue>>,
    /// What was put right since, in that order. The numbers above are those of the call.
    corrections: Vec<CorrectionView>,
    /// The deliveries to the webhook that its event was in, oldest first. Those that arrived are remembered for a week.
    deliveries: Vec<DeliveryView>,
}

/// What a call used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerUsage)]
struct UsageView {
    /// Prompt tokens, cached ones included.
    input_tokens: u64,
    output_tokens: u64,
    /// The part of `input_tokens` that the model server had in its cache.
    cached_input_tokens: u64,
    /// The part of `input_tokens` that the model server put into its cache.
    cache_written_tokens: u64,
    /// Who counted: `reported` by the model server, `estimated`, or `recovered` after the gateway ended.
    source: &'static str,
}

/// A line of a model config.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerCharge)]
struct ChargedView {
    /// The `id` of a budget or a rate limit.
    line_id: LineId,
    /// `requests`, `tokens` or `usd`.
    meter: &'static str,
}

/// Something that was put right: signed differences.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Correction)]
pub(crate) struct CorrectionView {
    /// Its own.
    #[serde(serialize_with = "shown")]
    #[schema(value_type = String, format = "uuid")]
    id: RequestId,
    /// That of its event.
    idempotency_key: String,
    /// The place of its event in the order of the workspace.
    sequence: u64,
    at: Moment,
    input_tokens: i64,
    output_tokens: i64,
    /// `null` where neither the call nor the correction has a cost.
    #[schema(value_type = Option<f64>, required)]
    cost_usd: Option<SignedDollars>,
    reason: String,
}

/// A difference in USD: a JSON number, exact to the nano-dollar.
#[derive(Debug, Clone, Copy)]
struct SignedDollars(SignedUsd);

impl LedgerView {
    pub(super) fn of(line: LedgerLine, corrections: Vec<Correction>, deliveries: Vec<DeliveryLine>) -> Self {
        let metadata = line.metadata.and_then(|text| RawValue::from_string(text).ok());
        Self {
            request_id: line.request_id,
            idempotency_key: line.sequence.map(|_| EventId::of(line.request_id).to_string()),
            sequence: line.sequence,
            admitted_at: Moment(line.admitted_ms),
            settled_at: Moment(line.settled_ms),
            duration_ms: line.settled_ms.saturating_sub(line.admitted_ms),
            ttft_ms: line.first_byte_ms,
            groups: line.groups,
            external_entity_id: line.external_entity_id,
            api_key_prefix: line.key_prefix,
            user: line.user,
            model: line.slug,
            provider: line.provider,
            upstream_model: line.upstream_model,
            route: line.route,
            attempts: line.attempts,
            outcome: line.outcome.name(),
            upstream_status: line.upstream_status,
            usage: UsageView::of(line.usage),
            cost_usd: line.cost.map(Dollars),
            price: line.price,
            charged_to: line.lines.into_iter().map(ChargedView::of).collect(),
            metadata,
            corrections: corrections.into_iter().map(CorrectionView::of).collect(),
            deliveries: deliveries.into_iter().map(DeliveryView::of).collect(),
        }
    }
}

impl UsageView {
    fn of(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input,
            output_tokens: usage.output,
            cached_input_tokens: usage.cached,
            cache_written_tokens: usage.cache_written,
            source: usage.source.name(),
        }
    }
}

impl ChargedView {
    fn of((line_id, meter): (LineId, Meter)) -> Self {
        Self { line_id, meter: meter.word() }
    }
}

impl CorrectionView {
    pub(super) fn of(correction: Correction) -> Self {
        let Correction { id, at_ms, change, reason, sequence } = correction;
        Self {
            id,
            idempotency_key: EventId::of(id).to_string(),
            sequence,
            at: Moment(at_ms),
            input_tokens: change.input,
            output_tokens: change.output,
            cost_usd: change.cost.map(SignedDollars),
            reason,
        }
    }
}

impl Serialize for SignedDollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The decimal text as it stands, as `Dollars` is written.
        RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

fn shown<S: Serializer>(id: &RequestId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
