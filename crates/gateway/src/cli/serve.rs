//! `tollgate serve`: from configuration to a running gateway, and back down.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::Clock;
use limits::Engine;
use storage::{OpenError, Options, Store};

use super::signals::Signals;
use super::{Usage, descriptors, environment, environment_variables};
use crate::clock::{Step, SystemClock, boot_id, raw_now};
use crate::config::{self, Config};
use crate::keys::{self, MANAGEMENT_KEY_FILE_VARIABLE, MANAGEMENT_KEY_VARIABLE, MASTER_KEY_VARIABLE};
use crate::node::{Node, Parts};
use crate::prices::{self, PriceFile};

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Configuration file; without it ./tollgate.toml is read if it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, default_value = "tollgate-data")]
    data_dir: PathBuf,
    /// Where callers connect; overrides server.listen.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// A listener of its own for management; overrides `server.admin_listen`.
    #[arg(long)]
    admin_listen: Option<SocketAddr>,
}

/// A gateway and what keeps it going.
pub(super) struct Running {
    pub(super) node: Node,
    pub(super) operator_key: keys::OperatorKey,
    prices: Arc<PriceFile>,
}

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let mut config =
        config::load(args.config.as_deref(), environment_variables()).map_err(|e| Usage(format!("{e:#}")))?;
    config.server.listen = args.listen.unwrap_or(config.server.listen);
    config.server.admin_listen = args.admin_listen.or(config.server.admin_listen);
    crate::log::start(&config.log);
    descriptors::take(config.server.max_connections);
    let mut signals = Signals::catch()?;
    let given = management_key()?;
    let running = start(&config, &args.data_dir, given.as_deref()).await?;
    running.operator_key.announce()?;
    warn_if_exposed(&config);
    let (addr, admin) = (running.node.addr(), running.node.admin_addr());
    tracing::info!(%addr, %admin, data_dir = %args.data_dir.display(), "serving");
    signals.stop(|| reload(&running)).await;
    tracing::info!("stopping; calls in flight may finish");
    signals.then_exit_at_once(running.node.recorded());
    running.node.shut_down().await;
    tracing::info!("stopped");
    Ok(())
}

/// Opens the store, starts the gateway, and sees to it that somebody can manage it.
pub(super) async fn start(
    config: &Config,
    data_dir: &Path,
    management_key: Option<&str>,
) -> anyhow::Result<Running> {
    // Before anything is made: a file that is wrong leaves no trace of a start.
    let priced = config.prices.file.as_deref().map(prices::read).transpose()?;
    create_private_dir(data_dir).with_context(|| format!("cannot create {}", data_dir.display()))?;
    let engine = Arc::new(Engine::new());
    let store = open(config, data_dir, &engine)?;
    let (clock, step) = SystemClock::start(store.last_recorded_ms());
    let clock = Arc::new(clock);
    tokio::spawn(keep_time(Arc::clone(&clock), Arc::clone(&engine), step));
    let clock: Arc<dyn Clock> = clock;
    let operator_key = keys::operator_key(&store, &*clock, data_dir, management_key).await?;
    let (path, shared) = (config.prices.file.clone(), (store.clone(), Arc::clone(&clock)));
    let prices = Arc::new(PriceFile::start(path, priced, shared).await?);
    let node = Node::start(Parts { config, store, engine, clock, environment })?;
    Ok(Running { node, operator_key, prices })
}

fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Opens the store with its master key.
pub(super) fn open(config: &Config, data_dir: &Path, engine: &Arc<Engine>) -> anyhow::Result<Store> {
    let master_key = keys::master_key(data_dir, environment(MASTER_KEY_VARIABLE).as_deref())?;
    let options = Options {
        dir: data_dir.to_owned(),
        master_key,
        engine: Arc::clone(engine),
        now: raw_now(),
        decisions: config.limits.decision_bounds(),
        journal: config.ledger.journal(boot_id()),
    };
    match Store::open(options) {
        Ok(store) => Ok(store),
        Err(error @ OpenError::Locked { .. }) => Err(anyhow::Error::new(error)),
        Err(error) => Err(error).with_context(|| format!("cannot open the store in {}", data_dir.display())),
    }
}

/// The operator's key from the environment, itself or by file.
fn management_key() -> anyhow::Result<Option<String>> {
    if let Some(key) = environment(MANAGEMENT_KEY_VARIABLE) {
        return checked(key.trim().to_owned()).map(Some);
    }
    let Some(file) = environment(MANAGEMENT_KEY_FILE_VARIABLE) else { return Ok(None) };
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    checked(text.trim().to_owned()).map(Some)
}

fn checked(key: String) -> anyhow::Result<String> {
    match keys::check_given(&key) {
        Ok(()) => Ok(key),
        Err(error) => Err(Usage(error.to_string()).into()),
    }
}

/// Follows the machine's wall clock, and lowers stored times when it was set far back.
async fn keep_time(clock: Arc<SystemClock>, engine: Arc<Engine>, first: Step) {
    let mut step = first;
    loop {
        if let Step::SetBack { wall_ms } = step {
            tracing::error!(wall_ms, "the machine's clock was set back by more than an hour and is followed");
            engine.lower_wall(wall_ms);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        step = clock.observe();
    }
}

/// What SIGHUP does.
fn reload(running: &Running) {
    let prices = Arc::clone(&running.prices);
    match running.node.reload_tls() {
        Ok(true) => tracing::info!(
            "SIGHUP: new connections get the TLS certificate as it is now; every other setting needs a restart"
        ),
        Ok(false) if prices.is_set() => {}
        Ok(false) => {
            tracing::warn!(
                "SIGHUP: without TLS and prices.file there is nothing to reload; settings need a restart"
            );
        }
        Err(error) => {
            let cause = format!("{error:#}");
            tracing::error!(
                cause,
                "SIGHUP: the TLS certificate cannot be read; the former one stays in force"
            );
        }
    }
    tokio::spawn(async move { prices.reload().await });
}

fn warn_if_exposed(config: &Config) {
    let listen = config.server.listen;
    if !listen.ip().is_loopback() && config.server.admin_listen.is_none() {
        tracing::warn!(%listen, "management is reachable wherever callers are; set server.admin_listen to part them");
    }
}
