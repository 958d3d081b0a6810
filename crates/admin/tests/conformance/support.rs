//! What the cases share: bodies, short ways to do ordinary things, and how a refusal looks.

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const GROUPS: &str = "/v1/gateway/groups";
pub(crate) const ENDPOINTS: &str = "/v1/gateway/endpoints";
pub(crate) const CHILD_EXCEEDS_PARENT: &str = "Child group exceeds parent group limit.";

pub(crate) fn limit(kind: &str, unit: &str, threshold: u64) -> Value {
    json!({"type": kind, "unit": unit, "threshold": threshold})
}

pub(crate) fn tok_min(threshold: u64) -> Value {
    limit("TOKEN", "MINUTE", threshold)
}

/// A model entry for `acme/m1`, with limits sorted into the list they belong to.
pub(crate) fn m1(limits: &[Value]) -> Value {
    model("acme/m1", limits)
}

pub(crate) fn model(slug: &str, limits: &[Value]) -> Value {
    let (daily, rolling): (Vec<_>, Vec<_>) = limits.iter().cloned().partition(|limit| limit["unit"] == "DAY");
    json!({"slug": slug, "rate_limits": rolling, "usage_limits": daily})
}

/// The body of a group.
pub(crate) fn body(external: &str, models: &[Value], mode: &str, parent: Option<&str>) -> Value {
    json!({
        "metadata": {"name": null, "external_entity_id": external},
        "models": models,
        "hierarchy": {"limit_enforcement": mode, "parent_group_id": parent},
    })
}

/// The body of an INDEPENDENT root that may call `acme/m1` without limits.
pub(crate) fn plain(external: &str) -> Value {
    body(external, &[m1(&[])], "INDEPENDENT", None)
}

/// `plain`, with one value put at a JSON pointer. The place must exist or be a new field of an object.
pub(crate) fn plain_with(pointer: &str, value: Value) -> Value {
    let mut body = plain("case");
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[field] = value;
    body
}

/// `plain`, without the field at a JSON pointer.
pub(crate) fn plain_without(pointer: &str) -> Value {
    let mut body = plain("case");
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
    body
}

pub(crate) fn group_path(id: &str) -> String {
    format!("{GROUPS}/{id}")
}

/// Creates a group and answers its id.
#[track_caller]
pub(crate) fn created(gw: &Gateway, body: Value) -> impl Future<Output = String> {
    let at = std::panic::Location::caller();
    async move {
        let reply = gw.post(GROUPS, body).await;
        assert_eq!(reply.status, 200, "{at}: {:?}", reply.body);
        reply.body["id"].as_str().unwrap().to_owned()
    }
}

/// A chain of groups, root first, all of one mode and each with its own models; answers their ids.
pub(crate) async fn chain(gw: &Gateway, mode: &str, levels: &[&[Value]]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for (level, models) in levels.iter().enumerate() {
        let body = body(&format!("level_{level}"), models, mode, ids.last().map(String::as_str));
        ids.push(created(gw, body).await);
    }
    ids
}

pub(crate) fn prefix(api_key: &str) -> &str {
    api_key.split_once('.').unwrap().0
}

/// A request with the operator's key and a body as it stands.
pub(crate) async fn send(gw: &Gateway, method: Method, path: &str, body: &[u8]) -> Reply {
    gw.manage(method, path).body(body.to_vec()).send().await
}

/// A call on the data plane; answers its status.
pub(crate) async fn chat(gw: &Gateway, key: &str, slug: &str) -> u16 {
    gw.chat(key, slug).await.status
}

/// Asserts that a reply is a refusal in the form that all refusals have.
#[track_caller]
pub(crate) fn refused(reply: &Reply, status: u16, case: &str) {
    assert_eq!(reply.status, status, "{case}: {:?}", reply.body);
    let code = match status {
        400 => "VALIDATION_ERROR",
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        413 => "PAYLOAD_TOO_LARGE",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        other => panic!("{case}: no refusal has the status {other}"),
    };
    assert_eq!(fields(&reply.body), ["code", "message"], "{case}");
    assert_eq!(reply.body["code"], code, "{case}");
    let message = reply.body["message"].as_str().unwrap();
    assert!(!message.is_empty() && message.ends_with('.'), "{case}: {message}");
}

/// The names of an object's fields, sorted.
#[track_caller]
pub(crate) fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// What binds a group for a slug, as sorted lines `TYPE/UNIT THRESHOLD SOURCE`.
pub(crate) async fn effective(gw: &Gateway, id: &str, slug: &str) -> Vec<String> {
    let group = gw.get(&group_path(id)).await.body;
    let models = group["effective_models"].as_array().unwrap();
    let model = models.iter().find(|model| model["slug"] == slug).expect("the slug is granted");
    let lists = [&model["rate_limits"], &model["usage_limits"]];
    let limits = lists.into_iter().flat_map(|list| list.as_array().unwrap());
    let mut lines: Vec<String> = limits
        .map(|limit| {
            let text = |field: &str| limit[field].as_str().unwrap().to_owned();
            format!("{}/{} {} {}", text("type"), text("unit"), limit["threshold"], text("source_group"))
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// A request whose body is still to come, once the gateway has let it in and waits for the rest.
pub(crate) async fn begun(gw: &Gateway, key: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gw.addr()).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Api-Key {key}\r\nexpect: 100-continue\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100", "the body is waited for, so the key was taken");
    stream
}
