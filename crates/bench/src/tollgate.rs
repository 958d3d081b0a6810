//! Tollgate with everything on: a key at the bottom of a five-level CASCADING tree, request and token
//! limits at every level, the ledger written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clock;
use crate::customers::UPSTREAM_MODEL;
use crate::exchange::Server;
use crate::machine::{Machine, Part};
use crate::process::{Running, free_address};
use crate::subject::Subject;

/// The operator key of a gateway that lives for a minute on the loopback address.
pub(crate) const MANAGEMENT_KEY: &str = "bench-operator-key-0123456789abcdef0123456789";
/// Of a tree.
pub(crate) const LEVELS: usize = 5;
/// A gateway of a million groups may take its time.
const READY_MAX: Duration = Duration::from_secs(120);
const READY_POLL: Duration = Duration::from_millis(2);
/// High enough that nothing is ever refused.
pub(crate) const THRESHOLD: u64 = 1_000_000_000_000_000;
pub(crate) const SLUG: &str = "bench/chat";

/// The workspace's own, built if it is missing or older than its source.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let status = Command::new("cargo").args(["build", "--release", "-p", "gateway"]).status();
    ensure!(status.context("cargo does not start")?.success(), "the gateway does not build");
    let beside = std::env::current_exe()?.with_file_name("tollgate");
    ensure!(beside.exists(), "no binary at {}; run with `cargo run --release`", beside.display());
    Ok(beside)
}

pub(crate) fn start(binary: &Path, machine: Machine, model: SocketAddr) -> anyhow::Result<Subject> {
    let files = tempfile::tempdir()?;
    let mut serving = serve(binary, machine, files.path())?;
    serving.process.keep(files);
    let server = serving.server();
    add_endpoint(&server, &target(model))?;
    let key = add_tree(&server, "l").context("tollgate could not be set up")?;
    Ok(Subject { name: "tollgate".to_owned(), addr: serving.addr, key: Some(key), process: serving.process })
}

/// On a store in `data` below these files, which has its customers already. Calls are priced.
pub(crate) fn start_on(
    binary: &Path,
    machine: Machine,
    model: SocketAddr,
    (name, files): (&'static str, TempDir),
) -> anyhow::Result<Subject> {
    let mut serving = serve(binary, machine, files.path())?;
    serving.process.keep(files);
    let mut target = target(model);
    target["pricing"] = json!({"input_per_million": "0.15", "output_per_million": "0.6"});
    add_endpoint(&serving.server(), &target)?;
    let Serving { addr, process, .. } = serving;
    Ok(Subject { name: name.to_owned(), addr, key: None, process })
}

/// A gateway that answers.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) process: Running,
    pub(crate) addr: SocketAddr,
    /// From its start until it was ready.
    pub(crate) took: Duration,
}

impl Serving {
    /// Its management.
    pub(crate) fn server(&self) -> Server<'static> {
        Server { addr: self.addr, key: MANAGEMENT_KEY }
    }
}

/// Serves from `data` in this folder, which outlives it.
pub(crate) fn serve(binary: &Path, machine: Machine, files: &Path) -> anyhow::Result<Serving> {
    let addr = free_address()?;
    let mut command = machine.command(Part::Subject, binary);
    command.arg("serve").arg("--data-dir").arg(files.join("data"));
    command.arg("--listen").arg(addr.to_string());
    command.env("TOLLGATE_MANAGEMENT_KEY", MANAGEMENT_KEY);
    // One who asks a question after the other is no nuisance here.
    command.env("TOLLGATE__MANAGEMENT__RATE_LIMIT_PER_SECOND", "0");
    // Its own lines would stand between those of the table.
    command.env("TOLLGATE__LOG__LEVEL", "warn");
    command.current_dir(files).stdout(Stdio::null());
    let begun = clock::now();
    let mut process = Running::start(command, None)?;
    let server = Server { addr, key: MANAGEMENT_KEY };
    let ready = || server.get("/healthz/ready").is_ok_and(|status| status == 200);
    process.wait_for(READY_MAX, READY_POLL, ready).context("tollgate")?;
    Ok(Serving { process, addr, took: begun.elapsed() })
}

pub(crate) fn target(model: SocketAddr) -> Value {
    let base_url = format!("http://{model}/v1");
    json!({"provider": "OPENAI_COMPATIBLE", "base_url": base_url, "target_model": UPSTREAM_MODEL})
}

pub(crate) fn add_endpoint(server: &Server<'_>, target: &Value) -> anyhow::Result<()> {
    server.post("/v1/gateway/endpoints", &json!({"slug": SLUG, "targets": [target]}))?;
    Ok(())
}

/// Makes a tree and a key at its bottom. Groups are named by this prefix and their level.
pub(crate) fn add_tree(server: &Server<'_>, prefix: &str) -> anyhow::Result<String> {
    let mut parent = Value::Null;
    for level in 1..=LEVELS {
        let name = format!("{prefix}{level}");
        let hierarchy = json!({"limit_enforcement": "CASCADING", "parent_group_id": parent});
        parent = add_group(server, &group(&name, &model(), &hierarchy))?;
    }
    add_key(server, &parent)
}

/// Makes a group without any limit, and a key of it.
pub(crate) fn add_unlimited(server: &Server<'_>) -> anyhow::Result<String> {
    let alone = json!({"limit_enforcement": "INDEPENDENT", "parent_group_id": null});
    let group = add_group(server, &group("unlimited", &json!({"slug": SLUG}), &alone))?;
    add_key(server, &group)
}

/// A group as management takes it: with that name, for that model.
pub(crate) fn group(name: &str, model: &Value, hierarchy: &Value) -> Value {
    json!({"metadata": {"external_entity_id": name}, "models": [model], "hierarchy": hierarchy})
}

/// The model, with limits on requests and tokens that are never reached.
pub(crate) fn model() -> Value {
    let limit = |kind: &str, unit: &str| json!({"type": kind, "unit": unit, "threshold": THRESHOLD});
    json!({
        "slug": SLUG,
        "rate_limits": [limit("REQUEST", "MINUTE"), limit("TOKEN", "MINUTE")],
        "usage_limits": [limit("TOKEN", "DAY")],
    })
}

fn add_group(server: &Server<'_>, group: &Value) -> anyhow::Result<Value> {
    let made = server.post("/v1/gateway/groups", group)?;
    made.get("id").cloned().context("a new group has an id")
}

fn add_key(server: &Server<'_>, group: &Value) -> anyhow::Result<String> {
    let group = group.as_str().context("an id is text")?;
    let key = server.post(&format!("/v1/gateway/groups/{group}/api_keys"), &json!({}))?;
    Ok(key.get("api_key").and_then(Value::as_str).context("a new key is shown")?.to_owned())
}
