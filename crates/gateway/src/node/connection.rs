//! One connection, from its first byte to its last. Begins at [`converse`].
//!
//! A caller who closes its sending side while it waits has left, whether or not it would still read: TCP shows no
//! difference, and a model that goes on for nobody costs more than the rare client that half-closes (nginx decides the
//! same).

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderValue, Request, Response, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proxy::Body;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::coop::unconstrained;

use super::Phase;
use super::accept::Server;
use super::dispatch::Dispatch;
use super::farewell::{self, LastWord};
use super::framing;
use super::guard::Guarded;
use super::turn::{Owed, Turn};

/// Longest header section of a request; longer ones are answered 431, and so are more than 100 fields, which is the
/// library's own bound.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// How the requests of a connection came to their end.
enum Ended {
    InOrder,
    /// The caller is owed a word, and may still read it.
    Owing(LastWord),
    /// The caller is gone, or takes nothing.
    Broken,
}

/// Serves the requests that come on a stream until it ends.
pub(super) async fn converse<S>(stream: S, server: Server, dispatch: Dispatch)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let turn = Turn::new();
    let mut guarded = Guarded::new(stream, Arc::clone(&turn), server.patience);
    let served = requests(&mut guarded, &server, &dispatch, &turn).await;
    match ended(served, &guarded) {
        Ended::InOrder if turn.may_be_unread() => farewell::part(guarded.into_inner()).await,
        Ended::InOrder => farewell::close(guarded.into_inner()).await,
        Ended::Owing(word) => farewell::tell(word, guarded.into_inner()).await,
        Ended::Broken => {}
    }
}

async fn requests<S>(
    stream: &mut Guarded<S>,
    server: &Server,
    dispatch: &Dispatch,
    turn: &Arc<Turn>,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| async move {
        turn.serve();
        let has_body = !request.body().is_end_stream();
        let answer = answer(dispatch, request).await;
        if has_body && answer.status().as_u16() >= 400 {
            turn.leave_unread();
        }
        Ok::<_, Infallible>(answer.map(|body| Owed::new(body, Arc::clone(turn))))
    });
    let connection =
        http1::Builder::new().max_buf_size(HEADER_BYTES_MAX).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    if let Some(served) = until_the_end(connection.as_mut(), &server.phase).await {
        return served;
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// Drives a connection until it is served, or the gateway ends.
async fn until_the_end<F: Future>(
    mut connection: Pin<&mut F>,
    phase: &watch::Receiver<Phase>,
) -> Option<F::Output> {
    let (news, mut phase) = (phase.clone(), phase.clone());
    // Without a budget: a task that has used up its own would be told to come again, and not be woken at the end.
    let mut end = pin!(unconstrained(phase.wait_for(|phase| *phase >= Phase::Ending)));
    let mut is_awaited = false;
    poll_fn(|cx| {
        if let Poll::Ready(served) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(served));
        }
        // Asked once, it wakes this task, which is the same all along. To ask at each request takes a lock.
        if std::mem::replace(&mut is_awaited, true) && !news.has_changed().unwrap_or(true) {
            return Poll::Pending;
        }
        end.as_mut().poll(cx).map(|_| None)
    })
    .await
}

async fn answer(dispatch: &Dispatch, request: Request<Incoming>) -> Response<Body> {
    if framing::is_doubtful(&request) {
        return framing::refusal();
    }
    let mut answer = dispatch.answer(request).await;
    if dispatch.is_draining() {
        // Its caller is to come back on another connection, to another gateway.
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

fn ended<S>(served: hyper::Result<()>, stream: &Guarded<S>) -> Ended {
    if stream.header_was_late() {
        return Ended::Owing(LastWord::Slow);
    }
    match served {
        Ok(()) => Ended::InOrder,
        Err(error) if error.is_parse() && stream.owes_a_word() => match error.is_parse_too_large() {
            true => Ended::Owing(LastWord::TooLarge),
            false => Ended::Owing(LastWord::NoRequest),
        },
        // A body that did not fit into a request ends the connection after its answer.
        Err(error) if error.is_body_write_aborted() || is_timeout(&error) => Ended::Broken,
        Err(_) => Ended::InOrder,
    }
}

fn is_timeout(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    error
        .source()
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}
