//! The gateway under proof: all of it, on real sockets. In this process, on a clock that is stepped; or the program
//! itself as a process of its own, on the machine's clock.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::{Clock, Now, Version};
use gateway::keys::MANAGEMENT_KEY_VARIABLE;
use gateway::node::{Node, Parts};
use http::Method;
use limits::{CounterKey, Engine, Home, Measure, Owner};
use modelsim::ModelServer;
use serde_json::{Value, json};
use storage::{DecisionBounds, JournalOptions, MasterKey, Options, Store};
use tempfile::TempDir;

use crate::budgets::Shown;
use crate::clerk::{Endpoint, Office, target};
use crate::clock::SteppedClock;
use crate::history::Mode;
use crate::http::Desk;
use crate::stage::Stage;
use crate::world::{self, SLUGS, World};

const OPERATOR_KEY: &str = "mgmt_proof-0123456789-0123456789";
/// Laid over the defaults: short patience, so that a run sees many ends of it.
const SETTINGS: [(&str, &str); 7] = [
    ("TOLLGATE__SERVER__WORKERS", "2"),
    ("TOLLGATE__LIMITS__DRAIN_TIMEOUT", "2s"),
    ("TOLLGATE__UPSTREAM__FIRST_BYTE_TIMEOUT", "1s"),
    ("TOLLGATE__UPSTREAM__IDLE_TIMEOUT", "1s"),
    ("TOLLGATE__UPSTREAM__TOTAL_TIMEOUT", "20s"),
    ("TOLLGATE__MANAGEMENT__RATE_LIMIT_PER_SECOND", "0"),
    ("TOLLGATE__LOG__CALLS", "off"),
];

/// No call outlives its caller by more, by these settings.
const LONGEST: Duration = Duration::from_secs(4);
/// How often is looked for what is waited for.
const POLL: Duration = Duration::from_millis(5);
/// Only guards against what never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway with its model server.
#[derive(Debug)]
pub struct Subject {
    /// Its clock; one that runs beside the machine's, where the gateway is a process of its own.
    pub clock: Arc<SteppedClock>,
    /// Its model server.
    pub model: ModelServer,
    /// What the model server is told.
    pub stage: Arc<Stage>,
    /// Where it listens.
    pub addr: SocketAddr,
    gateway: Gateway,
    dir: TempDir,
}

/// Where it runs.
#[derive(Debug)]
enum Gateway {
    Here { node: Node, store: Store, engine: Arc<Engine> },
    Process(Running),
}

/// A process that ends with this value.
#[derive(Debug)]
struct Running(Child);

/// Whether request ids tell the time of the run's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    /// To the millisecond.
    Exact,
    /// Another clock made them, which may run a little faster or slower.
    Foreign,
}

impl Subject {
    /// Starts everything in this process.
    ///
    /// # Errors
    /// A mode that this gateway does not know; a machine without room.
    pub async fn start(mode: Mode) -> anyhow::Result<Self> {
        let clock = Arc::new(SteppedClock::start());
        let (stage, model) = model(&clock).await?;
        let environment = environment(mode, "127.0.0.1:0".to_owned()).into_iter();
        let config = gateway::config::load(Some(Path::new("/dev/null")), environment)?;
        let dir = TempDir::new()?;
        let engine = Arc::new(Engine::new());
        let store = open(dir.path(), MasterKey::from_bytes([7; 32]), &engine, &clock)?;
        gateway::keys::operator_key(&store, &*clock, dir.path(), Some(OPERATOR_KEY)).await?;
        let as_clock: Arc<dyn Clock> = Arc::<SteppedClock>::clone(&clock);
        let parts = Parts {
            config: &config,
            store: store.clone(),
            engine: Arc::clone(&engine),
            clock: as_clock,
            environment: |_| None,
        };
        let node = Node::start(parts)?;
        let addr = node.addr();
        let gateway = Gateway::Here { node, store, engine };
        Ok(Self { clock, model, stage, addr, gateway, dir })
    }

