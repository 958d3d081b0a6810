//! The gateway under test.

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use gateway::config::Config;
use gateway::node::{Node, Parts};
use http::Method;
use limits::Engine;
use modelsim::{ModelServer, Script};
use serde_json::{Value, json};
use storage::{JournalOptions, LedgerLine, MasterKey, Options, Store};
use tempfile::TempDir;

use crate::client::{Reply, Request};
use crate::clock::ManualClock;

/// The operator's key of every gateway under test.
pub const OPERATOR_KEY: &str = "mgmt_testkit-0123456789-0123456789";

/// A running gateway with endpoints `acme/m1` and `acme/m2`, both served by one simulated model server.
#[derive(Debug)]
pub struct Gateway {
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Its model server.
    pub model: ModelServer,
    config: Config,
    node: Option<Node>,
    store: Option<Store>,
    engine: Arc<Engine>,
    dir: TempDir,
}

/// A workspace with its first management key.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The workspace's id.
    pub id: String,
    /// The whole management key; its scope is `manage`.
    pub key: String,
}

/// A group with one key.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The group's id.
    pub id: String,
    /// The whole key.
    pub key: String,
}

/// What a counter holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    /// The group that declares the limit; in a CASCADING tree the counter is its own.
    pub group: String,
    /// `REQUEST` or `TOKEN`.
    pub kind: String,
    /// `SECOND`, `MINUTE` or `DAY`.
    pub unit: String,
    /// Charged in the present window. A rolling window includes what calls in flight hold.
    pub used: u64,
    /// Held by calls in flight, in no window yet.
    pub pending: u64,
}

impl Reading {
    fn of(limit: &Value) -> Self {
        let text = |field: &str| limit[field].as_str().unwrap().to_owned();
        let number = |field: &str| limit[field].as_u64().unwrap();
        Self {
            group: text("source_group"),
            kind: text("type"),
            unit: text("unit"),
            used: number("used"),
            pending: number("pending"),
        }
    }
}

