//! The body of a request on its way upstream: pieces, sent one after the other.
//!
//! A long body stays where it was read: its unchanged parts are slices of it, and only what was spliced in is new.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A request body whose length is known.
#[derive(Debug)]
pub struct Outgoing {
    pieces: std::vec::IntoIter<Bytes>,
    /// Bytes that are still to come.
    left: u64,
}

impl Outgoing {
    /// These pieces, in this order.
    #[must_use]
    pub fn new(pieces: Vec<Bytes>) -> Self {
        let left = pieces.iter().map(length).sum();
        Self { pieces: pieces.into_iter(), left }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.next();
        self.left -= piece.as_ref().map_or(0, length);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn length(piece: &Bytes) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}
