//! `tollgate demo`: everything at once, in a temporary directory that goes with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use domain::destination::BaseUrl;
use modelsim::{ModelServer, Script};
use serde_json::{Value, json};

use super::client::{Client, Form};
use super::output::say;
use super::serve;
use super::signals::Signals;
use crate::config::{Config, LogLevel};

/// Calls a minute that the demo's customer may make.
const CALLS_A_MINUTE: u64 = 5;

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Port to listen on, on this machine only; 0 takes any free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

pub(super) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let mut config = Config::defaults()?;
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    // Whoever tries webhooks has a receiver on this machine.
    config.webhooks.allow_private = true;
    // What people see first is what to paste, not a log.
    config.log.level = LogLevel::Warn;
    crate::log::start(&config.log);
    let mut signals = Signals::catch()?;
    let dir = tempfile::tempdir().context("no temporary directory")?;
    let model = ModelServer::start(script()).await.context("the simulated model server cannot start")?;
    let operator_key = format!("mgmt_demo{}", storage::random_base62(32));
    let running = serve::start(&config, dir.path(), Some(&operator_key)).await?;
    let base_url = format!("http://{}", running.node.addr());
    let customer_key = furnish(&base_url, &operator_key, &model.base_url()).await?;
    introduce(&base_url, &operator_key, &customer_key)?;
    signals.stop(|| tracing::warn!("SIGHUP: the demo has nothing to reload")).await;
    signals.then_exit_at_once(running.node.recorded());
    running.node.shut_down().await;
    say("")?;
    say("Stopped; the temporary directory is gone.")
}

/// A model server that speaks slowly enough to be watched.
fn script() -> Script {
    Script {
        word: "toll ".to_owned(),
        completion_tokens: 20,
        between_chunks: Duration::from_millis(60),
        ..Script::default()
    }
}

/// An endpoint, a two-level tree with limits and one key, made through the management API like anybody's.
async fn furnish(base_url: &str, operator_key: &str, model_url: &str) -> anyhow::Result<String> {
    let url: BaseUrl = base_url.parse().map_err(|why| anyhow::anyhow!("{why}"))?;
    let client = Client::new(url, operator_key, Form::Json)?;
    let target =
        json!({ "provider": "OPENAI_COMPATIBLE", "base_url": model_url, "target_model": "simulated" });
    client.post("/v1/gateway/endpoints", &json!({ "slug": "demo/chat", "targets": [target] })).await?;
    let reseller = group("reseller", &Value::Null, CALLS_A_MINUTE * 20);
    let reseller = client.post("/v1/gateway/groups", &reseller).await?;
    let customer =
        client.post("/v1/gateway/groups", &group("customer", &reseller["id"], CALLS_A_MINUTE)).await?;
    let id = customer["id"].as_str().context("the new group has no id")?;
    let key = client.post(&format!("/v1/gateway/groups/{id}/api_keys"), &json!({ "name": "demo" })).await?;
    Ok(key["api_key"].as_str().context("the new key is missing")?.to_owned())
}

fn group(name: &str, parent: &Value, calls_a_minute: u64) -> Value {
    json!({
        "metadata": { "external_entity_id": name, "name": name },
        "models": [{
            "slug": "demo/chat",
            "rate_limits": [
                { "type": "REQUEST", "unit": "MINUTE", "threshold": calls_a_minute },
                { "type": "TOKEN", "unit": "MINUTE", "threshold": calls_a_minute * 2_000 },
            ],
            "usage_limits": [{ "type": "TOKEN", "unit": "DAY", "threshold": calls_a_minute * 200_000 }],
        }],
        "hierarchy": { "limit_enforcement": "CASCADING", "parent_group_id": parent },
    })
}

fn introduce(base_url: &str, operator_key: &str, customer_key: &str) -> anyhow::Result<()> {
    let body = r#"{"model":"demo/chat","messages":[{"role":"user","content":"Hello"}]}"#;
    let streamed = r#"{"model":"demo/chat","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    let curl = format!("{base_url}/v1/chat/completions -H 'Authorization: Bearer {customer_key}'");
    say(&format!(
        "Tollgate demo\n\n\
         base URL      {base_url}/v1\n\
         customer key  {customer_key}   ({CALLS_A_MINUTE} calls a minute, under a reseller with {} for all its customers)\n\
         operator key  {operator_key}\n\n\
         A whole answer:\n  curl -s {curl} -d '{body}'\n\n\
         A streamed answer:\n  curl -sN {curl} -d '{streamed}'\n\n\
         A refusal that explains itself (the limit is {CALLS_A_MINUTE} calls a minute):\n  \
         for i in 1 2 3 4 5 6; do curl -s -w ' %{{http_code}}\\n' {curl} -d '{body}'; done\n\n\
         The tree: tollgate groups tree --url {base_url} --key {operator_key}\n\n\
         Ctrl-C stops everything and removes it.",
        CALLS_A_MINUTE * 20
    ))
}
