use std::collections::VecDeque;
use std::io;

use http::HeaderValue;
use http::uri::PathAndQuery;

use super::*;

mod cuts;
mod framing;
mod refused;
mod sending;

static WANTED: [HeaderName; 2] = [http::header::CONTENT_TYPE, http::header::RETRY_AFTER];

/// A server of a test: what it sends, read by read, and what it was sent.
#[derive(Default)]
struct Server {
    sends: VecDeque<Vec<u8>>,
    /// After all of it, it closes, or says nothing more.
    closes: bool,
    /// How much it takes of one write, and how much in all, after which it takes nothing, or is gone.
    takes_at_once: Option<usize>,
    takes: Option<usize>,
    is_gone: bool,
    taken: Vec<u8>,
    writes: usize,
}

impl AsyncRead for Server {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let closes = self.closes;
        match self.sends.front_mut() {
            Some(piece) => {
                let rest = piece.split_off(piece.len().min(buf.remaining()));
                buf.put_slice(piece);
                *piece = rest;
                if piece.is_empty() {
                    self.sends.pop_front();
                }
                Poll::Ready(Ok(()))
            }
            None if closes => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Server {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let room = self.takes.map_or(usize::MAX, |takes| takes - self.taken.len());
        let takes = buf.len().min(room).min(self.takes_at_once.unwrap_or(usize::MAX));
        match takes {
            0 if self.is_gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            0 => Poll::Pending,
            _ => {
                self.taken.extend_from_slice(&buf[..takes]);
                self.writes += 1;
                Poll::Ready(Ok(takes))
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.as_mut().poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a server does when it has said everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Closes,
    Waits,
}

/// What came of an exchange.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    content_type: Option<String>,
    body: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// And the connection may serve another request.
    Reusable,
    /// And the connection is of no more use.
    Spent,
    Waiting,
    Fault(String),
}

fn request() -> Request {
    let opening = Opening::new(&HeaderValue::from_static("models.test"), &[]);
    opening.post(&PathAndQuery::from_static("/v1")).with_body(vec![Bytes::from_static(b"{}")])
}

fn connection(sends: &[&[u8]], then: Then) -> Connection<Server> {
    let sends = sends.iter().map(|piece| piece.to_vec()).collect();
    Connection::new(Server { sends, closes: then == Then::Closes, ..Server::default() }, &WANTED)
}

/// One exchange with a server that sends these pieces and then closes, or does not.
fn exchange(sends: &[&[u8]], then: Then) -> Seen {
    let mut connection = connection(sends, then);
    connection.begin(request());
    outcome(&mut connection)
}

fn outcome(connection: &mut Connection<Server>) -> Seen {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut seen = Seen { status: 0, content_type: None, body: Vec::new(), end: End::Waiting };
    match connection.poll_answer(cx) {
        Poll::Ready(Ok(head)) => {
            seen.status = head.status.as_u16();
            let kind = head.get(&http::header::CONTENT_TYPE);
            seen.content_type = kind.map(|kind| kind.to_str().unwrap().to_owned());
        }
        Poll::Ready(Err(fault)) => return Seen { end: End::Fault(fault.to_string()), ..seen },
        Poll::Pending => return seen,
    }
    loop {
        match connection.poll_data(cx) {
            Poll::Ready(Some(Ok(data))) => seen.body.extend_from_slice(&data),
            Poll::Ready(Some(Err(fault))) => return Seen { end: End::Fault(fault.to_string()), ..seen },
            Poll::Ready(None) => break,
            Poll::Pending => return seen,
        }
    }
    seen.end = if connection.is_reusable() { End::Reusable } else { End::Spent };
    seen
}