    /// Starts this program.
    ///
    /// # Errors
    /// A program that does not start or is not ready in time.
    pub async fn start_program(binary: &Path, mode: Mode) -> anyhow::Result<Self> {
        let clock = Arc::new(SteppedClock::start_at(gateway::clock::raw_now().wall_ms));
        let (stage, model) = model(&clock).await?;
        let dir = TempDir::new()?;
        let addr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data-dir").arg(dir.path());
        command.envs(environment(mode, addr.to_string())).env(MANAGEMENT_KEY_VARIABLE, OPERATOR_KEY);
        command.env("TOLLGATE__LOG__LEVEL", "error").current_dir(dir.path()).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("{} does not start", binary.display()))?;
        let gateway = Gateway::Process(Running(child));
        let subject = Self { clock, model, stage, addr, gateway, dir };
        subject.becomes_ready().await?;
        Ok(subject)
    }

    async fn becomes_ready(&self) -> anyhow::Result<()> {
        let ready = async {
            while self.desk().ask(Method::GET, "/v1/workspaces", &Value::Null).await.is_err() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.context("the gateway is not ready")
    }

    /// What its request ids are good for, and whether its clock can be stepped.
    #[must_use]
    pub fn stamps(&self) -> Stamps {
        match self.gateway {
            Gateway::Here { .. } => Stamps::Exact,
            Gateway::Process(_) => Stamps::Foreign,
        }
    }

    /// Waits until no call is in flight and all are on disk.
    ///
    /// # Errors
    /// Calls that stay in flight.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        let quiet = async {
            match &self.gateway {
                Gateway::Here { node, .. } => {
                    while node.in_flight() > 0 {
                        tokio::time::sleep(POLL).await;
                    }
                    node.recorded().await;
                }
                // Whoever left has been answered to, or read on for, within the settings above.
                Gateway::Process(_) => tokio::time::sleep(LONGEST).await,
            }
        };
        tokio::time::timeout(PATIENCE, quiet).await.context("calls stay in flight")
    }

    /// A way to its management API.
    #[must_use]
    pub fn desk(&self) -> Desk {
        Desk::new(self.addr, OPERATOR_KEY)
    }

    /// Sets up the endpoints with their prices, and every group, with a key each. Where the endpoints are.
    ///
    /// # Errors
    /// A group that the gateway does not take.
    pub async fn set_up(&self, world: &mut World) -> anyhow::Result<Vec<Endpoint>> {
        let mut desk = self.desk();
        let mut endpoints = Vec::new();
        for (slug, price) in SLUGS.into_iter().zip(&world.prices) {
            let base_url = self.model.base_url();
            let endpoint = json!({ "slug": slug, "targets": [target(&base_url, price)] });
            let made = desk.must(Method::POST, "/v1/gateway/endpoints", &endpoint).await?;
            endpoints
                .push(Endpoint { path: format!("/v1/gateway/endpoints/{}", text(&made, "id")?), base_url });
        }
        for (at, tree) in world.trees.iter_mut().enumerate() {
            let mode = match tree.mode {
                world::Mode::Independent => "INDEPENDENT",
                world::Mode::Cascading => "CASCADING",
            };
            for group in 0..tree.groups.len() {
                let parent = tree.groups[group].parent.map(|parent| tree.groups[parent].id.clone());
                let body = json!({
                    "metadata": { "external_entity_id": format!("t{at}g{group}") },
                    "models": world::models(&tree.limits[group]),
                    "hierarchy": { "limit_enforcement": mode, "parent_group_id": parent },
                });
                let made = desk.must(Method::POST, "/v1/gateway/groups", &body).await?;
                tree.groups[group].id = text(&made, "id")?;
                let keys = format!("/v1/gateway/groups/{}/api_keys", tree.groups[group].id);
                let made = desk.must(Method::POST, &keys, &json!({})).await?;
                tree.groups[group].key = text(&made, "api_key")?;
                let listed = desk.must(Method::GET, &keys, &Value::Null).await?;
                tree.groups[group].prefix = text(&listed["items"][0], "prefix")?;
            }
        }
        Ok(endpoints)
    }

    /// Where model configs are edited: where the gateway runs in this process.
    #[must_use]
    pub fn office(&self) -> Option<Office> {
        let Gateway::Here { store, .. } = &self.gateway else { return None };
        let workspace = store.snapshot().workspaces().next()?.id;
        Some(Office { store: store.clone(), clock: Arc::clone(&self.clock), workspace })
    }

    /// How every line of every model config stands at this time.
    #[must_use]
    pub fn lines(&self, world: &World, now: Now) -> Vec<Shown> {
        let Gateway::Here { store, engine, .. } = &self.gateway else { return Vec::new() };
        let snapshot = store.snapshot();
        let roots =
            world.trees.iter().filter_map(|tree| tree.groups.first()?.id.parse().ok()).map(Home::Tree);
        let workspaces = snapshot.workspaces().map(|workspace| Home::Workspace(workspace.id));
        let homes: Vec<Home> = roots.chain(workspaces).collect();
        Shown::all(&snapshot, |config, line| {
            let counter = CounterKey { owner: Owner::Line(line.id), measure: Measure::Spend(line.meter) };
            // Its counter is in one of them, wherever that should be.
            let live = homes.iter().filter_map(|home| engine.peek(*home, &counter, Version::default(), now));
            (store.line_used(&snapshot, config, line, now), live.map(|reading| reading.pending).sum())
        })
    }

    /// Stops the gateway and opens its ledger again, as the next start would. A process is killed: whatever it has
    /// answered for must be on disk by now.
    ///
    /// # Errors
    /// A ledger that cannot be opened.
    pub async fn into_ledger(self) -> anyhow::Result<Ledger> {
        let master_key = match self.gateway {
            Gateway::Here { node, store, .. } => {
                node.shut_down().await;
                // The last handle but those of the node.
                store.close();
                MasterKey::from_bytes([7; 32])
            }
            Gateway::Process(running) => {
                drop(running);
                gateway::keys::master_key(self.dir.path(), None)?
            }
        };
        let store = open(self.dir.path(), master_key, &Arc::new(Engine::new()), &self.clock)?;
        Ok(Ledger { store, _dir: self.dir })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a stopped gateway has left on disk.
#[derive(Debug)]
pub struct Ledger {
    /// The store.
    pub store: Store,
    _dir: TempDir,
}

async fn model(clock: &Arc<SteppedClock>) -> anyhow::Result<(Arc<Stage>, ModelServer)> {
    let stage = Arc::new(Stage::new(Arc::clone(clock)));
    let model = ModelServer::directed(Arc::<Stage>::clone(&stage)).await?;
    Ok((stage, model))
}

fn environment(mode: Mode, listen: String) -> Vec<(String, String)> {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut all: Vec<_> = SETTINGS.into_iter().map(own).collect();
    all.push(own(("TOLLGATE__LIMITS__ADMISSION", mode.name())));
    all.push(("TOLLGATE__SERVER__LISTEN".to_owned(), listen));
    all
}

/// Opens the store in this folder, as a start of the gateway does.
pub(crate) fn open(
    dir: &Path,
    master_key: MasterKey,
    engine: &Arc<Engine>,
    clock: &SteppedClock,
) -> anyhow::Result<Store> {
    let decisions = DecisionBounds { in_memory: 1_000, on_disk: 1 << 20 };
    let engine = Arc::clone(engine);
    let options = Options {
        dir: dir.to_owned(),
        master_key,
        engine,
        now: clock.now(),
        decisions,
        journal: JournalOptions::default(),
    };
    Store::open(options).context("the store does not open")
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    let text = value[field].as_str().with_context(|| format!("an answer without `{field}`"))?;
    Ok(text.to_owned())
}
