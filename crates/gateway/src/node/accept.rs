//! One worker thread: accepts connections and serves each until it ends.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::Phase;
use super::dispatch::Dispatch;
use super::upkeep;

/// Longest header section of a request; longer ones are answered 431.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Pause after the machine ran out of descriptors, so that accepting does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How many connections may be open at once; further ones wait in the kernel's queue.
#[derive(Debug, Clone)]
pub(super) struct Door(Arc<Semaphore>);

impl Door {
    pub(super) fn new(connections_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections_max)))
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// What every worker serves by.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) door: Door,
    pub(super) header_timeout: Duration,
    pub(super) phase: watch::Receiver<Phase>,
}

/// Starts a worker thread on its own runtime. It ends when the gateway closes.
pub(super) fn spawn(
    name: &str,
    listener: StdListener,
    server: Server,
    dispatch: Dispatch,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .with_context(|| format!("cannot start the runtime of {name}"))?;
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        runtime.block_on(serve(listener, server, dispatch));
        // What is still running is dropped here; calls settle as they drop.
        runtime.shutdown_background();
    });
    thread.with_context(|| format!("cannot start the thread {name}"))
}

async fn serve(listener: StdListener, server: Server, dispatch: Dispatch) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listener cannot be served");
            return;
        }
    };
    tokio::spawn(upkeep::worker(dispatch.clone()));
    let mut open = JoinSet::new();
    accept_until_closing(listener, &server, &dispatch, &mut open).await;
    let mut phase = server.phase.clone();
    let all_end = async {
        while open.join_next().await.is_some() {}
        dispatch.calls_end().await;
    };
    tokio::select! {
        () = all_end => {}
        _ = phase.wait_for(|phase| *phase == Phase::Closed) => {}
    }
}

async fn accept_until_closing(
    listener: TcpListener,
    server: &Server,
    dispatch: &Dispatch,
    open: &mut JoinSet<()>,
) {
    let mut phase = server.phase.clone();
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener, &server.door) => accepted,
            _ = open.join_next(), if !open.is_empty() => continue,
            _ = phase.wait_for(|phase| *phase >= Phase::Closing) => return,
        };
        let Some((stream, place)) = accepted else { continue };
        let connection = connection(stream, server.clone(), dispatch.clone());
        open.spawn(async move {
            connection.await;
            drop(place);
        });
    }
}

async fn next(listener: &TcpListener, door: &Door) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = door.place().await?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, server: Server, dispatch: Dispatch) {
    // Without it, Nagle's algorithm and delayed acknowledgements make small answers wait 40 ms.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let dispatch = dispatch.clone();
        async move { Ok::<_, std::convert::Infallible>(dispatch.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.header_timeout)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut phase = server.phase;
    tokio::select! {
        // A connection that breaks is its caller's affair.
        _ = connection.as_mut() => return,
        _ = phase.wait_for(|phase| *phase >= Phase::Closing) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
