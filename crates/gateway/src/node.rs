//! A running gateway: storage, workers, management and upkeep, put together and taken down in order.
//!
//! Threads: data-plane workers are current-thread runtimes with a listener of their own each; management runs on a
//! runtime of its own and is handed its requests by channel, so that an edit of the configuration never stands in a
//! call's way; deliveries to webhooks have a thread, and so does storage.
//!
//! Begins at [`Node::start`].

mod accept;
mod audit;
mod connection;
mod delivery;
mod dispatch;
mod farewell;
mod framing;
mod guard;
mod listener;
mod management;
mod own;
mod say;
mod scrape;
mod tls;
mod turn;
mod upkeep;
mod wiring;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use domain::{Clock, RequestId};
use limits::Engine;
use outbound::Dialer;
use proxy::{Shared, Upstream, Worker};
use storage::{LedgerLine, Store, Unavailable};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use webhooks::Tally;

pub(crate) use self::accept::Door;
use self::accept::Server;
pub(crate) use self::audit::Auditor;
use self::delivery::Delivery;
use self::dispatch::Dispatch;
use self::management::{House, Management};
pub(crate) use self::own::Own;
pub(crate) use self::scrape::METRICS;
pub(crate) use self::tls::Tls;
pub(crate) use self::wiring::admin_settings;
use crate::config::Config;

/// What a gateway is started with.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The opened store.
    pub store: Store,
    /// The engine that the store publishes to.
    pub engine: Arc<Engine>,
    /// The clock everything runs on.
    pub clock: Arc<dyn Clock>,
    /// Reads a variable of the environment, for targets that name one.
    pub environment: fn(&str) -> Option<String>,
}

/// How far a gateway is on its way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serving.
    Open,
    /// No new connections; kept-alive ones hear that they should go elsewhere.
    Closing,
    /// The last calls have ended, and so do connections.
    Ending,
    /// Whatever is left is dropped.
    Closed,
}

/// A running gateway.
#[derive(Debug)]
pub struct Node {
    addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
    shared: Arc<Shared>,
    store: Store,
    deliveries: Arc<Tally>,
    tls: Option<Tls>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
    drain_delay: Duration,
    shutdown_grace: Duration,
}

impl Node {
    /// Starts serving.
    ///
    /// # Errors
    /// An address that is taken, or a machine that gives no threads.
    pub fn start(parts: Parts<'_>) -> anyhow::Result<Self> {
        let config = parts.config;
        let workers = worker_count(config.server.workers);
        let tls = Tls::of(config)?;
        let listeners = listener::bind(config.server.listen, workers)
            .with_context(|| format!("cannot listen on {}", config.server.listen))?;
        let addr = listener::address(&listeners)?;
        let admin_listener = match config.server.admin_listen {
            Some(address) => {
                listener::bind(address, 1).with_context(|| format!("cannot listen on {address}"))?.pop()
            }
            None => None,
        };
        let admin_addr = admin_listener.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
        let own: Vec<SocketAddr> = admin_addr.into_iter().chain([addr]).collect();
        let settings = wiring::proxy_settings(config, parts.environment);
        let dialer = Dialer::new(wiring::dialer_settings(config, &own)).context("TLS cannot be set up")?;
        let dialer = Arc::new(dialer);
        let idle_max = settings.upstream.idle_max;
        let shared =
            Shared::new(parts.store.clone(), Arc::clone(&parts.engine), Arc::clone(&parts.clock), settings);
        let upstream = || Upstream::new(Arc::clone(&dialer), idle_max, Arc::clone(&parts.clock));
        let (phase, _) = watch::channel(Phase::Open);
        let door = Door::new(config.server.max_connections);
        let (delivery, delivery_thread) = Delivery::start(&parts, &own, phase.subscribe())?;
        let deliveries = Arc::clone(delivery.tally());
        let scrape = wiring::scrape(&parts, &shared, &door, &deliveries);
        let house: House = (upstream(), delivery, scrape);
        let (management, admin_thread) = Management::start(&parts, &shared, house, phase.subscribe())?;
        let server =
            Server { door, patience: wiring::patience(config), phase: phase.subscribe(), tls: tls.clone() };
        let mut threads = vec![admin_thread, delivery_thread];
        #[cfg(feature = "otel")]
        threads.extend(crate::traces::attach(&shared, config, phase.subscribe())?);
        if let Some(listener) = admin_listener {
            let dispatch = Dispatch::management_only(management.clone(), Arc::clone(&shared));
            threads.push(accept::spawn("admin", listener, server.clone(), dispatch)?);
        }
        let shown = if admin_addr.is_some() { None } else { Some(management) };
        for (at, listener) in listeners.into_iter().enumerate() {
            let worker = Worker::new(Arc::clone(&shared), upstream());
            let dispatch = Dispatch::new(worker, shown.clone(), Arc::clone(&shared));
            threads.push(accept::spawn(&format!("worker-{at}"), listener, server.clone(), dispatch)?);
        }
        Ok(Self {
            addr,
            admin_addr,
            shared,
            store: parts.store,
            deliveries,
            tls,
            phase,
            threads,
            drain_delay: config.server.drain_delay,
            shutdown_grace: config.server.shutdown_grace,
        })
    }

    /// Where callers connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where management is served.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr.unwrap_or(self.addr)
    }

    /// Calls admitted and not settled yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight()
    }

    /// How many attempts to deliver billing events ended how since the start.
    #[must_use]
    pub fn deliveries(&self) -> &Tally {
        &self.deliveries
    }

    /// Reads the TLS certificate and its key again, for connections to come. Whether there is one.
    ///
    /// # Errors
    /// Files that cannot be read or do not belong together; what was in force stays so.
    pub fn reload_tls(&self) -> anyhow::Result<bool> {
        self.tls.as_ref().map_or(Ok(false), |tls| tls.reload().map(|()| true))
    }

    /// Ends when every call that has been settled is on disk.
    pub fn recorded(&self) -> impl Future<Output = ()> + Send + use<> {
        let store = self.store.clone();
        async move { store.flush().await }
    }

    /// The ledger's line about a call, as far as it is on disk.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn entry(&self, request: RequestId) -> Result<Option<LedgerLine>, Unavailable> {
        self.store.entry(request).await
    }

    /// The ledger's lines about the calls that arrived last, as far as they are on disk, newest first; no more than
    /// `most`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_entries(&self, most: u16) -> Result<Vec<LedgerLine>, Unavailable> {
        self.store.last_entries(most).await
    }

    /// Takes the gateway down: not ready, then no new calls, then the rest settles, then everything is on disk.
    pub async fn shut_down(self) {
        self.shared.start_leaving();
        tokio::time::sleep(self.drain_delay).await;
        self.shared.start_draining();
        self.phase.send_replace(Phase::Closing);
        let deadline = Instant::now() + self.shutdown_grace;
        let _ = timeout_at(deadline, dispatch::calls_end(&self.shared)).await;
        self.phase.send_replace(Phase::Ending);
        let threads = self.threads;
        let all_ended = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| drop(t.join())));
        tokio::pin!(all_ended);
        if timeout_at(deadline, &mut all_ended).await.is_err() {
            tracing::warn!(in_flight = self.shared.in_flight(), "calls did not finish in time and are cut");
            self.phase.send_replace(Phase::Closed);
            let _ = all_ended.await;
        }
        self.store.flush().await;
    }
}

fn worker_count(wanted: usize) -> usize {
    match wanted {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        wanted => wanted,
    }
}
