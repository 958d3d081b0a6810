//! Requests: a head that is written here alone, and a body in pieces, sent without being joined.

use std::fmt;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, header};
use tokio::io::AsyncWrite;

/// Pieces that are handed over at once.
const SLICES_MAX: usize = 16;
/// Room for the headers of one request, beside those that all have in common, in bytes.
const HEADERS_USUAL: usize = 256;

/// What the heads of all requests to one place have in common, written once: everything after the path. It may hold a
/// credential.
#[derive(Clone)]
pub struct Opening(Box<[u8]>);

/// A request whose headers are being written.
pub struct Draft(Vec<u8>);

/// A request, as far as it was not sent.
#[derive(Default)]
pub struct Request {
    head: Vec<u8>,
    /// Of the head, so much is out.
    head_sent: usize,
    body: Vec<Bytes>,
    /// Of the pieces, so many are out.
    pieces_sent: usize,
    has_begun: bool,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(..)")
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draft(..)")
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Request(..)")
    }
}

impl Opening {
    /// Requests to this host, all of which carry these headers.
    #[must_use]
    pub fn new(host: &HeaderValue, headers: &[(HeaderName, HeaderValue)]) -> Self {
        let mut draft = Draft(b" HTTP/1.1\r\n".to_vec());
        draft.line(&header::HOST, host);
        for (name, value) in headers {
            draft.header(name, value);
        }
        Self(draft.0.into_boxed_slice())
    }

    /// POST to this path.
    #[must_use]
    pub fn post(&self, path: &PathAndQuery) -> Draft {
        let (method, path) = (b"POST ", path.as_str().as_bytes());
        let mut head = Vec::with_capacity(method.len() + path.len() + self.0.len() + HEADERS_USUAL);
        head.extend_from_slice(method);
        head.extend_from_slice(path);
        head.extend_from_slice(&self.0);
        Draft(head)
    }
}

impl Draft {
    /// One more header. Where a request goes and where it ends is said here alone: headers that would say it are left out.
    pub fn header(&mut self, name: &HeaderName, value: &HeaderValue) {
        if !is_ours(name) {
            self.line(name, value);
        }
    }

    /// The request, with this body.
    #[must_use]
    pub fn with_body(mut self, body: Vec<Bytes>) -> Request {
        let length: usize = body.iter().map(Bytes::len).sum();
        // Writing into memory does not fail.
        let _ = write!(self.0, "content-length: {length}\r\n\r\n");
        Request { head: self.0, head_sent: 0, body, pieces_sent: 0, has_begun: false }
    }

    /// Neither a name nor a value can hold the end of a line: their types see to it.
    fn line(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value.as_bytes());
        self.0.extend_from_slice(b"\r\n");
    }
}

impl Request {
    /// Whether a byte of it is out.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Sends what is left of it.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_out() {
            let written = {
                let (slices, count) = self.slices();
                let slices = slices.get(..count).unwrap_or_default();
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.has_begun = true;
            self.advance(written);
        }
        // Over TLS, what was written may still wait to be encrypted.
        Pin::new(stream).poll_flush(cx)
    }

    fn is_out(&self) -> bool {
        self.head_sent == self.head.len() && self.pieces_sent == self.body.len()
    }

    fn slices(&self) -> ([IoSlice<'_>; SLICES_MAX], usize) {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let head = self.head.get(self.head_sent..).unwrap_or_default();
        let pieces = self.body.get(self.pieces_sent..).unwrap_or_default();
        let left = std::iter::once(head).chain(pieces.iter().map(|piece| &**piece));
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(left.filter(|bytes| !bytes.is_empty())) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        (slices, count)
    }

    /// So many bytes are out. A piece that is out is not held any longer.
    fn advance(&mut self, mut written: usize) {
        let of_head = written.min(self.head.len() - self.head_sent);
        self.head_sent += of_head;
        written -= of_head;
        while let Some(piece) = self.body.get_mut(self.pieces_sent) {
            let of_piece = written.min(piece.len());
            piece.advance(of_piece);
            written -= of_piece;
            if !piece.is_empty() {
                return;
            }
            *piece = Bytes::new();
            self.pieces_sent += 1;
        }
    }
}

fn is_ours(name: &HeaderName) -> bool {
    let ours = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
    ];
    ours.contains(name)
}
