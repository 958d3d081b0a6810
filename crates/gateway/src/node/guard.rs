//! The stream under the HTTP library, watched: nobody holds a connection by saying or reading nothing.
//!
//! Guarantees: what a caller owes (a first byte, a whole header section, a further request, room for our answer) comes
//! within its time, or the stream fails with `TimedOut`. Costs one timer a connection, which is set back only when it
//! rings or when something is due sooner; a call on a busy connection reads the clock once and sets no timer.
//! What the library would say while no request is being served is its own refusal, a bare status. It is withheld, and
//! [`farewell`](super::farewell) says it in words.
//! Knows nothing of: HTTP, bodies (their pace is the data plane's affair), TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::turn::{Stage, Turn};

/// How long a caller may take for what is owed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The first byte of a request, from the connection on.
    pub(super) first_byte: Duration,
    /// The header section, from its first byte on; also a TLS handshake.
    pub(super) header: Duration,
    /// The next request, from the end of an answer on.
    pub(super) idle: Duration,
    /// Reading anything of an answer that waits.
    pub(super) write: Duration,
}

/// A stream that fails when its caller takes too long.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    turn: Arc<Turn>,
    patience: Patience,
    /// Since when we wait for what the caller should send.
    waiting: Option<Instant>,
    /// Since when the caller takes nothing of what we send.
    stuck: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    withheld: bool,
    late: bool,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, turn: Arc<Turn>, patience: Patience) -> Self {
        Self { stream, turn, patience, waiting: None, stuck: None, alarm: None, withheld: false, late: false }
    }

    /// Whether a header section did not come to its end in time.
    pub(super) fn header_was_late(&self) -> bool {
        self.late && self.turn.stage() == Stage::Header
    }

    /// Whether the caller is owed a word about a request that was none. Not while an answer of ours is half sent.
    pub(super) fn owes_a_word(&self) -> bool {
        self.withheld || self.turn.stage() == Stage::Header
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn bytes_came(&mut self) {
        if matches!(self.turn.stage(), Stage::Fresh | Stage::Idle) {
            self.turn.set(Stage::Header);
            self.waiting = None;
        }
    }

    /// Nothing has come. Whether it is too late for it; if not, this task is woken in time to ask again.
    fn waits_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        let patience = match self.turn.stage() {
            Stage::Fresh => self.patience.first_byte,
            Stage::Idle => self.patience.idle,
            Stage::Header => self.patience.header,
            Stage::Serving | Stage::Flushing => return false,
        };
        let since = *self.waiting.get_or_insert_with(Instant::now);
        self.late = self.is_past(since + patience, cx);
        self.late
    }

    /// The end of an answer is out: now the caller may be idle.
    fn answer_is_out(&mut self, cx: &mut Context<'_>) {
        if self.turn.stage() == Stage::Flushing {
            self.turn.set(Stage::Idle);
            self.waiting = None;
            // Asked for its alarm alone: the library need not read again before it is woken.
            let _ = self.waits_too_long(cx);
        }
    }

    /// Counts how long the caller takes nothing.
    fn sent<T>(&mut self, sent: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stuck = None;
            return sent;
        }
        let since = *self.stuck.get_or_insert_with(Instant::now);
        match self.is_past(since + self.patience.write, cx) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => Poll::Pending,
        }
    }

    /// Whether `due` has passed. If not, the alarm rings no later than then; it may ring early and be asked again.
    fn is_past(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        loop {
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if alarm.deadline() > due {
                alarm.as_mut().reset(due);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return false;
            }
            if Instant::now() >= due {
                return true;
            }
            alarm.as_mut().reset(due);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                if buf.filled().len() > before {
                    self.bytes_came();
                }
                Poll::Ready(read)
            }
            Poll::Pending if self.waits_too_long(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.turn.is_between_requests() {
            self.withheld = true;
            return Poll::Ready(Ok(buf.len()));
        }
        let sent = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.sent(sent, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.turn.is_between_requests() {
            self.withheld = true;
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.sent(sent, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut self.stream).poll_flush(cx);
        ready!(self.sent(sent, cx))?;
        self.answer_is_out(cx);
        Poll::Ready(Ok(()))
    }

    /// How a connection ends is not the library's affair: see [`farewell`](super::farewell).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests;
