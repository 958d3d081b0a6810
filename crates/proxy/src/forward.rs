//! Forwarding an admitted call, and what comes of it.
//!
//! A streamed call belongs to its caller: when the caller leaves, the upstream call is dropped at once, unless the
//! operator wants it read on. A whole answer is read to its end in any case, for its usage, within `drain_timeout`:
//! leaving early is no discount.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use domain::{Outcome, Provider};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use outbound::http1::Request;
use wire::{Call, ChatSpelling, OutputBound};

use crate::admit::{Admitted, Allowance, Ending};
use crate::body::Body;
use crate::error::{Error, UpstreamFailure};
use crate::reply;
use crate::route::Route;
use crate::target::Destination;
use crate::upstream::SendError;
use crate::worker::{Shared, Worker};

/// The request headers that go upstream as they came, beside `openai-*`.
static PASSED: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::ACCEPT,
    header::USER_AGENT,
    HeaderName::from_static("x-session-affinity"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
];

/// How the caller wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    /// And whether the caller asked for the usage chunk itself.
    Streamed(wire::UsageChunk),
}

/// Everything that goes upstream.
#[derive(Debug)]
pub(crate) struct Outbound {
    destination: Arc<Destination>,
    request: Result<Request, Error>,
    delivery: Delivery,
}

impl Outbound {
    pub(crate) fn new(
        call: &Call<'_>,
        body: &Bytes,
        from_caller: &HeaderMap,
        (route, allowance): (&Route, Allowance),
    ) -> Self {
        let delivery = match (call.stream(), call.wants_usage()) {
            (false, _) => Delivery::Whole,
            (true, true) => Delivery::Streamed(wire::UsageChunk::Forward),
            (true, false) => Delivery::Streamed(wire::UsageChunk::Withhold),
        };
        let destination = Arc::clone(&route.destination);
        let body = call.upstream_body(body, destination.model.as_deref(), bound(route, allowance));
        let request = destination.post(call.operation(), passed(from_caller), body);
        Self { destination, request, delivery }
    }
}

/// The bound that the model is told in place of the caller's.
fn bound(route: &Route, allowance: Allowance) -> Option<OutputBound> {
    let in_chat = if route.destination.endpoint.target.provider == Provider::OpenAi {
        ChatSpelling::MaxCompletionTokens
    } else {
        ChatSpelling::MaxTokens
    };
    match allowance {
        Allowance::Bounded(tokens) => Some(OutputBound { tokens, in_chat }),
        Allowance::Unbounded | Allowance::Stepwise => None,
    }
}

fn passed(from_caller: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    from_caller.iter().filter(|(name, _)| {
        let ours = matches!(name.as_str(), "openai-organization" | "openai-project");
        PASSED.contains(name) || (name.as_str().starts_with("openai-") && !ours)
    })
}

/// Sends an admitted call upstream and answers its caller.
pub(crate) async fn forward(
    worker: &Arc<Worker>,
    admitted: Box<Admitted>,
    outbound: Outbound,
) -> Result<Response<Body>, Error> {
    let shared = Arc::clone(admitted.shared());
    let delivery = outbound.delivery;
    let outlives = delivery == Delivery::Whole || admitted.streams_on();
    let exchange = exchange(Arc::clone(worker), admitted, outbound);
    if outlives { UntilSettled { exchange: Some(Box::pin(exchange)), shared }.await } else { exchange.await }
}

/// One exchange with the upstream, from the request to an answer for the caller. Every way out settles.
async fn exchange(
    worker: Arc<Worker>,
    mut admitted: Box<Admitted>,
    outbound: Outbound,
) -> Result<Response<Body>, Error> {
    let Outbound { destination, request, delivery } = outbound;
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            admitted.settle(Ending::unused(Outcome::NotReached, None)).wait().await;
            return Err(error);
        }
    };
    let usage_if_left = match delivery {
        Delivery::Streamed(_) if !admitted.facts().output_hidden => admitted.counted(0),
        Delivery::Whole | Delivery::Streamed(_) => admitted.in_full(),
    };
    admitted.if_dropped(Ending { usage: usage_if_left, outcome: Outcome::ClientGone, status: None });
    let timeouts = admitted.shared().settings.upstream.timeouts;
    let sent = worker.upstream.send((&destination.origin, request), timeouts.first_byte, admitted.attempts());
    let answer = match sent.await {
        Ok(answer) => answer,
        Err(failure) => return Err(not_answered(admitted, failure).await),
    };
    admitted.mark_first_byte();
    reply::reply(admitted, answer, delivery).await
}

/// Refused connections and breaks before an answer: nothing was generated as far as anyone can tell. A model server that
/// takes too long has read the prompt.
async fn not_answered(admitted: Box<Admitted>, failure: SendError) -> Error {
    let ending = match failure {
        SendError::Dial(_) | SendError::Broken(_) => Ending::unused(Outcome::NotReached, None),
        SendError::Late => {
            Ending { usage: admitted.counted(0), outcome: Outcome::UpstreamTimeout, status: None }
        }
    };
    admitted.settle(ending).wait().await;
    UpstreamFailure::from(failure).into()
}

/// An exchange under way.
type Exchange = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

/// An exchange that outlives its caller: if it is dropped before its end, it is read on by a task of its own.
struct UntilSettled {
    exchange: Option<Exchange>,
    shared: Arc<Shared>,
}

impl Future for UntilSettled {
    type Output = Result<Response<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(exchange) = &mut self.exchange else { return Poll::Pending };
        let answer = std::task::ready!(exchange.as_mut().poll(cx));
        self.exchange = None;
        Poll::Ready(answer)
    }
}

impl Drop for UntilSettled {
    fn drop(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        self.shared.drains.read_on(async move {
            if let Ok(answer) = exchange.await {
                answer.into_body().read_out().await;
            }
        });
    }
}
