//! One call to a target, charged to nobody: does the endpoint answer?

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Endpoint, Provider, Usage};
use http::{HeaderValue, header};
use outbound::http1::Request;
use wire::Operation;

use crate::error::{Error, UpstreamFailure};
use crate::target::{Destination, credential, destination};
use crate::upstream::Upstream;
use crate::worker::Shared;

/// How long a probe may take in all.
const PROBE_MAX: Duration = Duration::from_secs(30);
/// How much of the answer is read.
const ANSWER_MAX: usize = 1024 * 1024;

/// What a probe found.
#[derive(Debug, Clone)]
pub struct Probed {
    /// Status of the upstream's answer.
    pub status: Option<u16>,
    /// What went wrong, in one sentence.
    pub error: Option<String>,
    /// Milliseconds until the answer's first byte.
    pub first_byte_ms: Option<u64>,
    /// What the upstream says the probe used.
    pub usage: Option<Usage>,
}

/// Sends one short call with `max_tokens: 1` to the endpoint's target, in the dialect that its provider speaks.
pub async fn probe(shared: &Arc<Shared>, upstream: &Upstream, endpoint: &Arc<Endpoint>) -> Probed {
    let nothing =
        |error: String| Probed { status: None, error: Some(error), first_byte_ms: None, usage: None };
    let snapshot = shared.store.snapshot();
    let settings = &shared.settings.upstream;
    let found = credential(endpoint, &snapshot, settings)
        .and_then(|credential| destination(endpoint, credential, settings));
    let destination = match found {
        Ok(destination) => destination,
        Err(error) => return nothing(explained(&error)),
    };
    match tokio::time::timeout(PROBE_MAX, call(shared, upstream, &destination)).await {
        Ok(Ok(probed)) => probed,
        Ok(Err(error)) => nothing(explained(&error)),
        Err(_) => nothing(format!("no answer within {} s", PROBE_MAX.as_secs())),
    }
}

async fn call(shared: &Shared, upstream: &Upstream, destination: &Destination) -> Result<Probed, Error> {
    let operation = match destination.endpoint.target.provider {
        Provider::Anthropic => Operation::Messages,
        Provider::Baseten
        | Provider::OpenAi
        | Provider::OpenAiCompatible
        | Provider::Vertex
        | Provider::BasetenModelApi => Operation::ChatCompletions,
    };
    let before = shared.clock.now();
    let request = request(destination, operation)?;
    let sent = upstream.send((&destination.origin, request), PROBE_MAX, &mut 0).await;
    let answer = sent.map_err(UpstreamFailure::from)?;
    let first_byte_ms = shared.clock.now().mono_ns.saturating_sub(before.mono_ns) / 1_000_000;
    let (status, mut body) = (answer.head.status, answer.body);
    let mut bytes = BytesMut::new();
    while let Some(Ok(data)) = body.data().await {
        if bytes.len().saturating_add(data.len()) > ANSWER_MAX {
            break;
        }
        bytes.extend_from_slice(&data);
    }
    let usage = wire::read_whole(operation, bytes.freeze(), destination.endpoint.slug.as_str()).usage;
    let error = (!status.is_success()).then(|| format!("the model server answered {}", status.as_u16()));
    Ok(Probed { status: Some(status.as_u16()), error, first_byte_ms: Some(first_byte_ms), usage })
}

fn request(destination: &Destination, operation: Operation) -> Result<Request, Error> {
    let model = destination.model.as_deref().unwrap_or_else(|| destination.endpoint.slug.as_str());
    let body = serde_json::json!({
        "model": model,
        "messages": [{ "role": "user", "content": "ping" }],
        "max_tokens": 1,
    });
    let json = HeaderValue::from_static("application/json");
    let headers = std::iter::once((&header::CONTENT_TYPE, &json));
    destination.post(operation, headers, vec![Bytes::from(body.to_string())])
}

fn explained(error: &Error) -> String {
    error.cause().unwrap_or_else(|| error.face().message)
}
