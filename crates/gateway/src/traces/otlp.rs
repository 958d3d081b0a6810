//! Spans in the words of OpenTelemetry: OTLP 1.x in JSON, with the semantic conventions for generative AI.
//!
//! What they say of a call is what its ledger entry says too, and no more. Begins at [`request`].

use bytes::Bytes;
use domain::{Outcome, UsageSource};
use proxy::Span;
use serde_json::{Value, json};
use wire::Operation;

/// A span about a call to somebody else.
const KIND_CLIENT: u8 = 3;
const STATUS_UNSET: u8 = 0;
const STATUS_ERROR: u8 = 2;

/// One export request.
pub(super) fn request(spans: &[Span]) -> Bytes {
    let scope = json!({ "name": "tollgate", "version": env!("CARGO_PKG_VERSION") });
    let resource = [text("service.name", "tollgate"), text("service.version", env!("CARGO_PKG_VERSION"))];
    let spans: Vec<_> = spans.iter().map(span).collect();
    let request = json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] });
    request.to_string().into()
}

fn span(span: &Span) -> Value {
    let operation = operation(span.operation);
    let error = error_type(span);
    let status = if error.is_some() { STATUS_ERROR } else { STATUS_UNSET };
    let mut told = json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "name": format!("{operation} {}", span.model),
        "kind": KIND_CLIENT,
        "startTimeUnixNano": span.began_ns.to_string(),
        "endTimeUnixNano": span.ended_ns.to_string(),
        "attributes": attributes(span, operation, error),
        "status": { "code": status },
    });
    if let Some(parent) = &span.parent_id {
        told["parentSpanId"] = hex(parent).into();
    }
    told
}

fn attributes(span: &Span, operation: &str, error: Option<String>) -> Vec<Value> {
    let mut attributes = vec![
        text("gen_ai.operation.name", operation),
        text("gen_ai.provider.name", provider(&span.provider)),
        text("gen_ai.request.model", &span.model),
        text("tollgate.request_id", &span.request_id.to_string()),
        text("tollgate.slug", span.slug.as_str()),
        text("tollgate.outcome", span.outcome.name()),
    ];
    // What we counted ourselves is told as usage as well: it is what the call was charged.
    attributes.push(number("gen_ai.usage.input_tokens", span.usage.input));
    attributes.push(number("gen_ai.usage.output_tokens", span.usage.output));
    if span.usage.source == UsageSource::Estimated {
        attributes.push(text("tollgate.usage_source", span.usage.source.name()));
    }
    attributes.extend(span.status.map(|status| number("http.response.status_code", status.into())));
    attributes.extend(error.map(|error| text("error.type", &error)));
    attributes
}

/// Why it failed; none where it did not, where its caller left, and where a limit ended it.
fn error_type(span: &Span) -> Option<String> {
    match (span.outcome, span.status) {
        (
            Outcome::UpstreamError
            | Outcome::UpstreamTimeout
            | Outcome::Shutdown
            | Outcome::NotReached
            | Outcome::Recovered,
            _,
        ) => Some(span.outcome.name().to_owned()),
        (Outcome::Completed | Outcome::ClientGone | Outcome::LimitCut, Some(status)) if status >= 400 => {
            Some(status.to_string())
        }
        (Outcome::Completed | Outcome::ClientGone | Outcome::LimitCut, _) => None,
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::ChatCompletions | Operation::Responses | Operation::Messages => "chat",
        Operation::Completions => "text_completion",
        Operation::Embeddings => "embeddings",
        // No word of the conventions; they allow others.
        Operation::CountTokens => "count_tokens",
    }
}

/// The conventions' word for a provider, or ours in their form.
fn provider(published: &str) -> &'static str {
    match published {
        "OPENAI" => "openai",
        "ANTHROPIC" => "anthropic",
        "VERTEX" => "gcp.vertex_ai",
        "BASETEN" | "BASETEN_MODEL_API" => "baseten",
        _ => "openai_compatible",
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// 64-bit numbers are strings in the JSON of protocol buffers.
fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
