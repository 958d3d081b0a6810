//! From an upstream's answer to ours: which pass, which do not, and which are metered how.

use domain::Outcome;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use outbound::http1::Head;

use crate::admit::{Admitted, Ending};
use crate::body::Body;
use crate::error::{Error, UpstreamFailure};
use crate::forward::Delivery;
use crate::gather::{self, Gathered, gather};
use crate::meter::MeteredStream;
use crate::upstream::{Answer, UpstreamBody};

/// The response headers that are looked at: those that pass downstream, and the one behind them, which decides whether any
/// of it does.
pub(crate) static WANTED: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("openai-version"),
    header::CONTENT_ENCODING,
];

/// Room for what an answer carries in the end, so that its headers are not moved as they grow in number.
const HEADERS_USUAL: usize = 14;

/// Turns the upstream's answer into ours. Settles on every way out but a stream, which settles at its own end. What is
/// settled goes out once the disk has it, where the operator wants that.
pub(crate) async fn reply(
    mut admitted: Box<Admitted>,
    answer: Answer,
    delivery: Delivery,
) -> Result<Response<Body>, Error> {
    let Answer { head, body } = answer;
    let status = head.status;
    if let Some(failure) = not_passed(&head) {
        // A compressed 2xx was generated all the same; its usage cannot be read, so the prompt is what we can charge.
        let usage = if status.is_success() { admitted.counted(0) } else { domain::Usage::NONE };
        let outcome = Outcome::UpstreamError;
        admitted.settle(Ending { usage, outcome, status: Some(status.as_u16()) }).wait().await;
        return Err(failure.into());
    }
    admitted.answered(status);
    if !status.is_success() {
        // Nothing was generated, even if the caller leaves before the error has come through.
        admitted.if_dropped(Ending::unused(Outcome::ClientGone, Some(status.as_u16())));
    }
    let mut response = match (status.is_success(), delivery) {
        (true, Delivery::Streamed(chunk)) if is_event_stream(&head) => {
            let stream = MeteredStream::new(admitted, body, chunk, status.as_u16());
            streamed(stream)
        }
        (true, _) => Response::new(whole(admitted, body, status).await?),
        (false, _) => refused_upstream(admitted, body, status).await?,
    };
    *response.status_mut() = status;
    response.headers_mut().reserve(HEADERS_USUAL);
    for (name, value) in head.into_headers().filter(|(name, _)| *name != header::CONTENT_ENCODING) {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

/// Answers that are not the caller's to see.
fn not_passed(head: &Head) -> Option<UpstreamFailure> {
    let encoding = head.get(&header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    match head.status.as_u16() {
        // These speak of our credential, and often quote it.
        401 | 403 | 407 => Some(UpstreamFailure::Credentials("the model server refused it")),
        100..=199 | 300..=399 => Some(UpstreamFailure::Garbage("a redirect or an informational answer")),
        _ if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) => {
            Some(UpstreamFailure::Garbage("a compressed answer, although identity was asked for"))
        }
        _ => None,
    }
}

fn is_event_stream(head: &Head) -> bool {
    let kind = head.get(&header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn streamed(stream: MeteredStream) -> Response<Body> {
    let mut response = Response::new(Body::stream(stream));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx buffers proxied answers unless it is told not to.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A whole answer: read to its end, its usage charged, its `model` made the slug.
async fn whole(admitted: Box<Admitted>, body: UpstreamBody, status: StatusCode) -> Result<Body, Error> {
    let status = Some(status.as_u16());
    let writes = admitted.facts().operation.writes();
    // Of an answer that cannot be read, all is taken for text; but vectors and counts are none, however long.
    let guess = |bytes| if writes { tokens::text(bytes) } else { 0 };
    let Gathered { bytes, place } = match gather(admitted.shared(), body).await {
        Ok(gathered) => gathered,
        Err(broken) => {
            let usage = admitted.counted(guess(broken.seen));
            admitted.settle(Ending { usage, outcome: broken.outcome, status }).wait().await;
            return Err(broken.failure.into());
        }
    };
    let answer = wire::read_whole(admitted.facts().operation, bytes, admitted.facts().slug.as_str());
    match answer.usage {
        Some(usage) => {
            admitted.settle(Ending { usage, outcome: Outcome::Completed, status }).wait().await;
        }
        None if is_json(&answer.body) => {
            let usage = admitted.counted(answer.output_guess);
            admitted.settle(Ending { usage, outcome: Outcome::Completed, status }).wait().await;
        }
        None => {
            let usage = admitted.counted(guess(answer.body.len()));
            admitted.settle(Ending { usage, outcome: Outcome::UpstreamError, status }).wait().await;
            return Err(UpstreamFailure::Garbage("a body that is not JSON").into());
        }
    }
    Ok(gather::held(answer.body, place).into())
}

/// The upstream's own error: status and body pass, nothing is charged but the request.
async fn refused_upstream(
    admitted: Box<Admitted>,
    body: UpstreamBody,
    status: StatusCode,
) -> Result<Response<Body>, Error> {
    let code = Some(status.as_u16());
    match gather(admitted.shared(), body).await {
        Ok(Gathered { bytes, place }) => {
            admitted.settle(Ending::unused(Outcome::Completed, code)).wait().await;
            let mut response = Response::new(Body::from(gather::held(bytes, place)));
            let source = HeaderValue::from_static("upstream");
            response.headers_mut().insert("x-tollgate-error-source", source);
            Ok(response)
        }
        Err(broken) => {
            admitted.settle(Ending::unused(broken.outcome, code)).wait().await;
            Err(broken.failure.into())
        }
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}
