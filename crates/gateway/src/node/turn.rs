//! Whose turn it is on a connection: the caller's, who owes us a request, or ours, who owe an answer.
//!
//! Told by both ends of the HTTP library: the [`Guarded`](super::guard::Guarded) stream under it sees bytes come and
//! go, the service above it sees requests begin and answers end. Only the connection's own task touches it, so the
//! atomics order nothing; they are there because the task may move between threads as far as the compiler knows.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// The first byte of its first request.
    Fresh,
    /// The first byte of a further request.
    Idle,
    /// The rest of a header section.
    Header,
    /// Our answer, and until then the body of the request.
    Serving,
    /// The caller, who has yet to take the end of our answer.
    Flushing,
}

/// The stage of one connection.
#[derive(Debug)]
pub(super) struct Turn {
    stage: AtomicU8,
    unread: AtomicBool,
}

impl Turn {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { stage: AtomicU8::new(Stage::Fresh as u8), unread: AtomicBool::new(false) })
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Fresh,
            1 => Stage::Idle,
            2 => Stage::Header,
            3 => Stage::Serving,
            _ => Stage::Flushing,
        }
    }

    pub(super) fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// A request has come.
    pub(super) fn serve(&self) {
        self.set(Stage::Serving);
        self.unread.store(false, Ordering::Relaxed);
    }

    /// It is answered with an error, before its body was read or without reading it.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether the body of the last request may be unread.
    pub(super) fn may_be_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Whether no request is being served, so that nothing of ours is on its way to the caller.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.stage(), Stage::Fresh | Stage::Idle | Stage::Header)
    }
}

/// The body of an answer. When it goes, its last byte is with the HTTP library: only the sending is left.
#[derive(Debug)]
pub(super) struct Owed<B> {
    body: B,
    turn: Arc<Turn>,
}

impl<B> Owed<B> {
    pub(super) fn new(body: B, turn: Arc<Turn>) -> Self {
        Self { body, turn }
    }
}

impl<B: Body + Unpin> Body for Owed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Owed<B> {
    fn drop(&mut self) {
        self.turn.set(Stage::Flushing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_that_is_set_is_read_back() {
        let turn = Turn::new();
        assert_eq!(turn.stage(), Stage::Fresh);
        for stage in [Stage::Idle, Stage::Header, Stage::Serving, Stage::Flushing, Stage::Fresh] {
            turn.set(stage);
            assert_eq!(turn.stage(), stage);
        }
    }
}
