//! The body of an answer: steps, one after the other, each written to the socket by itself.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::tally::Ticket;

/// What the body does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send {
        bytes: Bytes,
        tokens: u64,
    },
    /// Sent like any other, but the next step does not wait for its turn.
    Comment(Bytes),
    Cut,
    Stall,
}

/// The connection is to be reset.
#[derive(Debug)]
pub(crate) struct Reset;

pub(crate) struct Reply {
    next: Option<Step>,
    rest: Box<dyn Iterator<Item = Step> + Send>,
    pause: Pause,
    between: Duration,
    /// Of a whole answer, also where not all of it will come.
    length: Option<u64>,
    ticket: Option<Ticket>,
}

/// What happens before the next step.
enum Pause {
    None,
    /// The step before is flushed: a body that is not ready makes the connection write what it has.
    Flush,
    Wait(Pin<Box<Sleep>>),
}

impl Reply {
    /// One piece with its length said.
    pub(crate) fn whole(bytes: Bytes, tokens: u64, ticket: Option<Ticket>) -> Reply {
        Reply {
            length: Some(bytes.len() as u64),
            next: Some(Step::Send { bytes, tokens }),
            rest: Box::new(std::iter::empty()),
            pause: Pause::None,
            between: Duration::ZERO,
            ticket,
        }
    }

    /// The first half of what was promised, then this.
    pub(crate) fn half(bytes: &Bytes, then: Step, ticket: Ticket) -> Reply {
        let half = Step::Send { bytes: bytes.slice(..bytes.len() / 2), tokens: 0 };
        let steps = VecDeque::from([half, then]);
        Reply { length: Some(bytes.len() as u64), ..Reply::stream(steps, Duration::ZERO, ticket) }
    }

    pub(crate) fn stream<I>(steps: I, between: Duration, ticket: Ticket) -> Reply
    where
        I: IntoIterator<Item = Step>,
        I::IntoIter: Send + 'static,
    {
        let mut rest = Box::new(steps.into_iter());
        Reply { next: rest.next(), rest, pause: Pause::None, between, length: None, ticket: Some(ticket) }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.pause {
            Pause::None => return Poll::Ready(()),
            Pause::Flush => cx.waker().wake_by_ref(),
            Pause::Wait(sleep) => ready!(sleep.as_mut().poll(cx)),
        }
        let flushing = matches!(self.pause, Pause::Flush);
        self.pause = Pause::None;
        if flushing { Poll::Pending } else { Poll::Ready(()) }
    }

    fn sent(&mut self, tokens: u64, pause: Duration) {
        self.next = self.rest.next();
        self.pause = match self.next {
            None => Pause::None,
            Some(_) if pause.is_zero() => Pause::Flush,
            Some(_) => Pause::Wait(Box::pin(tokio::time::sleep(pause))),
        };
        if let Some(ticket) = &mut self.ticket {
            ticket.wrote(tokens);
            if self.next.is_none() {
                ticket.finish();
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        ready!(self.poll_pause(cx));
        match self.next.clone() {
            None => Poll::Ready(None),
            Some(Step::Send { bytes, tokens }) => {
                let between = self.between;
                self.sent(tokens, between);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Step::Comment(bytes)) => {
                self.sent(0, Duration::ZERO);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Step::Cut) => {
                if let Some(ticket) = &mut self.ticket {
                    ticket.cut();
                }
                Poll::Ready(Some(Err(Reset)))
            }
            // Nobody wakes this; the connection notices by itself when the client leaves.
            Some(Step::Stall) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the script resets the connection")
    }
}

impl std::error::Error for Reset {}
