//! Connections to model servers: one pool per worker, HTTP/1.1, kept alive.
//!
//! Sending waits for nobody else. A connection goes back to the pool when its answer was read to the end; an answer
//! that is dropped earlier closes its connection, which is how an upstream learns that its caller left.
//!
//! Begins at [`Upstream::send`].

mod pool;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, Now};
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use outbound::{DialError, Dialer, Origin};

use self::pool::Pool;
use crate::outgoing::Outgoing;

/// How long a pooled connection may take to become ready for its next request; a healthy one is at once.
const READY_MAX: Duration = Duration::from_millis(100);

type Connection = outbound::Connection<Outgoing>;

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection came about; nothing was sent.
    Dial(DialError),
    /// The connection broke; the server may have seen the request.
    Broken(hyper::Error),
}

/// One worker's way to all upstreams.
#[derive(Debug)]
pub struct Upstream {
    dialer: Arc<Dialer>,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
}

impl Upstream {
    /// A pool that keeps at most `idle_max` idle connections per origin.
    #[must_use]
    pub fn new(dialer: Arc<Dialer>, idle_max: usize, clock: Arc<dyn Clock>) -> Self {
        Self { dialer, pool: Arc::new(Pool::new(idle_max)), clock }
    }

    /// Sends a request and waits for the header of its answer.
    ///
    /// It is sent once; only a pooled connection that failed before a byte of it was written is replaced by a new one.
    /// How often that was tried is counted in `attempts`, also if this is not waited for to its end.
    pub(crate) async fn send(
        &self,
        origin: &Origin,
        request: Request<Outgoing>,
        attempts: &mut u8,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let mut request = request;
        while let Some(mut connection) = self.pool.take(origin, self.clock.now()) {
            if !becomes_ready(&mut connection).await {
                continue;
            }
            *attempts = attempts.saturating_add(1);
            match connection.try_send_request(request).await {
                Ok(answer) => return Ok(self.leased(answer, origin, connection)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(SendError::Broken(failed.into_error())),
                },
            }
        }
        *attempts = attempts.saturating_add(1);
        let mut connection = self.dialer.connect(origin).await.map_err(SendError::Dial)?;
        let answer = connection.send_request(request).await.map_err(SendError::Broken)?;
        Ok(self.leased(answer, origin, connection))
    }

    /// Closes connections that nobody used for a while.
    pub(crate) fn drop_idle(&self, now: Now) {
        self.pool.drop_idle(now);
    }

    fn leased(
        &self,
        answer: Response<Incoming>,
        origin: &Origin,
        connection: Connection,
    ) -> Response<UpstreamBody> {
        let lease = Lease {
            pool: Arc::clone(&self.pool),
            clock: Arc::clone(&self.clock),
            origin: origin.clone(),
            connection,
        };
        answer.map(|body| {
            let mut body = UpstreamBody { body, lease: Some(lease) };
            if body.body.is_end_stream() {
                body.give_back();
            }
            body
        })
    }
}

async fn becomes_ready(connection: &mut Connection) -> bool {
    if connection.is_ready() {
        return true;
    }
    matches!(tokio::time::timeout(READY_MAX, connection.ready()).await, Ok(Ok(())))
}

#[derive(Debug)]
struct Lease {
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    origin: Origin,
    connection: Connection,
}

/// The body of an answer, with the connection it comes on.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    body: Incoming,
    lease: Option<Lease>,
}

impl UpstreamBody {
    /// The next piece; `None` at the end, after which the connection serves another call.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers carry nothing that we pass on.
                    let Ok(data) = frame.into_data() else { continue };
                    if self.body.is_end_stream() {
                        self.give_back();
                    }
                    return Poll::Ready(Some(Ok(data)));
                }
                Some(Err(error)) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.give_back();
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// The next piece, awaited.
    pub(crate) async fn data(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        std::future::poll_fn(|cx| self.poll_data(cx)).await
    }

    /// The length that the server announced, if it did.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            let now = lease.clock.now();
            lease.pool.put(lease.origin, lease.connection, now);
        }
    }
}
