//! The body of an answer: whole, or a metered stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::Full;

use crate::meter::MeteredStream;

/// The body of an answer. It never fails: a stream that breaks upstream ends with an event that says so.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Full<Bytes>),
    Stream(Box<MeteredStream>),
}

impl Body {
    pub(crate) fn stream(stream: MeteredStream) -> Self {
        Self(Kind::Stream(Box::new(stream)))
    }
}

impl Body {
    /// Reads to the end what nobody will take, for its usage. Dropped before, it settles with what was seen.
    pub(crate) async fn read_out(self) {
        match self.0 {
            Kind::Whole(_) => {}
            Kind::Stream(stream) => stream.read_out().await,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Kind::Stream(stream) => stream.poll_next(cx).map(|next| next.map(|data| Ok(Frame::data(data)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(whole) => whole.is_end_stream(),
            Kind::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(whole) => whole.size_hint(),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}
