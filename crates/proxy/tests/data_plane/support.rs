//! What the tests say again and again: models with limits, calls in numbers, what was charged, raw connections.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub(crate) const M1: &str = "acme/m1";
pub(crate) const M2: &str = "acme/m2";
/// Daily limits that no test reaches: they make use visible.
pub(crate) const COUNTED: [Limit; 2] = [("REQUEST", "DAY", 1_000_000), ("TOKEN", "DAY", 1_000_000)];
/// Longest wait for something that another thread does; nothing takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Type, unit, threshold.
pub(crate) type Limit = (&'static str, &'static str, u64);

/// `models` with one slug.
pub(crate) fn models(slug: &str, limits: &[Limit]) -> Value {
    json!([model(slug, limits)])
}

/// One entry of `models`, its limits sorted into the list they belong to.
pub(crate) fn model(slug: &str, limits: &[Limit]) -> Value {
    let (daily, rolling): (Vec<Limit>, Vec<Limit>) = limits.iter().partition(|(_, unit, _)| *unit == "DAY");
    let list = |limits: Vec<Limit>| -> Vec<Value> {
        limits
            .into_iter()
            .map(|(kind, unit, threshold)| json!({ "type": kind, "unit": unit, "threshold": threshold }))
            .collect()
    };
    json!({ "slug": slug, "rate_limits": list(rolling), "usage_limits": list(daily) })
}

/// The body of a short call that declares nine tokens of output.
pub(crate) fn chat(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 9, "messages": [{ "role": "user", "content": "Say hello." }] })
}

/// The same, streamed.
pub(crate) fn streamed(model: &str) -> Value {
    let mut body = chat(model);
    body["stream"] = true.into();
    body
}

/// A customer who may call `acme/m1` and whose use is counted.
pub(crate) async fn counted(gw: &Gateway) -> Customer {
    gw.customer("counted", models(M1, &COUNTED)).await
}

/// Requests and tokens that a counted group has been charged today; null before its first call.
pub(crate) async fn charged(gw: &Gateway, group: &str) -> (Value, Value) {
    (gw.used(group, M1, "REQUEST").await, gw.used(group, M1, "TOKEN").await)
}

/// A counted customer of an endpoint `acme/x` with this target.
pub(crate) async fn customer_of(gw: &Gateway, target: Value) -> Customer {
    gw.post("/v1/gateway/endpoints", json!({ "slug": "acme/x", "targets": [target] })).await.expect(200);
    gw.customer("cust", models("acme/x", &COUNTED)).await
}

/// A target at this address.
pub(crate) fn at(base_url: &str) -> Value {
    json!({ "provider": "OPENAI_COMPATIBLE", "base_url": base_url, "target_model": "x" })
}

/// Requests and tokens that it has been charged today.
pub(crate) async fn charged_x(gw: &Gateway, customer: &Customer) -> (Value, Value) {
    (gw.used(&customer.id, "acme/x", "REQUEST").await, gw.used(&customer.id, "acme/x", "TOKEN").await)
}

/// Tokens charged today.
pub(crate) async fn tokens(gw: &Gateway, group: &str) -> u64 {
    gw.used(group, M1, "TOKEN").await.as_u64().unwrap_or(0)
}

/// The statuses of calls made one after the other.
pub(crate) async fn calls(gw: &Gateway, key: &str, model: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(gw.chat(key, model).await.status);
    }
    statuses
}

/// How many of the calls made at the same time were answered 200, and how many 429. Nothing else is expected.
pub(crate) async fn at_once(gw: &Arc<Gateway>, calls: &[(&str, usize)]) -> (usize, usize) {
    let mut under_way = JoinSet::new();
    for (key, count) in calls {
        for _ in 0..*count {
            let (gw, key) = (Arc::clone(gw), (*key).to_owned());
            under_way.spawn(async move { gw.chat(&key, M1).await });
        }
    }
    let replies = under_way.join_all().await;
    let with = |status| replies.iter().filter(|reply| reply.status == status).count();
    let (admitted, refused) = (with(200), with(429));
    let others: Vec<&Reply> = replies.iter().filter(|reply| ![200, 429].contains(&reply.status)).collect();
    assert!(others.is_empty(), "{others:?}");
    (admitted, refused)
}

/// Replaces the limits of a group on `acme/m1`.
pub(crate) async fn limit(gw: &Gateway, group: &str, limits: &[Limit]) {
    let path = format!("/v1/gateway/groups/{group}");
    gw.patch(&path, json!({ "models": models(M1, limits) })).await.expect(200);
}

