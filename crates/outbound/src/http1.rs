//! HTTP/1.1 from the client's side: one request after the other on one connection, without a task or a channel.
//!
//! Guarantees: an answer ends where RFC 9112, section 6.3, says that it ends, and one that leaves any doubt about it is
//! refused. A connection serves another request only if its answer came to its end, nothing came after it, and all of the
//! request was taken. Whatever a server sends, memory is bounded; and how the network cuts it changes nothing.
//! Knows nothing of: sockets and TLS (any stream will do), time, pools, what bodies mean.
//! Begins at [`Connection::poll_answer`].

mod body;
mod buffer;
mod fault;
mod head;
mod request;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::{fmt, io};

use bytes::Bytes;
use http::HeaderName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use self::fault::Fault;
pub use self::head::{HEAD_MAX, Head};
pub use self::request::{Draft, Opening, Request};

use self::body::Framing;
use self::buffer::Buffer;
use self::head::Received;

/// Answers before the answer (1xx) that are read over.
const INFORMATIONAL_MAX: u8 = 8;

/// A connection to a server. It sends what [`begin`](Connection::begin) was given, and is then asked for the answer's head
/// and for its body. Dropped at any time, it is closed.
pub struct Connection<S> {
    stream: S,
    request: Request,
    /// Which headers of answers are kept.
    wanted: &'static [HeaderName],
    buffer: Buffer,
    framing: Framing,
    informational: u8,
    /// Why not all of the request could be sent. Its server may have said why before it went.
    unsent: Option<io::Error>,
    /// Whether server and client both leave it open after this answer.
    stays: bool,
}

impl<S> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("framing", &self.framing).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// HTTP on a stream on which nothing was said yet. Of the headers of answers, those in `wanted` are kept.
    #[must_use]
    pub fn new(stream: S, wanted: &'static [HeaderName]) -> Self {
        Self {
            stream,
            request: Request::default(),
            wanted,
            buffer: Buffer::default(),
            framing: Framing::Over,
            informational: 0,
            unsent: None,
            stays: true,
        }
    }

    /// Takes the next request. It is sent while its answer is waited for.
    pub fn begin(&mut self, request: Request) {
        self.request = request;
        self.framing = Framing::Unknown;
        self.informational = 0;
    }

    /// The request, if not a byte of it was sent: it may go out elsewhere.
    pub fn take_unsent(&mut self) -> Option<Request> {
        (!self.request.has_begun()).then(|| std::mem::take(&mut self.request))
    }

    /// Sends the request and reads the head of its answer. A server may answer before it has taken all of the request, and
    /// then take no more: what is left is not sent, and the connection serves no other request.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Fault>> {
        let is_sent = self.poll_send(cx).is_ready();
        let received = self.poll_head(cx);
        match (received, self.request.has_begun()) {
            (Poll::Ready(Ok(_)), false) => Poll::Ready(Err(Fault::Garbage("an answer before a request"))),
            (Poll::Ready(Ok(head)), true) => {
                self.stays &= is_sent;
                self.request = Request::default();
                Poll::Ready(Ok(head))
            }
            // Why it breaks is told by the side that broke first.
            (Poll::Ready(Err(fault)), _) => Poll::Ready(Err(self.unsent.take().map_or(fault, Fault::Write))),
            // Nothing was begun, so there is nothing that the server could answer.
            (Poll::Pending, false) => match self.unsent.take() {
                Some(error) => Poll::Ready(Err(Fault::Write(error))),
                None => Poll::Pending,
            },
            (Poll::Pending, true) => Poll::Pending,
        }
    }

    /// The next piece of the body, and `None` at its end. Valid once the head has come.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            match self.framing.data(self.buffer.bytes()) {
                Ok(None) if self.framing.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Ok(Some(data)) => return Poll::Ready(Some(Ok(data))),
                Err(garbage) => return Poll::Ready(Some(Err(garbage))),
            }
            match ready!(self.buffer.poll_fill(&mut self.stream, cx)) {
                Ok(0) if self.framing.ends_with_the_connection() => self.framing = Framing::Over,
                Ok(0) => return Poll::Ready(Some(Err(Fault::Cut))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Fault::Read(error)))),
            }
        }
    }

    /// Whether all of the answer was read. Known with its last piece, where the server says so in time.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.framing.is_over()
    }

    /// The length that the answer was announced with, as long as nothing of it was read.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.framing.length()
    }

    /// Whether it may serve another request. While it waits for one, it holds no memory for answers.
    pub fn is_reusable(&mut self) -> bool {
        let reusable = self.stays && self.framing.is_over() && self.buffer.is_empty();
        if reusable {
            self.buffer.release();
        }
        reusable
    }

    /// Whether nothing came since the last answer, as far as the runtime has looked at its sockets. A byte would belong to no
    /// request, and an end would be one.
    pub fn is_quiet(&mut self) -> bool {
        // Who has used up its turn is told that nothing is there, without a look.
        if !tokio::task::coop::has_budget_remaining() {
            return false;
        }
        let mut byte = [0];
        let read = Pin::new(&mut self.stream)
            .poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut byte));
        read.is_pending()
    }

    /// Ready once all of the request is out.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.unsent.is_some() {
            return Poll::Pending;
        }
        match ready!(self.request.poll_send(&mut self.stream, cx)) {
            Ok(()) => Poll::Ready(()),
            Err(error) => {
                self.unsent = Some(error);
                Poll::Pending
            }
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Fault>> {
        loop {
            if self.buffer.may_hold_a_head()
                && let Some(received) = head::read(self.buffer.bytes(), self.wanted)?
            {
                match received {
                    Received::Informational => self.skip()?,
                    Received::Final { head, framing, stays } => {
                        self.framing = framing;
                        self.stays &= stays;
                        self.buffer.expect(self.framing.length());
                        // Where the body is empty, it is over. What is wrong with it is found again when it is asked for.
                        let _ = self.framing.settle(self.buffer.bytes());
                        return Poll::Ready(Ok(head));
                    }
                }
                continue;
            }
            match ready!(self.buffer.poll_fill(&mut self.stream, cx)) {
                Ok(0) => return Poll::Ready(Err(self.ended_in_its_head())),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Fault::Read(error))),
            }
        }
    }

    fn skip(&mut self) -> Result<(), Fault> {
        self.informational += 1;
        self.buffer.look_again();
        if self.informational > INFORMATIONAL_MAX {
            return Err(Fault::Garbage("too many informational answers"));
        }
        Ok(())
    }

    fn ended_in_its_head(&mut self) -> Fault {
        if self.buffer.is_empty() {
            return Fault::Closed;
        }
        head::read(self.buffer.bytes(), self.wanted).err().unwrap_or(Fault::Cut)
    }
}
