//! Tollgate with everything on: a key at the bottom of a five-level CASCADING tree, request and token
//! limits at every level, the ledger written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::customers::UPSTREAM_MODEL;
use crate::exchange::Server;
use crate::machine::{Machine, Part};
use crate::process::{Running, free_address};
use crate::subject::Subject;

/// The operator key of a gateway that lives for a minute on the loopback address.
pub(crate) const MANAGEMENT_KEY: &str = "bench-operator-key-0123456789abcdef0123456789";
const LEVELS: usize = 5;
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
    let (mut process, addr) = launch(binary, machine, tempfile::tempdir()?)?;
    let server = ready(&mut process, addr)?;
    let key = set_up(&server, model).context("tollgate could not be set up")?;
    Ok(Subject {
        name: "tollgate",
        doing: "key, five-level tree, 15 limits, ledger",
        addr,
        key: Some(key),
        process,
    })
}

/// On a store in `data` below these files, which has its customers already. Calls are priced.
pub(crate) fn start_on(
    binary: &Path,
    machine: Machine,
    model: SocketAddr,
    (name, files): (&'static str, TempDir),
) -> anyhow::Result<Subject> {
    let (mut process, addr) = launch(binary, machine, files)?;
    let server = ready(&mut process, addr)?;
    let mut target = target(model);
    target["pricing"] = json!({"input_per_million": "0.15", "output_per_million": "0.6"});
    server.post("/v1/gateway/endpoints", &json!({"slug": SLUG, "targets": [target]}))?;
    Ok(Subject { name, doing: "", addr, key: None, process })
}

fn launch(binary: &Path, machine: Machine, files: TempDir) -> anyhow::Result<(Running, SocketAddr)> {
    let addr = free_address()?;
    let mut command = machine.command(Part::Subject, binary);
    command.arg("serve").arg("--data-dir").arg(files.path().join("data"));
    command.arg("--listen").arg(addr.to_string());
    command.env("TOLLGATE_MANAGEMENT_KEY", MANAGEMENT_KEY);
    // One who asks a question after the other is no nuisance here.
    command.env("TOLLGATE__MANAGEMENT__RATE_LIMIT_PER_SECOND", "0");
    // Its own lines would stand between those of the table.
    command.env("TOLLGATE__LOG__LEVEL", "warn");
    command.current_dir(files.path()).stdout(Stdio::null());
    Ok((Running::start(command, Some(files))?, addr))
}

fn ready(process: &mut Running, addr: SocketAddr) -> anyhow::Result<Server<'static>> {
    let server = Server { addr, key: MANAGEMENT_KEY };
    let ready = || server.get("/healthz/ready").is_ok_and(|status| status == 200);
    process.wait_until(ready).context("tollgate")?;
    Ok(server)
}

fn target(model: SocketAddr) -> Value {
    let base_url = format!("http://{model}/v1");
    json!({"provider": "OPENAI_COMPATIBLE", "base_url": base_url, "target_model": UPSTREAM_MODEL})
}

/// Makes the endpoint, the tree and a key at its bottom.
fn set_up(server: &Server<'_>, model: SocketAddr) -> anyhow::Result<String> {
    server.post("/v1/gateway/endpoints", &json!({"slug": SLUG, "targets": [target(model)]}))?;
    let mut parent = Value::Null;
    for level in 1..=LEVELS {
        let made = server.post("/v1/gateway/groups", &group(level, &parent))?;
        parent = made.get("id").cloned().context("a new group has an id")?;
    }
    let group = parent.as_str().context("an id is text")?;
    let key = server.post(&format!("/v1/gateway/groups/{group}/api_keys"), &json!({}))?;
    Ok(key.get("api_key").and_then(Value::as_str).context("a new key is shown")?.to_owned())
}

fn group(level: usize, parent: &Value) -> Value {
    let limit = |kind: &str, unit: &str| json!({"type": kind, "unit": unit, "threshold": THRESHOLD});
    json!({
        "metadata": {"external_entity_id": format!("l{level}")},
        "models": [{
            "slug": SLUG,
            "rate_limits": [limit("REQUEST", "MINUTE"), limit("TOKEN", "MINUTE")],
            "usage_limits": [limit("TOKEN", "DAY")],
        }],
        "hierarchy": {"limit_enforcement": "CASCADING", "parent_group_id": parent},
    })
}
