//! How calls end: what the ledger says of each, and what every counter on its path is left with.
//!
//! A call is made in a CASCADING tree of three levels, each with limits per MINUTE and per DAY on requests and tokens.
//! However it ends, [`Tree::ended`] looks for exactly one line in the ledger, for that use in each of the twelve
//! counters, and for nothing that is still held.

mod broken;
mod completed;
mod drained;
mod left;
mod refused;
mod stopped;

use domain::{Outcome, Usage, UsageSource};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use storage::LedgerLine;
use testkit::{Config, Gateway, Reading, Reply, Request, Script};

use crate::support::*;

/// More than any test uses.
const PLENTY: u64 = 1_000_000;
const LIMITS: [Limit; 4] = [
    ("REQUEST", "MINUTE", PLENTY),
    ("REQUEST", "DAY", PLENTY),
    ("TOKEN", "MINUTE", PLENTY),
    ("TOKEN", "DAY", PLENTY),
];
/// What every call that writes declares.
const OUTPUT: u64 = 9;

/// A call of one operation, whole or streamed.
#[derive(Debug, Clone, Copy)]
struct Call {
    path: &'static str,
    /// Without its model.
    body: &'static str,
    /// Tokens of output that it declares.
    declared: u64,
    streamed: bool,
}

const CHAT: Call = Call {
    path: "/v1/chat/completions",
    body: r#"{"messages":[{"role":"user","content":"Say hello."}],"max_tokens":9}"#,
    declared: OUTPUT,
    streamed: false,
};
const COMPLETIONS: Call =
    Call { path: "/v1/completions", body: r#"{"prompt":"Say hello.","max_tokens":9}"#, ..CHAT };
const RESPONSES: Call =
    Call { path: "/v1/responses", body: r#"{"input":"Say hello.","max_output_tokens":9}"#, ..CHAT };
const MESSAGES: Call = Call { path: "/v1/messages", ..CHAT };
const EMBEDDINGS: Call =
    Call { path: "/v1/embeddings", body: r#"{"input":"Say hello."}"#, declared: 0, ..CHAT };
const COUNT_TOKENS: Call = Call { path: "/v1/messages/count_tokens", declared: 0, ..CHAT };

/// Whole and streamed, in both dialects.
const SHAPES: [Call; 4] = [CHAT, CHAT.streamed(), MESSAGES, MESSAGES.streamed()];
const STREAMS: [Call; 4] =
    [CHAT.streamed(), COMPLETIONS.streamed(), RESPONSES.streamed(), MESSAGES.streamed()];

impl Call {
    const fn streamed(self) -> Self {
        Self { streamed: true, ..self }
    }

    fn body(&self, model: &str) -> Value {
        let mut body: Value = serde_json::from_str(self.body).unwrap();
        body["model"] = model.into();
        if self.streamed {
            body["stream"] = true.into();
        }
        body
    }
}

/// How a call ended: outcome, the model server's status, usage.
type Ended = (Outcome, Option<u16>, Usage);

/// Usage as the model server told it.
fn reported(input: u64, output: u64) -> Usage {
    Usage { input, output, cached: 0, cache_written: 0, source: UsageSource::Reported }
}

/// Usage as it was counted here.
fn counted(input: u64, output: u64) -> Usage {
    Usage { source: UsageSource::Estimated, ..reported(input, output) }
}

/// What so many of the model server's words come to where nobody tells.
fn words(count: usize) -> u64 {
    tokens::text("word ".len() * count)
}

/// A tree of three levels whose leaf calls.
struct Tree {
    gw: Gateway,
    key: String,
    groups: [String; 3],
}

impl Tree {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let gw = Gateway::with(configure).await;
        let allowed = json!([model(M1, &LIMITS), model(M2, &LIMITS), model("acme/gone", &[])]);
        let root = gw.group("root", allowed.clone(), "CASCADING", None).await;
        let middle = gw.group("middle", allowed.clone(), "CASCADING", Some(&root)).await;
        let leaf = gw.member("leaf", allowed, "CASCADING", Some(&middle)).await;
        Self { gw, key: leaf.key, groups: [leaf.id, middle, root] }
    }

    fn request(&self, call: &Call, model: &str) -> Request {
        let request = self.gw.request(Method::POST, call.path);
        request.header("authorization", format!("Bearer {}", self.key)).json(&call.body(model))
    }

    /// The whole exchange, with the model server acting so.
    async fn send(&self, call: &Call, script: Script) -> Reply {
        self.gw.model.set(script);
        self.request(call, M1).send().await
    }

    /// Sends a call on a connection that a test can close at any time, and waits until the model server has it.
    async fn begin(&self, call: &Call, script: Script) -> Raw {
        self.gw.model.set(script);
        let started = self.gw.model.served().started;
        let body = call.body(M1).to_string();
        let mut raw = Raw::open(&self.gw).await;
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            call.path,
            self.key,
            body.len()
        );
        raw.send(head + &body).await;
        until("the model server has the call", || self.gw.model.served().started > started).await;
        raw
    }

    /// What the prompt of a call is taken for: what it holds beside its output, seen at a model with counters of its
    /// own.
    async fn prompt(&self, call: &Call) -> u64 {
        self.gw.model.set(Script::default());
        let before = self.left_of_m2().await;
        let reply = self.request(call, M2).send().await.expect(200);
        before - left(&reply.headers) - call.declared
    }

    async fn left_of_m2(&self) -> u64 {
        let readings = self.gw.readings(&self.groups[0], M2).await;
        let used =
            readings.iter().filter(|reading| reading.kind == "TOKEN").map(|reading| reading.used).max();
        PLENTY - used.unwrap()
    }

    /// The ledger's line of the one call of `acme/m1` that was made; looks into the counters too.
    async fn only_line(&self) -> LedgerLine {
        let mut lines = self.lines().await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = lines.remove(0);
        assert_eq!(line.groups.iter().map(ToString::to_string).collect::<Vec<_>>(), self.groups);
        self.counters_hold(1, line.usage.total()).await;
        line
    }

    /// Checks how the one call of `acme/m1` that was made has ended.
    async fn ended(&self, what: &str, ended: Ended) {
        let line = self.only_line().await;
        assert_eq!((line.outcome, line.upstream_status, line.usage), ended, "{what}");
    }

    /// The same of an answer whose caller was told its id.
    async fn answered(&self, what: &str, reply: &Reply, ended: Ended) {
        let line = self.gw.entry(reply.header("x-request-id")).await;
        assert!(line.is_some(), "{what}: settled before its caller saw the end");
        self.ended(what, ended).await;
        assert_eq!(line, self.lines().await.pop(), "{what}");
    }

    /// The ledger's lines of `acme/m1`, when nothing is in flight any more.
    async fn lines(&self) -> Vec<LedgerLine> {
        until("no call is in flight", || self.gw.node().in_flight() == 0).await;
        let mut lines = self.gw.entries().await;
        lines.retain(|line| line.slug.as_str() == M1);
        lines
    }

    /// Checks that every counter of every level holds exactly this, and that nothing is pending.
    async fn counters_hold(&self, requests: u64, tokens: u64) {
        let mut expected = Vec::new();
        for group in &self.groups {
            for (kind, unit, _) in LIMITS {
                let used = if kind == "REQUEST" { requests } else { tokens };
                let (group, kind, unit) = (group.clone(), kind.to_owned(), unit.to_owned());
                expected.push(Reading { group, kind, unit, used, pending: 0 });
            }
        }
        let mut readings = self.gw.readings(&self.groups[0], M1).await;
        readings.sort();
        expected.sort();
        assert_eq!(readings, expected);
    }
}

/// What the headers of either dialect say is left of tokens.
fn left(headers: &HeaderMap) -> u64 {
    let names = ["x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining"];
    let value = names.iter().find_map(|name| headers.get(*name)).expect("the leaf has limits of its own");
    value.to_str().unwrap().parse().unwrap()
}

/// Reads a stream until it has said this so often.
async fn read_until(raw: &mut Raw, what: &str, times: usize) {
    let mut text = String::new();
    while text.matches(what).count() < times {
        let piece = raw.piece().await;
        assert!(!piece.is_empty(), "the stream ended: {text}");
        text += &piece;
    }
}
