//! One attempt: connect, send, read the status.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, DeliveryId, HookUrl, Webhook};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use outbound::{Dialer, DialerSettings, Origin, Trust};
use tokio::time::{Instant, timeout_at};

use crate::ending::Ending;
use crate::sign::{baseten_signature, message_id, standard_signature};

/// How long an attempt may take, from the connection to the end of the answer.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// How much of an answer is read, in bytes.
const ANSWER_READ_MAX: usize = 64 << 10;
/// How much of an answer is kept to be shown, in bytes.
const ANSWER_SHOWN_MAX: usize = 1 << 10;
/// Longest text about what went wrong, in bytes.
const ERROR_LEN_MAX: usize = 200;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Which ways to a receiver are allowed.
#[derive(Debug, Clone)]
pub struct Way {
    /// Whether plain HTTP, and private and loopback addresses, may be used.
    pub allow_private: bool,
    /// Where this program listens itself.
    pub own_listeners: Vec<SocketAddr>,
    /// How long an attempt may take: [`ATTEMPT_MAX`].
    pub attempt_max: Duration,
}

/// Makes attempts.
pub struct Post {
    dialer: Dialer,
    trust: Trust,
    attempt_max: Duration,
    clock: Arc<dyn Clock>,
}

/// What an attempt showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// How it ended.
    pub ending: Ending,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The beginning of its body, 1 KiB at most, as far as it is text.
    pub body: String,
    /// What went wrong, for people.
    pub error: Option<Box<str>>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("trust", &self.trust).finish_non_exhaustive()
    }
}

impl Post {
    /// Attempts on these ways.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub fn new(way: Way, clock: Arc<dyn Clock>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let Way { allow_private, own_listeners, attempt_max } = way;
        let settings =
            DialerSettings { connect_timeout: attempt_max, allow_networks: Vec::new(), own_listeners };
        let trust = if allow_private { Trust::Operator } else { Trust::Tenant };
        Ok(Self { dialer: Dialer::new(settings)?, trust, attempt_max, clock })
    }

    /// Signs a body and sends it, once.
    pub async fn send(&self, webhook: &Webhook, delivery: DeliveryId, body: Bytes) -> Tried {
        let began = self.clock.now();
        let deadline = Instant::now() + self.attempt_max;
        let request = request(webhook, delivery, body, began.wall_ms);
        let answer = timeout_at(deadline, self.exchange(&webhook.url, request)).await;
        let mut tried = match answer {
            Ok(Ok(answer)) => Tried::answered(answer, deadline).await,
            Ok(Err(unreachable)) => unreachable,
            Err(_) => Tried::timed_out(self.attempt_max),
        };
        tried.took_ms = self.clock.now().mono_ns.saturating_sub(began.mono_ns) / 1_000_000;
        tried
    }

    async fn exchange(
        &self,
        url: &HookUrl,
        request: Result<Request<Full<Bytes>>, http::Error>,
    ) -> Result<Response<Incoming>, Tried> {
        let request = request.map_err(|_| Tried::unreachable("the URL cannot stand in a request"))?;
        if !url.origin.tls && self.trust == Trust::Tenant {
            return Err(Tried::unreachable(
                "plain http is not allowed; use https, or set webhooks.allow_private",
            ));
        }
        let (tls, host, port) = (url.origin.tls, url.origin.host.clone(), url.origin.port);
        let origin = Origin { tls, host, port, trust: self.trust };
        let connected = self.dialer.connect(&origin).await;
        let mut connection = connected.map_err(|error| Tried::unreachable(&error.to_string()))?;
        let answer = connection.send_request(request).await;
        answer.map_err(|error| Tried::unreachable(&format!("the connection broke: {error}")))
    }
}

impl Tried {
    /// The status says it all: a receiver that has given it has the events. The body is read as far as it comes in time.
    async fn answered(answer: Response<Incoming>, deadline: Instant) -> Self {
        let status = answer.status().as_u16();
        let ending = Ending::of(status);
        let error = (ending != Ending::Delivered).then(|| format!("the receiver answered {status}").into());
        let mut shown = Vec::new();
        let _ = timeout_at(deadline, read(answer.into_body(), &mut shown)).await;
        let body = String::from_utf8_lossy(&shown).into_owned();
        Self { ending, status: Some(status), body, error, took_ms: 0 }
    }

    fn timed_out(after: Duration) -> Self {
        let error = format!("no answer within {} s", after.as_secs());
        Self { ending: Ending::TimedOut, ..Self::unreachable(&error) }
    }

    /// It did not come to an attempt.
    pub(crate) fn not_sent(ending: Ending, error: &str) -> Self {
        Self { ending, ..Self::unreachable(error) }
    }

    fn unreachable(error: &str) -> Self {
        let end = (0..=ERROR_LEN_MAX.min(error.len())).rev().find(|at| error.is_char_boundary(*at));
        let error = error[..end.unwrap_or(0)].into();
        Self {
            ending: Ending::Unreachable,
            status: None,
            body: String::new(),
            error: Some(error),
            took_ms: 0,
        }
    }
}

/// Reads an answer, no more than its bound, and keeps the beginning of it.
async fn read(body: Incoming, shown: &mut Vec<u8>) {
    let mut body = Limited::new(body, ANSWER_READ_MAX);
    while let Some(Ok(frame)) = body.frame().await {
        let room = ANSWER_SHOWN_MAX.saturating_sub(shown.len());
        let data = frame.into_data().unwrap_or_default();
        shown.extend_from_slice(&data[..data.len().min(room)]);
    }
}

fn request(
    webhook: &Webhook,
    delivery: DeliveryId,
    body: Bytes,
    at_ms: u64,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let (message, at_s) = (message_id(delivery), at_ms / 1_000);
    let baseten = baseten_signature(&webhook.secret, &body);
    let standard = standard_signature(webhook.secrets(at_ms), &message, at_s, &body);
    Request::builder()
        .method(Method::POST)
        .uri(&*webhook.url.target)
        .header(header::HOST, webhook.url.origin.authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONTENT_TYPE, JSON)
        .header(header::CONNECTION, "close")
        .header("x-baseten-signature", baseten)
        .header("x-baseten-request-id", delivery.to_string())
        .header("webhook-id", message)
        .header("webhook-timestamp", at_s)
        .header("webhook-signature", standard)
        .body(Full::new(body))
}
