//! A stream on its way to the caller: passed on as it comes, watched for its usage, settled once.
//!
//! It is settled before its last piece goes out, so that a caller who has seen the end finds it counted. Dropped
//! before, it settles with what was seen: reported usage if there was any, else the prompt and the deltas passed on.
//! Where the model server keeps a part of the prompt, only its report says what that was: such a stream is read on for
//! it within `drain_timeout`, or a caller who leaves just before the end would have it for nothing; and so is one whose
//! model writes what is not shown, and every stream if the operator wants that.
//!
//! A stream that is admitted step by step holds what it passes on. When it has passed on all it holds and a limit has no
//! room for more, it ends as if the model had reached its bound.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Outcome, Usage};
use limits::TopUp;
use storage::Synced;
use tokio::time::{Instant, Sleep};
use wire::{AnswerStream, Cut, Operation, ReportedInput, UsageChunk};

use crate::admit::{Admitted, Allowance, Ending};
use crate::error::{Error, UpstreamFailure};
use crate::steps::{Refused, Steps, Written};
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
    /// How its output is held, if it is held step by step.
    steps: Option<Steps>,
    /// A limit has ended it.
    is_cut: bool,
    caller: Caller,
    /// What its end waits for, once it is settled.
    synced: Option<Synced>,
    /// Its last piece, which waits.
    withheld: Option<Withheld>,
}

/// A piece that goes out when it is written how the stream ended.
struct Withheld {
    synced: Synced,
    piece: Option<Bytes>,
}

/// Who takes the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Somebody. If they leave, that is that.
    Here,
    /// Somebody. If they leave, the rest is read all the same.
    MayNotEscape,
    /// Nobody any more.
    Gone,
}

/// Whether a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    On,
    Over,
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
        let caller = if admitted.streams_on() { Caller::MayNotEscape } else { Caller::Here };
        let events = AnswerStream::new(operation, admitted.facts().slug.as_str(), chunk);
        let (events, steps) = match admitted.allowance() {
            Allowance::Stepwise => {
                let facts = admitted.facts();
                (
                    events.cuttable(),
                    Some(Steps::new(facts.output, facts.outset.declared, facts.outset.answers)),
                )
            }
            Allowance::Unbounded | Allowance::Bounded(_) => (events, None),
        };
        Self {
            caller,
            operation,
            events,
            steps,
            is_cut: false,
            synced: None,
            withheld: None,
            request_id: admitted.facts().request_id.to_string(),
            upstream: Some(upstream),
            idle: Box::pin(tokio::time::sleep_until(now + timeouts.idle)),
            deadline: now + timeouts.total,
            status,
            admitted: Some(admitted),
        }
    }

    /// The next piece for the caller; `None` when the stream has ended. The piece that ends it waits for the journal.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.withheld.is_none() {
            let piece = std::task::ready!(self.poll_piece(cx));
            let Some(synced) = self.synced.take().filter(Synced::waits) else { return Poll::Ready(piece) };
            self.withheld = Some(Withheld { synced, piece });
        }
        if let Some(withheld) = &mut self.withheld {
            std::task::ready!(Pin::new(&mut withheld.synced).poll(cx));
        }
        Poll::Ready(self.withheld.take().and_then(|withheld| withheld.piece))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
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
                Some(Err(error)) => self.broken(Outcome::UpstreamError, error.into()),
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
        if self.steps.is_none() { self.pass_events(data) } else { self.pass_steps(data) }
    }

    fn pass_events(&mut self, data: &Bytes) -> Option<Bytes> {
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

    /// The same in short looks, so that the next step is asked for before what it is for is passed on.
    fn pass_steps(&mut self, data: &Bytes) -> Option<Bytes> {
        let (mut out, mut rest) = (BytesMut::with_capacity(data.len()), data.clone());
        while !rest.is_empty() && self.upstream.is_some() {
            if self.step() == Step::Over {
                out.extend_from_slice(&self.cut());
                break;
            }
            let look =
                self.steps.as_ref().map_or(rest.len(), |steps| steps.look(self.events.written_at_most()));
            let look = rest.split_to(look.min(rest.len()));
            out.extend_from_slice(&self.pass_events(&look).unwrap_or_default());
        }
        Some(out.freeze())
    }

    /// Asks for the next step where it is due.
    fn step(&mut self) -> Step {
        let (at_least, at_most) = (self.events.written_at_least(), self.events.written_at_most());
        let (Some(steps), Some(admitted)) = (&mut self.steps, &mut self.admitted) else { return Step::On };
        let Some(tokens) = steps.due(Written { at_least, at_most }) else { return Step::On };
        match admitted.top_up(tokens) {
            TopUp::Granted => steps.granted(tokens),
            TopUp::Refused { .. } if steps.refused(at_most) == Refused::Over => return Step::Over,
            TopUp::Refused { .. } => {}
        }
        Step::On
    }

    /// Ends the stream as if the model had reached its bound, and the call upstream with it.
    fn cut(&mut self) -> Bytes {
        self.upstream = None;
        self.is_cut = true;
        let Some(admitted) = &self.admitted else { return Bytes::new() };
        let (usage, unix_s) = (self.used(admitted), admitted.facts().admitted_at.wall_ms / 1_000);
        let end = self.events.cut(&Cut { usage, request_id: &self.request_id, unix_s });
        self.settle(Outcome::LimitCut);
        end
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
        self.synced = Some(admitted.settle(Ending { usage, outcome, status: Some(self.status) }));
    }

    fn used(&self, admitted: &Admitted) -> Usage {
        self.events.usage().unwrap_or_else(|| {
            if self.caller == Caller::Gone && admitted.facts().output_hidden {
                // What was not shown may be most of it: leaving early is no discount.
                return admitted.in_full();
            }
            let counted = admitted.counted(self.written());
            // Some servers tell the prompt at once and the rest at the end, which did not come.
            let told = self.events.reported_input();
            told.map_or(counted, |ReportedInput { tokens: input, cached, cache_written }| Usage {
                input,
                cached,
                cache_written,
                ..counted
            })
        })
    }
}

impl MeteredStream {
    /// Output as far as we can tell. Where a limit ended it, it is charged as it was held: settled for less, what was
    /// passed on would be room again, and could be had over and over.
    fn written(&self) -> u64 {
        if self.is_cut { self.events.written_at_most() } else { self.events.output_guess() }
    }

    /// Reads to the end what nobody will take. Dropped before, it settles with what was seen.
    pub(crate) async fn read_out(mut self: Box<Self>) {
        self.caller = Caller::Gone;
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
            steps: self.steps.take(),
            is_cut: self.is_cut,
            caller: Caller::Gone,
            synced: self.synced.take(),
            withheld: self.withheld.take(),
        }
    }
}

impl std::fmt::Debug for Withheld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Withheld(..)")
    }
}

impl Drop for MeteredStream {
    fn drop(&mut self) {
        if let (Caller::MayNotEscape, Some(admitted)) = (self.caller, &self.admitted) {
            let shared = Arc::clone(admitted.shared());
            shared.drains.read_on(Box::new(self.taken()).read_out());
        }
        let Some(mut admitted) = self.admitted.take() else { return };
        self.caller = Caller::Gone;
        let usage = self.used(&admitted);
        let status = Some(self.status);
        admitted.if_dropped(Ending { usage, outcome: Outcome::ClientGone, status });
        // Dropped here: it knows whether the caller left or the gateway is stopping.
    }
}
