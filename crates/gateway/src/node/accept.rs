//! One worker thread: accepts connections and serves each until it ends.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Phase;
use super::connection::converse;
use super::dispatch::Dispatch;
use super::guard::Patience;
use super::tls::Tls;
use super::upkeep;

/// Pause after the machine ran out of descriptors, so that accepting does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How many connections may be served at once. Each worker may hold one more that waits for its place; further ones
/// wait in the kernel's queue. Places are given in the order of asking, so no worker waits for ever.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    places: Arc<Semaphore>,
    connections_max: usize,
}

impl Door {
    pub(super) fn new(connections_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(connections_max)), connections_max }
    }

    /// Connections that are served.
    pub(crate) fn open(&self) -> usize {
        self.connections_max.saturating_sub(self.places.available_permits())
    }

    /// Connections that may be served at once.
    pub(crate) fn open_max(&self) -> usize {
        self.connections_max
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

/// What every worker serves by.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) door: Door,
    pub(super) patience: Patience,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) tls: Option<Tls>,
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
    let closing = phase.wait_for(|phase| *phase >= Phase::Closing);
    tokio::pin!(closing);
    loop {
        let arriving = next(&listener, &server.door);
        tokio::pin!(arriving);
        let (stream, place) = loop {
            tokio::select! {
                arrived = arriving.as_mut() => break arrived,
                _ = open.join_next(), if !open.is_empty() => {}
                _ = closing.as_mut() => return,
            }
        };
        let (server, dispatch) = (server.clone(), dispatch.clone());
        open.spawn(async move {
            connection(stream, server, dispatch).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, server: Server, dispatch: Dispatch) {
    // Without it, Nagle's algorithm and delayed acknowledgements make small answers wait 40 ms.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &server.tls else { return converse(stream, server, dispatch).await };
    let mut phase = server.phase.clone();
    let greeted = tokio::select! {
        greeted = timeout(server.patience.header, tls.greet(stream)) => greeted,
        _ = phase.wait_for(|phase| *phase >= Phase::Ending) => return,
    };
    // A handshake that fails or takes too long is its caller's affair.
    if let Ok(Ok(stream)) = greeted {
        converse(stream, server, dispatch).await;
    }
}

/// The next connection, and then its place. A place is not taken before: a worker that waits for a connection would
/// keep it from the others, whose callers wait in queues of their own.
async fn next(listener: &TcpListener, door: &Door) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, door.place().await),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
