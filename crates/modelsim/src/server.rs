//! The server: a listener, its connections, and the script they all follow.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::{Play, answer};
use crate::direct::Director;
use crate::script::{Act, Script};
use crate::tally::{SeenRequest, Served, Tally};

/// More connections than this are closed as they come.
const CONNECTIONS_MAX: usize = 16_384;
/// Wait when the system has no room for another connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// A running server. Dropping it closes the listener and every connection soon after; [`ModelServer::stop`] waits for that.
#[derive(Debug)]
pub struct ModelServer {
    addr: SocketAddr,
    stage: Arc<Stage>,
    task: JoinHandle<()>,
}

/// What the connections share.
#[derive(Debug)]
struct Stage {
    play: RwLock<Arc<Play>>,
    director: Option<Arc<dyn Director>>,
    tally: Arc<Tally>,
}

impl ModelServer {
    /// On a free port of the loopback address, in the current runtime.
    pub async fn start(script: Script) -> io::Result<ModelServer> {
        ModelServer::start_on((Ipv4Addr::LOCALHOST, 0).into(), script).await
    }

    /// On this address, in the current runtime.
    pub async fn start_on(addr: SocketAddr, script: Script) -> io::Result<ModelServer> {
        ModelServer::listen(addr, script, None).await
    }

    /// On a free port of the loopback address, in the current runtime; each request behaves as the director says.
    pub async fn directed(director: Arc<dyn Director>) -> io::Result<ModelServer> {
        ModelServer::listen((Ipv4Addr::LOCALHOST, 0).into(), Script::default(), Some(director)).await
    }

    async fn listen(
        addr: SocketAddr,
        script: Script,
        director: Option<Arc<dyn Director>>,
    ) -> io::Result<ModelServer> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let stage = Arc::new(Stage {
            play: RwLock::new(Arc::new(Play::of(script))),
            director,
            tally: Arc::new(Tally::default()),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&stage)));
        Ok(ModelServer { addr, stage, task })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// As a client's configuration takes it: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Replaces the script from the next request on; answers under way keep theirs.
    pub fn set(&self, script: Script) {
        let play = Arc::new(Play::of(script));
        *self.stage.play.write().unwrap_or_else(PoisonError::into_inner) = play;
    }

    pub fn served(&self) -> Served {
        self.stage.tally.served()
    }

    pub fn last_request(&self) -> Option<SeenRequest> {
        self.stage.tally.last_request()
    }

    /// The last requests, oldest first; no more than the script remembers.
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.stage.tally.requests()
    }

    /// Closes the listener and every connection, and waits until they are closed.
    pub async fn stop(mut self) {
        self.task.abort();
        // An aborted task ends with an error by its nature.
        let _ = (&mut self.task).await;
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stage {
    fn play(&self) -> Arc<Play> {
        Arc::clone(&self.play.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Accepts until aborted. The connections end with it, since it owns them.
async fn serve(listener: TcpListener, stage: Arc<Stage>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() >= CONNECTIONS_MAX => drop(stream),
                Ok((stream, _)) if stage.play().script.act == Act::Refuse => reset(&stream),
                Ok((stream, _)) => { connections.spawn(converse(stream, Arc::clone(&stage))); }
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, stage: Arc<Stage>) {
    // A failure means that the peer has left already; the conversation then ends by itself.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (play, stage) = (stage.play(), Arc::clone(&stage));
        // Boxed, so that the connection can be taken apart to be reset.
        Box::pin(async move { answer(&play, stage.director.as_deref(), &stage.tally, request).await })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if poll_fn(|cx| connection.poll_without_shutdown(cx)).await.is_err() {
        reset(connection.into_parts().io.inner());
    }
}

/// Makes closing the connection reset it instead of ending it in good order.
fn reset(stream: &TcpStream) {
    // A failure means that it is closed already.
    let _ = stream.set_zero_linger();
}