impl Gateway {
    /// A gateway with default settings.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A gateway with other settings.
    pub async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::defaults().unwrap();
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.server.workers = 2;
        // The clock stands still, so that a test lives in one second.
        config.management.rate_limit_per_second = 0;
        configure(&mut config);
        let mut gateway = Self {
            clock: Arc::default(),
            model: ModelServer::start(Script::default()).await.unwrap(),
            config,
            node: None,
            store: None,
            engine: Arc::default(),
            dir: TempDir::new().unwrap(),
        };
        gateway.open().await;
        for slug in ["acme/m1", "acme/m2"] {
            gateway.endpoint(slug).await;
        }
        gateway
    }

    /// Stops the gateway and starts it again on the same directory.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.open().await;
    }

    /// Stops the gateway in order.
    pub async fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.shut_down().await;
        }
        if let Some(store) = self.store.take() {
            store.close();
        }
    }

    /// Goes on as if the process had been killed at this moment and started again on the same machine: whatever the
    /// calls in flight did afterwards never happened. What has ended before is in the ledger.
    pub async fn kill_and_restart(&mut self) {
        self.node().recorded().await;
        let image = TempDir::new().unwrap();
        copy_tree(self.dir.path(), image.path());
        self.stop().await;
        self.dir = image;
        self.open().await;
    }

    async fn open(&mut self) {
        let engine = Arc::new(Engine::new());
        self.engine = Arc::clone(&engine);
        let options = Options {
            dir: self.dir.path().to_owned(),
            master_key: MasterKey::from_bytes([7; 32]),
            engine: Arc::clone(&engine),
            now: self.clock.now(),
            decisions: self.config.limits.decision_bounds(),
            journal: JournalOptions { segment_len: 128 * 1024, ..self.config.ledger.journal([1; 16]) },
        };
        let store = Store::open(options).unwrap();
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        gateway::keys::operator_key(&store, &*clock, self.dir.path(), Some(OPERATOR_KEY)).await.unwrap();
        self.store = Some(store.clone());
        let parts = Parts { config: &self.config, store, engine, clock, environment: |_| None };
        self.node = Some(Node::start(parts).unwrap());
    }

    /// The gateway that runs.
    pub fn node(&self) -> &Node {
        self.node.as_ref().expect("the gateway runs")
    }

    /// Somebody sets the wall clock back by more than an hour, and the gateway adopts it.
    pub fn set_clock_back(&self, by: Duration) {
        self.clock.set_back(by);
        self.engine.lower_wall(self.clock.now().wall_ms);
    }

    /// What it keeps: for edits and looks that need no route.
    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("the gateway runs")
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.node().addr()
    }

    /// Where it keeps everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A request without a credential.
    pub fn request(&self, method: Method, path: &str) -> Request {
        Request::new(self.addr(), method, path)
    }

    /// A request to management without a credential, wherever management listens.
    pub fn request_of_management(&self, method: Method, path: &str) -> Request {
        Request::new(self.node().admin_addr(), method, path)
    }

    /// A request with the operator's key.
    pub fn manage(&self, method: Method, path: &str) -> Request {
        self.request_of_management(method, path).header("authorization", format!("Bearer {OPERATOR_KEY}"))
    }

    /// A request with another credential.
    pub fn manage_as(&self, key: &str, method: Method, path: &str) -> Request {
        self.request(method, path).header("authorization", format!("Bearer {key}"))
    }

    /// A whole exchange with another credential; `null` sends no body.
    pub async fn send_as(&self, key: &str, method: Method, path: &str, body: Value) -> Reply {
        let request = self.manage_as(key, method, path);
        if body.is_null() { request.send().await } else { request.json(&body).send().await }
    }

    /// Creates a workspace that owns these slug prefixes.
    pub async fn tenant(&self, name: &str, prefixes: &[&str]) -> Tenant {
        let body = json!({ "name": name, "org_prefixes": prefixes });
        let made = self.post("/v1/workspaces", body).await.expect(200).body;
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Tenant { id: text("id"), key: text("management_key") }
    }

    /// Mints a management key; the whole key.
    pub async fn management_key(&self, workspace: &str, scope: &str) -> String {
        let path = format!("/v1/workspaces/{workspace}/management_keys");
        let made = self.post(&path, json!({ "scope": scope })).await.expect(200);
        made.body["key"].as_str().unwrap().to_owned()
    }

    /// The id of the workspace that the gateway began with.
    pub async fn first_workspace(&self) -> String {
        let list = self.get("/v1/workspaces?limit=1").await.expect(200);
        list.body["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// `GET`, with the operator's key.
    pub async fn get(&self, path: &str) -> Reply {
        self.manage(Method::GET, path).send().await
    }

    /// `POST`, with the operator's key.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.manage(Method::POST, path).json(&body).send().await
    }

    /// `PATCH`, with the operator's key.
    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.manage(Method::PATCH, path).json(&body).send().await
    }

    /// `DELETE`, with the operator's key.
    pub async fn delete(&self, path: &str) -> Reply {
        self.manage(Method::DELETE, path).send().await
    }

    /// Creates an endpoint that is served by the simulated model server; its id.
    pub async fn endpoint(&self, slug: &str) -> String {
        self.endpoint_with(slug, json!({})).await
    }

    /// The same with more fields of its target, such as `pricing`, or others.
    pub async fn endpoint_with(&self, slug: &str, fields: Value) -> String {
        let mut target = json!({
            "provider": "OPENAI_COMPATIBLE", "base_url": self.model.base_url(), "target_model": "simulated",
        });
        target.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = self
            .post("/v1/gateway/endpoints", json!({ "slug": slug, "targets": [target] }))
            .await
            .expect(200);
        made.body["id"].as_str().unwrap().to_owned()
    }

    /// Creates a group; its id.
    pub async fn group(&self, external: &str, models: Value, mode: &str, parent: Option<&str>) -> String {
        let body = json!({
            "metadata": { "external_entity_id": external },
            "models": models,
            "hierarchy": { "limit_enforcement": mode, "parent_group_id": parent },
        });
        let made = self.post("/v1/gateway/groups", body).await.expect(200);
        made.body["id"].as_str().unwrap().to_owned()
    }

    /// Mints a key; the whole key.
    pub async fn key(&self, group: &str) -> String {
        let made = self.post(&format!("/v1/gateway/groups/{group}/api_keys"), json!({})).await.expect(200);
        made.body["api_key"].as_str().unwrap().to_owned()
    }

    /// Creates an INDEPENDENT root group with one key.
    pub async fn customer(&self, external: &str, models: Value) -> Customer {
        self.member(external, models, "INDEPENDENT", None).await
    }

    /// Creates a group anywhere, with one key.
    pub async fn member(&self, external: &str, models: Value, mode: &str, parent: Option<&str>) -> Customer {
        let id = self.group(external, models, mode, parent).await;
        let key = self.key(&id).await;
        Customer { id, key }
    }

    /// A short chat call that declares nine tokens of output.
    pub async fn chat(&self, key: &str, model: &str) -> Reply {
        let messages = json!([{ "role": "user", "content": "Say hello." }]);
        self.chat_with(key, json!({ "model": model, "max_tokens": 9, "messages": messages })).await
    }

    /// A chat call with this body.
    pub async fn chat_with(&self, key: &str, body: Value) -> Reply {
        self.chat_request(key).json(&body).send().await
    }

    /// A chat call to be put together.
    pub fn chat_request(&self, key: &str) -> Request {
        self.request(Method::POST, "/v1/chat/completions").header("authorization", format!("Bearer {key}"))
    }

    /// Waits until no call is in flight: for calls whose callers left before their end.
    pub async fn quiet(&self) {
        while self.node().in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// The ledger's line about the call with this `x-request-id`, once everything that has ended is on disk.
    pub async fn entry(&self, request_id: &str) -> Option<LedgerLine> {
        self.node().recorded().await;
        self.node().entry(request_id.parse().expect("a request id")).await.unwrap()
    }

    /// The ledger's lines about the calls that arrived last, newest first, once everything that has ended is on disk:
    /// for calls whose callers left before they were told an id.
    pub async fn entries(&self) -> Vec<LedgerLine> {
        self.node().recorded().await;
        self.node().last_entries(1_000).await.unwrap()
    }

    /// Every counter that binds a group for a slug: its own, then its ancestors'.
    pub async fn readings(&self, group: &str, slug: &str) -> Vec<Reading> {
        let standing = self.get(&format!("/v1/gateway/groups/{group}/limits")).await.expect(200);
        let limits = standing.body["limits"].as_array().unwrap();
        limits.iter().filter(|limit| limit["slug"] == slug).map(Reading::of).collect()
    }

    /// What the usage endpoint says a group has used: `current_usage` of the slug's limit of this type.
    pub async fn used(&self, group: &str, slug: &str, kind: &str) -> Value {
        let usage = self.get(&format!("/v1/gateway/groups/{group}/usage")).await.expect(200);
        let entries = usage.body["usage"][slug].as_array().cloned().unwrap_or_default();
        let entry = entries.iter().find(|entry| entry["type"] == kind);
        entry.map_or(Value::Null, |entry| entry["current_usage"].clone())
    }
}

/// Copies files as they lie there, but for the shared memory of SQLite's log and sockets, which belong to living processes
/// only.
fn copy_tree(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let there = to.join(file.file_name());
        if file.file_type().unwrap().is_socket() {
            continue;
        }
        if file.path().is_dir() {
            std::fs::create_dir(&there).unwrap();
            copy_tree(&file.path(), &there);
        } else if !file.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(file.path(), there).unwrap();
        }
    }
}