/// Waits for a fact that another thread brings about.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let poll = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, poll).await.is_ok(), "it never came about that {what}");
}

/// Checks the form that every error of ours has, and its code.
#[track_caller]
pub(crate) fn refused(reply: &Reply, status: u16, code: &str) {
    let error = &reply.body["error"];
    assert_eq!((reply.status, error["code"].as_str()), (status, Some(code)), "{}", reply.text);
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", reply.text);
    assert!(error["type"].is_string() && error.get("param").is_some(), "{}", reply.text);
    assert_eq!(error["request_id"], reply.header("x-request-id"), "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json");
}

/// What the headers say is left of this type.
#[track_caller]
pub(crate) fn remaining(headers: &HeaderMap, kind: &str) -> u64 {
    let value = headers.get(format!("x-ratelimit-remaining-{kind}")).expect("a limit of this type is own");
    value.to_str().unwrap().parse().unwrap()
}

/// A connection on which a test writes every byte itself.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn open(gw: &Gateway) -> Self {
        Self(TcpStream::connect(gw.addr()).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// What comes next, as much as there is.
    pub(crate) async fn piece(&mut self) -> String {
        let mut piece = [0; 4096];
        let read = self.0.read(&mut piece).await.unwrap();
        String::from_utf8(piece[..read].to_vec()).unwrap()
    }

    /// Everything until the gateway closes the connection.
    pub(crate) async fn rest(mut self) -> String {
        let mut all = Vec::new();
        self.0.read_to_end(&mut all).await.unwrap();
        String::from_utf8(all).unwrap()
    }
}

/// The head of a chat call, with these further header lines (each with its line end).
pub(crate) fn chat_head(key: &str, lines: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\n{lines}\r\n"
    )
}

/// A slug whose completion tokens cost ten cents each and whose prompts cost nothing.
pub(crate) const PRICED: &str = "acme/priced";
/// What a call that declares six tokens and gets them costs there: sixty cents.
pub(crate) const SIXTY_CENTS: u64 = 600_000_000;

/// A gateway with the endpoint [`PRICED`].
pub(crate) async fn priced() -> Gateway {
    let gw = Gateway::start().await;
    price(&gw).await;
    gw
}

/// Makes the endpoint [`PRICED`].
pub(crate) async fn price(gw: &Gateway) {
    let pricing = json!({ "input_per_million": 0, "output_per_million": 100_000 });
    gw.endpoint_with(PRICED, json!({ "pricing": pricing })).await;
}

/// A call that declares six tokens.
pub(crate) fn sixty_cents(model: &str) -> Value {
    let mut body = chat(model);
    body["max_tokens"] = 6.into();
    body
}

/// A root group with one key that may call the priced slug and `acme/m1` without limits of its own.
pub(crate) async fn buyer(gw: &Gateway, external: &str) -> Customer {
    gw.customer(external, json!([model(PRICED, &[]), model(M1, &[])])).await
}

/// The statuses of calls of sixty cents made at the same time, sorted.
pub(crate) async fn buy_at_once(gw: &Arc<Gateway>, calls: &[(&str, usize)]) -> Vec<Reply> {
    let mut under_way = JoinSet::new();
    for (key, count) in calls {
        for _ in 0..*count {
            let (gw, key) = (Arc::clone(gw), (*key).to_owned());
            under_way.spawn(async move { gw.chat_with(&key, sixty_cents(PRICED)).await });
        }
    }
    under_way.join_all().await
}

/// How many were answered 200. Every other one has to be refused by a budget.
#[track_caller]
pub(crate) fn bought(replies: &[Reply]) -> usize {
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        refused(reply, 402, "budget_exceeded");
    }
    replies.iter().filter(|reply| reply.status == 200).count()
}

/// The part of a key that is no secret.
pub(crate) fn prefix(key: &str) -> &str {
    key.split_once('.').map_or(key, |(prefix, _)| prefix)
}

/// A budget of so many dollars over so long, as `budgets` has it.
pub(crate) fn budget(dollars: f64, length: &str) -> Value {
    json!([{ "max_limit": dollars, "reset_duration": length }])
}

/// The status of one call of sixty cents.
pub(crate) async fn buy(gw: &Gateway, key: &str) -> u16 {
    gw.chat_with(key, sixty_cents(PRICED)).await.status
}
