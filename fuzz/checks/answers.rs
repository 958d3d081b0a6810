//! Answers of model servers: whatever the bytes and however the network cuts them, the same is read, as much as was
//! announced, and nothing of what follows. The first byte says where the network cuts.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, header};
use outbound::http1::{Connection, Fault, Opening};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

static WANTED: [HeaderName; 2] = [header::CONTENT_TYPE, header::CONTENT_LENGTH];

/// What fits into one read, so that all of it is seen.
const READ_AT_ONCE: usize = 8 * 1024;

/// What was read, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    status: u16,
    content_type: Option<HeaderValue>,
    announced: Option<u64>,
    body: Vec<u8>,
    fault: Option<String>,
    is_reusable: bool,
}

/// Takes whatever it is sent, sends what it has, so much at once, and closes.
struct Server<'a> {
    left: &'a [u8],
    at_once: usize,
}

/// Fails if a promise is broken.
pub(crate) fn check(data: &[u8]) {
    let Some((cut, answer)) = data.split_first() else { return };
    let whole = read(Server { left: answer, at_once: usize::MAX });
    let cut = read(Server { left: answer, at_once: usize::from(*cut).max(1) });
    if let (Some(announced), None) = (whole.announced, &whole.fault) {
        assert_eq!(whole.body.len() as u64, announced, "as much as was announced");
    }
    if whole.is_reusable && answer.len() < READ_AT_ONCE {
        let ends = answer.ends_with(&whole.body) || answer.ends_with(b"\r\n");
        assert!(ends, "nothing came after it");
    }
    // What follows an answer may be on its way when it has ended, so that it is seen later.
    assert_eq!(Seen { is_reusable: false, ..whole }, Seen { is_reusable: false, ..cut });
}

fn read(server: Server<'_>) -> Seen {
    let mut seen = Seen::default();
    let mut connection = Connection::new(server, &WANTED);
    let opening = Opening::new(&HeaderValue::from_static("h"), &[]);
    connection
        .begin(opening.post(&PathAndQuery::from_static("/")).with_body(vec![Bytes::from_static(b"{}")]));
    if let Err(fault) = exchange(&mut connection, &mut seen) {
        seen.fault = Some(fault.to_string());
    }
    seen.is_reusable = seen.fault.is_none() && connection.is_reusable();
    seen
}

fn exchange(connection: &mut Connection<Server<'_>>, seen: &mut Seen) -> Result<(), Fault> {
    let cx = &mut Context::from_waker(Waker::noop());
    let head = now(connection.poll_answer(cx))?;
    seen.status = head.status.as_u16();
    seen.content_type = head.get(&header::CONTENT_TYPE).cloned();
    // That there is nothing may be seen at once or later.
    seen.announced = connection.announced().filter(|length| *length > 0);
    while let Some(data) = now(connection.poll_data(cx)) {
        seen.body.extend_from_slice(&data?);
    }
    Ok(())
}

/// The server never lets anybody wait.
fn now<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for nothing"),
    }
}

impl AsyncRead for Server<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (piece, left) = self.left.split_at(self.left.len().min(self.at_once).min(buf.remaining()));
        buf.put_slice(piece);
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Server<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
