//! What was read and not yet given on.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What is read at once from a server that sends little, in bytes.
const READ_MIN: usize = 8 * 1024;
/// What is read at once from a server that sends much, in bytes.
const READ_MAX: usize = 64 * 1024;
/// Room that is still worth a read, in bytes.
const ROOM_MIN: usize = 1024;

/// A buffer that grows with what comes. What is given on are slices of it.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: BytesMut,
    /// How much is read at once; 0 before the first read.
    at_once: usize,
    /// How much of it was looked at for the end of a head.
    looked_at: usize,
}

impl Buffer {
    pub(super) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether it is worth looking for a head: on its first bytes, which say whether it is one, and then whenever a line
    /// has ended. So a server that sends byte by byte makes us look no more often than a head has lines.
    pub(super) fn may_hold_a_head(&mut self) -> bool {
        let new = self.bytes.get(self.looked_at..).unwrap_or_default();
        let worth = !new.is_empty() && (self.looked_at == 0 || self.is_long() || new.contains(&b'\n'));
        self.looked_at = self.bytes.len();
        worth
    }

    /// A head was taken out.
    pub(super) fn look_again(&mut self) {
        self.looked_at = 0;
    }

    /// A body of this length comes next.
    pub(super) fn expect(&mut self, length: Option<u64>) {
        self.looked_at = 0;
        let left = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        self.at_once = self.at_once.max(left.min(READ_MAX));
    }

    /// Reads once. 0 is the end.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() - self.bytes.len() < ROOM_MIN {
            self.at_once = self.at_once.max(READ_MIN);
            // Takes the same memory again where nobody holds a slice of it any more.
            self.bytes.reserve(self.at_once);
        }
        let room = self.bytes.capacity() - self.bytes.len();
        let read = ready!(pin!(stream.read_buf(&mut self.bytes)).poll(cx))?;
        if read == room {
            self.at_once = self.at_once.saturating_mul(2).min(READ_MAX);
        }
        Poll::Ready(Ok(read))
    }

    pub(super) fn release(&mut self) {
        *self = Self::default();
    }

    fn is_long(&self) -> bool {
        self.bytes.len() > super::HEAD_MAX
    }
}
