//! The gateway under proof: all of it, on real sockets, on a clock that is stepped.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use domain::Clock;
use gateway::node::{Node, Parts};
use http::Method;
use limits::Engine;
use modelsim::ModelServer;
use serde_json::{Value, json};
use storage::{MasterKey, Options, Store};
use tempfile::TempDir;

use crate::clock::SteppedClock;
use crate::history::Mode;
use crate::http::Desk;
use crate::stage::Stage;
use crate::world::{self, SLUGS, World};

const OPERATOR_KEY: &str = "mgmt_proof-0123456789-0123456789";
/// Laid over the defaults: short patience, so that a run sees many ends of it.
const SETTINGS: [(&str, &str); 8] = [
    ("TOLLGATE__SERVER__LISTEN", "127.0.0.1:0"),
    ("TOLLGATE__SERVER__WORKERS", "2"),
    ("TOLLGATE__LIMITS__DRAIN_TIMEOUT", "2s"),
    ("TOLLGATE__UPSTREAM__FIRST_BYTE_TIMEOUT", "1s"),
    ("TOLLGATE__UPSTREAM__IDLE_TIMEOUT", "1s"),
    ("TOLLGATE__UPSTREAM__TOTAL_TIMEOUT", "20s"),
    ("TOLLGATE__MANAGEMENT__RATE_LIMIT_PER_SECOND", "0"),
    ("TOLLGATE__LOG__CALLS", "off"),
];

/// A gateway with its model server.
#[derive(Debug)]
pub struct Subject {
    /// Its clock.
    pub clock: Arc<SteppedClock>,
    /// Its model server.
    pub model: ModelServer,
    /// What the model server is told.
    pub stage: Arc<Stage>,
    /// The gateway.
    pub node: Node,
    dir: TempDir,
}

impl Subject {
    /// Starts everything.
    ///
    /// # Errors
    /// A mode that this gateway does not know; a machine without room.
    pub async fn start(mode: Mode) -> anyhow::Result<Self> {
        let clock = Arc::new(SteppedClock::start());
        let stage = Arc::new(Stage::new(Arc::clone(&clock)));
        let model = ModelServer::directed(Arc::<Stage>::clone(&stage)).await?;
        let admission = ("TOLLGATE__LIMITS__ADMISSION", mode.name());
        let environment = SETTINGS.into_iter().chain([admission]);
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = gateway::config::load(Some(Path::new("/dev/null")), environment)?;
        let dir = TempDir::new()?;
        let engine = Arc::new(Engine::new());
        let store = open(dir.path(), &engine, &clock)?;
        gateway::keys::operator_key(&store, &*clock, dir.path(), Some(OPERATOR_KEY)).await?;
        let as_clock: Arc<dyn Clock> = Arc::<SteppedClock>::clone(&clock);
        let node =
            Node::start(Parts { config: &config, store, engine, clock: as_clock, environment: |_| None })?;
        Ok(Self { clock, model, stage, node, dir })
    }

    /// A way to its management API.
    #[must_use]
    pub fn desk(&self) -> Desk {
        Desk::new(self.node.addr(), OPERATOR_KEY)
    }

    /// Sets up the endpoints and every group, with a key each.
    ///
    /// # Errors
    /// A group that the gateway does not take.
    pub async fn set_up(&self, world: &mut World) -> anyhow::Result<()> {
        let mut desk = self.desk();
        for slug in SLUGS {
            let target = json!({
                "provider": "OPENAI_COMPATIBLE", "base_url": self.model.base_url(), "target_model": "simulated",
            });
            let endpoint = json!({ "slug": slug, "targets": [target] });
            desk.must(Method::POST, "/v1/gateway/endpoints", &endpoint).await?;
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
            }
        }
        Ok(())
    }

    /// Stops the gateway in order and opens its ledger again, as the next start would.
    ///
    /// # Errors
    /// A ledger that cannot be opened.
    pub async fn into_ledger(self) -> anyhow::Result<Ledger> {
        self.node.shut_down().await;
        let store = open(self.dir.path(), &Arc::new(Engine::new()), &self.clock)?;
        Ok(Ledger { store, _dir: self.dir })
    }
}

/// What a stopped gateway has left on disk.
#[derive(Debug)]
pub struct Ledger {
    /// The store.
    pub store: Store,
    _dir: TempDir,
}

fn open(dir: &Path, engine: &Arc<Engine>, clock: &SteppedClock) -> anyhow::Result<Store> {
    let master_key = MasterKey::from_bytes([7; 32]);
    let options = Options { dir: dir.to_owned(), master_key, engine: Arc::clone(engine), now: clock.now() };
    Store::open(options).context("the store does not open")
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    let text = value[field].as_str().with_context(|| format!("an answer without `{field}`"))?;
    Ok(text.to_owned())
}
