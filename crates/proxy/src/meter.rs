//! A stream on its way to the caller: passed on as it comes, watched for its usage, settled once.
//!
//! It is settled before its last piece goes out, so that a caller who has seen the end finds it counted. Dropped
//! before, it settles with what was seen: reported usage if there was any, else the prompt and the deltas passed on.
//! Where the model server keeps a part of the prompt, only its report says what that was: such a stream is read on for
//! it within `drain_timeout`, or a caller who leaves just before the end would have it for nothing; and so is every
//! stream if the operator wants that.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use domain::{Outcome, Usage};
use tokio::time::{Instant, Sleep};
use wire::{AnswerStream, Operation, UsageChunk};

use crate::admit::{Admitted, Ending};
use crate::error::{Error, UpstreamFailure};
use crate::upstream::UpstreamBody;

/// How long an upstream may take to close a stream that has ended. One that closes in order can serve another call.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// A streamed answer.
#[derive(Debug)]
pub(crate) struct MeteredStream {
    admitted: Option<Box<Admitted>>,
    upstream: Option<UpstreamBody>,
    operation: Operation,
    events: AnswerStream,
    status: u16,
    /// Until the next piece must have come.
    idle: Pin<Box<Sleep>>,
    /// Until everything must have come.
    deadline: Instant,
    request_id: String,
    /// What is done when the caller leaves.
    if_left: IfLeft,
}

/// What becomes of a stream whose caller has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IfLeft {
    Settle,
    ReadOn,
}

impl MeteredStream {
    pub(crate) fn new(
        admitted: Box<Admitted>,
        upstream: UpstreamBody,
        chunk: UsageChunk,
        status: u16,
    ) -> Self {
        let timeouts = admitted.shared().settings.upstream.timeouts;
        let now = Instant::now();
        let operation = admitted.facts().operation;
        let if_left = if admitted.streams_on() { IfLeft::ReadOn } else { IfLeft::Settle };
        Self {
            if_left,
            operation,
            events: AnswerStream::new(operation, admitted.facts().slug.as_str(), chunk),
            request_id: admitted.facts().request_id.to_string(),
            upstream: Some(upstream),
            idle: Box::pin(tokio::time::sleep_until(now + timeouts.idle)),
            deadline: now + timeouts.total,
            status,
            admitted: Some(admitted),
        }
    }

    /// The next piece for the caller; `None` when the stream has ended.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let Some(upstream) = &mut self.upstream else { return Poll::Ready(None) };
            let piece = match upstream.poll_data(cx) {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    std::task::ready!(self.idle.as_mut().poll(cx));
                    let stage = "no data within upstream.idle_timeout or upstream.total_timeout";
                    return Poll::Ready(
                        self.broken(Outcome::UpstreamTimeout, UpstreamFailure::Timeout(stage)),
                    );
                }
            };
            if self.is_too_late() {
                let stage = "not complete within upstream.total_timeout";
                return Poll::Ready(self.broken(Outcome::UpstreamTimeout, UpstreamFailure::Timeout(stage)));
            }
            let out = match piece {
                Some(Ok(data)) => self.pass(&data),
                Some(Err(error)) => {
                    self.broken(Outcome::UpstreamError, UpstreamFailure::Broken(error.to_string()))
                }
                None => self.complete(),
            };
            // Nothing to pass on yet (part of an event, a withheld chunk): look at what comes next.
            if out.as_ref().is_none_or(|bytes| !bytes.is_empty()) {
                return Poll::Ready(out);
            }
        }
    }

    /// A piece came. Whether it came after everything had to be there; if not, the wait for the next one begins.
    fn is_too_late(&mut self) -> bool {
        let Some(admitted) = &self.admitted else { return false };
        let now = Instant::now();
        let next = now + admitted.shared().settings.upstream.timeouts.idle;
        self.idle.as_mut().reset(next.min(self.deadline));
        now >= self.deadline
    }

    fn pass(&mut self, data: &Bytes) -> Option<Bytes> {
        if self.admitted.is_none() {
            // The stream has ended and is settled. What still comes belongs to no answer.
            self.upstream = None;
            return None;
        }
        match self.events.feed(data) {
            Ok(out) => {
                if self.events.done() {
                    self.settle(self.outcome());
                    self.idle.as_mut().reset(Instant::now() + CLOSING_MAX);
                }
                Some(out)
            }
            Err(_) => {
                self.broken(Outcome::UpstreamError, UpstreamFailure::Garbage("an event without an end"))
            }
        }
    }

    fn complete(&mut self) -> Option<Bytes> {
        self.upstream = None;
        let rest = self.events.finish();
        self.settle(self.outcome());
        if rest.is_empty() { None } else { Some(rest) }
    }

    /// What an end in good order comes to: the stream may have told of an error.
    fn outcome(&self) -> Outcome {
        if self.events.failed() { Outcome::UpstreamError } else { Outcome::Completed }
    }

    /// A stream has begun with 200, so its failure can only be told inside it. After its end there is none to tell.
    fn broken(&mut self, outcome: Outcome, failure: UpstreamFailure) -> Option<Bytes> {
        self.upstream = None;
        self.admitted.as_ref()?;
        tracing::warn!(request_id = self.request_id, cause = failure.cause(), "stream broke off");
        self.settle(outcome);
        Some(Error::from(failure).as_event(self.operation, &self.request_id))
    }

    fn settle(&mut self, outcome: Outcome) {
        let Some(admitted) = self.admitted.take() else { return };
        let usage = self.used(&admitted);
        admitted.settle(Ending { usage, outcome, status: Some(self.status) });
    }

    fn used(&self, admitted: &Admitted) -> Usage {
        self.events.usage().unwrap_or_else(|| {
            let counted = admitted.counted(self.events.output_guess());
            // Some servers tell the prompt at once and the rest at the end, which did not come.
            let told = self.events.reported_input();
            told.map_or(counted, |(input, cached)| Usage { input, cached, ..counted })
        })
    }
}

impl MeteredStream {
    /// Reads to the end what nobody will take. Dropped before, it settles with what was seen.
    pub(crate) async fn read_out(mut self: Box<Self>) {
        self.if_left = IfLeft::Settle;
        while std::future::poll_fn(|cx| self.poll_next(cx)).await.is_some() {}
    }

    /// Everything of it; what stays behind has ended.
    fn taken(&mut self) -> Self {
        let ended = AnswerStream::new(self.operation, "", UsageChunk::Forward);
        Self {
            admitted: self.admitted.take(),
            upstream: self.upstream.take(),
            operation: self.operation,
            events: std::mem::replace(&mut self.events, ended),
            status: self.status,
            idle: std::mem::replace(&mut self.idle, Box::pin(tokio::time::sleep(Duration::ZERO))),
            deadline: self.deadline,
            request_id: std::mem::take(&mut self.request_id),
            if_left: IfLeft::Settle,
        }
    }
}

impl Drop for MeteredStream {
    fn drop(&mut self) {
        if let (IfLeft::ReadOn, Some(admitted)) = (self.if_left, &self.admitted) {
            let shared = Arc::clone(admitted.shared());
            shared.drains.read_on(Box::new(self.taken()).read_out());
        }
        let Some(mut admitted) = self.admitted.take() else { return };
        let usage = self.used(&admitted);
        let status = Some(self.status);
        admitted.if_dropped(Ending { usage, outcome: Outcome::ClientGone, status });
        // Dropped here: it knows whether the caller left or the gateway is stopping.
    }
}
