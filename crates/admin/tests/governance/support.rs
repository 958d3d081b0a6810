//! What the cases share: short ways to do ordinary things, and how a refusal looks.

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Reply};

pub(crate) const CONFIGS: &str = "/api/governance/model-configs";
pub(crate) const BUDGETS: &str = "/api/governance/budgets";
pub(crate) const RATE_LIMITS: &str = "/api/governance/rate-limits";
pub(crate) const PROVIDERS: &str = "/api/governance/providers";
pub(crate) const QUOTA: &str = "/api/governance/virtual-keys/quota";

/// An id of the right form that nobody has.
pub(crate) const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// When the clock of the tests begins.
pub(crate) const BEGIN: &str = "2026-05-13T12:00:00.000Z";

/// Creates a config with the operator's key; the whole answer, whatever it is.
pub(crate) async fn post(gw: &Gateway, body: Value) -> Reply {
    gw.post(CONFIGS, body).await
}

/// Creates a config; the config as it is answered.
#[track_caller]
pub(crate) fn made(gw: &Gateway, body: Value) -> impl Future<Output = Value> {
    let at = std::panic::Location::caller();
    async move {
        let reply = post(gw, body).await;
        assert_eq!(reply.status, 200, "{at}: {}", reply.text);
        reply.body["model_config"].clone()
    }
}

/// Changes a config; the whole answer, whatever it is.
pub(crate) async fn put(gw: &Gateway, config: &Value, body: Value) -> Reply {
    gw.manage(Method::PUT, &path_of(config)).json(&body).send().await
}

/// Changes a config; the config as it is answered.
#[track_caller]
pub(crate) fn changed(gw: &Gateway, config: &Value, body: Value) -> impl Future<Output = Value> {
    let at = std::panic::Location::caller();
    async move {
        let reply = put(gw, config, body).await;
        assert_eq!(reply.status, 200, "{at}: {}", reply.text);
        reply.body["model_config"].clone()
    }
}

/// Reads a config.
pub(crate) async fn read(gw: &Gateway, config: &Value) -> Value {
    gw.get(&path_of(config)).await.expect(200).body["model_config"].clone()
}

pub(crate) fn path_of(config: &Value) -> String {
    format!("{CONFIGS}/{}", text(config, "id"))
}

pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is no text in {value}"))
}

pub(crate) fn budget(max: impl Into<Value>, reset: &str) -> Value {
    json!({ "max_limit": max.into(), "reset_duration": reset })
}

/// The numbers and durations of a list of budgets.
pub(crate) fn budgets(config: &Value) -> Vec<(f64, String)> {
    let rows = config["budgets"].as_array().expect("budgets is always a list").iter();
    rows.map(|row| (row["max_limit"].as_f64().unwrap(), text(row, "reset_duration").to_owned())).collect()
}

/// The ids of a list of rows.
pub(crate) fn ids(rows: &Value) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| text(row, "id").to_owned()).collect()
}

/// A customer who may call both models, and the prefix of its key.
pub(crate) async fn customer(gw: &Gateway, external: &str) -> (Customer, String) {
    let customer = gw.customer(external, json!([{ "slug": "acme/m1" }, { "slug": "acme/m2" }])).await;
    let prefix = prefix(&customer.key).to_owned();
    (customer, prefix)
}

pub(crate) fn prefix(api_key: &str) -> &str {
    api_key.split_once('.').unwrap().0
}

/// Asserts that a reply is a refusal in the form that all refusals of governance have.
#[track_caller]
pub(crate) fn refused(reply: &Reply, status: u16, case: &str) {
    assert_eq!(reply.status, status, "{case}: {}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json", "{case}");
    assert_eq!(fields(&reply.body), ["error", "is_bifrost_error", "status_code"], "{case}");
    assert_eq!(reply.body["is_bifrost_error"], false, "{case}");
    assert_eq!(reply.body["status_code"], status, "{case}");
    assert_eq!(fields(&reply.body["error"]), ["message"], "{case}");
    let message = text(&reply.body["error"], "message");
    assert!(!message.is_empty() && message.ends_with('.'), "{case}: {message}");
}

/// The same, and that its message has these words.
#[track_caller]
pub(crate) fn refused_naming(reply: &Reply, status: u16, words: &[&str]) {
    refused(reply, status, &words.join(" "));
    let message = text(&reply.body["error"], "message");
    words.iter().for_each(|word| assert!(message.contains(word), "{word}: {message}"));
}

/// The names of an object's fields, sorted.
#[track_caller]
pub(crate) fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
