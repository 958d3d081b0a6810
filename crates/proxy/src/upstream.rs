//! Connections to model servers: one pool per worker, HTTP/1.1, kept alive.
//!
//! Sending waits for nobody else, and no task stands between a call and its connection: whoever waits for an answer reads
//! it. A connection goes back to the pool when its answer was read to the end; an answer that is dropped earlier closes its
//! connection, which is how an upstream learns that its caller left.
//!
//! Begins at [`Upstream::send`].

mod alarm;
mod pool;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, Now};
use outbound::http1::{Connection, Fault, Head, Request};
use outbound::{DialError, Dialer, Origin, Stream};
use tokio::time::Instant;

pub(crate) use self::alarm::due_in;

use self::alarm::Alarm;
use self::pool::Pool;
use crate::reply::WANTED;

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection came about; nothing was sent.
    Dial(DialError),
    /// The connection broke, or what came was no answer; the server may have seen the request.
    Broken(Fault),
    /// The head of an answer did not come in time.
    Late,
}

/// Something did not come in time.
#[derive(Debug)]
pub(crate) struct Late;

/// An upstream's answer, its head read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: UpstreamBody,
}

/// One worker's way to all upstreams.
#[derive(Debug)]
pub struct Upstream {
    dialer: Arc<Dialer>,
    pool: Arc<Pool>,
}

impl Upstream {
    /// A pool that keeps at most `idle_max` idle connections per origin.
    #[must_use]
    pub fn new(dialer: Arc<Dialer>, idle_max: usize, clock: Arc<dyn Clock>) -> Self {
        Self { dialer, pool: Arc::new(Pool::new(idle_max, clock)) }
    }

    /// Sends a request and waits for the head of its answer, `first_byte` at most once a connection stands.
    ///
    /// It is sent once; only a pooled connection that failed before a byte of it was written is replaced by a new one, and
    /// none over TLS, which does not tell.
    /// How often that was tried is counted in `attempts`, also if this is not waited for to its end.
    pub(crate) async fn send(
        &self,
        (origin, request): (&Arc<Origin>, Request),
        first_byte: Duration,
        attempts: &mut u8,
    ) -> Result<Answer, SendError> {
        let mut request = request;
        while let Some(mut line) = self.pool.take(origin) {
            *attempts = attempts.saturating_add(1);
            line.connection.begin(request);
            match line.answer(first_byte).await {
                Ok(head) => return Ok(self.leased(head, origin, line)),
                Err(SendError::Broken(fault)) => match line.connection.take_unsent() {
                    // Over TLS, a write that failed may have sent a part of it.
                    Some(unsent) if !origin.tls => request = unsent,
                    Some(_) | None => return Err(SendError::Broken(fault)),
                },
                Err(error) => return Err(error),
            }
        }
        *attempts = attempts.saturating_add(1);
        // Boxed, since it is seldom needed, and every call would carry its room.
        let stream = Box::pin(self.dialer.open(origin)).await.map_err(SendError::Dial)?;
        let connection = Connection::new(stream, &WANTED);
        let mut line = Box::new(Line { connection, alarm: Alarm::default() });
        line.connection.begin(request);
        let head = line.answer(first_byte).await?;
        Ok(self.leased(head, origin, line))
    }

    /// Closes connections that nobody used for a while.
    pub(crate) fn drop_idle(&self, now: Now) {
        self.pool.drop_idle(now);
    }

    fn leased(&self, head: Head, origin: &Arc<Origin>, line: Box<Line>) -> Answer {
        let is_over = line.connection.is_over();
        let lease = Lease { pool: Arc::clone(&self.pool), origin: Arc::clone(origin), line };
        let mut body = UpstreamBody(Some(lease));
        if is_over {
            body.give_back();
        }
        Answer { head, body }
    }
}

/// A connection, and the timer of whoever waits on it. Boxed once, so that it stays where it is from call to call.
#[derive(Debug)]
struct Line {
    connection: Connection<Stream>,
    alarm: Alarm,
}

impl Line {
    async fn answer(&mut self, within: Duration) -> Result<Head, SendError> {
        let mut due = None;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = self.connection.poll_answer(cx) {
                return Poll::Ready(answer.map_err(SendError::Broken));
            }
            let due = *due.get_or_insert_with(|| due_in(within));
            if self.alarm.is_past(due, cx) { Poll::Ready(Err(SendError::Late)) } else { Poll::Pending }
        })
        .await
    }
}

#[derive(Debug)]
struct Lease {
    pool: Arc<Pool>,
    origin: Arc<Origin>,
    line: Box<Line>,
}

/// The body of an answer, with the connection it comes on, until it has come to its end.
#[derive(Debug)]
pub(crate) struct UpstreamBody(Option<Lease>);

impl UpstreamBody {
    /// The next piece; `None` at the end, after which the connection serves another call.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let Some(Lease { line, .. }) = &mut self.0 else { return Poll::Ready(None) };
        let piece = ready!(line.connection.poll_data(cx));
        match &piece {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.0 = None,
            None => self.give_back(),
        }
        Poll::Ready(piece)
    }

    /// The next piece, awaited.
    pub(crate) async fn data(&mut self) -> Option<Result<Bytes, Fault>> {
        poll_fn(|cx| self.poll_data(cx)).await
    }

    /// The next piece, if it comes until `due`, which is asked for once there is something to wait for.
    pub(crate) async fn data_by(
        &mut self,
        due: impl Fn() -> Instant,
    ) -> Result<Option<Result<Bytes, Fault>>, Late> {
        let mut asked = None;
        poll_fn(|cx| {
            if let Poll::Ready(piece) = self.poll_data(cx) {
                return Poll::Ready(Ok(piece));
            }
            let due = *asked.get_or_insert_with(&due);
            let is_late = self.0.as_mut().is_some_and(|lease| lease.line.alarm.is_past(due, cx));
            if is_late { Poll::Ready(Err(Late)) } else { Poll::Pending }
        })
        .await
    }

    /// The length that the server announced, if it did.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.0.as_ref().map_or(Some(0), |lease| lease.line.connection.announced())
    }

    fn give_back(&mut self) {
        if let Some(Lease { pool, origin, line }) = self.0.take() {
            pool.put(origin, line);
        }
    }
}
