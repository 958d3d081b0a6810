//! Which headers pass in either direction, and the request id.

use std::collections::BTreeSet;

use http::HeaderMap;
use serde_json::json;
use testkit::{Gateway, Script};

use crate::support::*;

fn names(headers: &HeaderMap) -> BTreeSet<&str> {
    headers.keys().map(http::HeaderName::as_str).collect()
}

#[tokio::test]
async fn only_headers_that_concern_the_model_go_upstream() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let mut request = gw.chat_request(&key).json(&chat(M1));
    let passed = [
        ("accept", "application/json"),
        ("user-agent", "OpenAI/Python 1.0"),
        ("x-session-affinity", "abc"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=b"),
        ("openai-beta", "assistants=v2"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "tools-2024-04-04"),
    ];
    let withheld = [
        ("accept-encoding", "gzip, br"),
        ("api-key", "secret"),
        ("cookie", "session=1"),
        ("forwarded", "for=1.2.3.4"),
        ("openai-organization", "org-1"),
        ("openai-project", "proj-1"),
        ("origin", "https://app.example"),
        ("proxy-authorization", "Basic x"),
        ("te", "trailers"),
        ("x-api-key", "secret"),
        ("x-bf-vk", "secret"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-goog-api-key", "secret"),
        ("x-request-id", "theirs"),
        ("x-stainless-lang", "python"),
    ];
    for (name, value) in passed.iter().chain(&withheld) {
        request = request.header(name, value);
    }
    request.send().await.expect(200);
    let seen = gw.model.last_request().unwrap();
    for (name, value) in passed {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    let ours = ["accept-encoding", "content-length", "content-type", "host"];
    let expected: BTreeSet<&str> = ours.into_iter().chain(passed.map(|(name, _)| name)).collect();
    assert_eq!(names(&seen.headers), expected);
    assert!(gw.model.base_url().contains(seen.header("host").unwrap()));
}

#[tokio::test]
async fn identity_is_asked_for_even_where_the_caller_says_nothing() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    for body in [chat(M1), streamed(M1)] {
        gw.chat_with(&key, body).await.expect(200);
        assert_eq!(gw.model.last_request().unwrap().header("accept-encoding"), Some("identity"));
    }
}

#[tokio::test]
async fn the_targets_secret_goes_upstream_and_the_callers_key_never_does() {
    // One worker, so that what it remembers of the target is what the later calls meet.
    let gw = Gateway::with(|config| config.server.workers = 1).await;
    gw.post("/v1/secrets", json!({ "name": "UP", "value": "sk-upstream" })).await.expect(200);
    let target = json!({
        "provider": "OPENAI_COMPATIBLE", "base_url": gw.model.base_url(), "target_model": "x", "secret_id": "UP",
    });
    gw.post("/v1/gateway/endpoints", json!({ "slug": "acme/up", "targets": [target] })).await.expect(200);
    let key = gw.customer("cust", json!([model(M1, &[]), model("acme/up", &[])])).await.key;
    for (slug, authorization) in [("acme/up", Some("Bearer sk-upstream")), (M1, None)] {
        let reply = gw.chat(&key, slug).await.expect(200);
        let seen = gw.model.last_request().unwrap();
        assert_eq!(seen.header("authorization"), authorization);
        assert!(!format!("{:?}", seen.headers).contains(&key));
        assert!(!reply.text.contains("sk-upstream"));
    }
    gw.post("/v1/secrets", json!({ "name": "UP", "value": "sk-rotated" })).await.expect(200);
    gw.chat(&key, "acme/up").await.expect(200);
    assert_eq!(gw.model.last_request().unwrap().header("authorization"), Some("Bearer sk-rotated"));
}

#[tokio::test]
async fn only_headers_that_concern_the_answer_come_back() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let script = Script::default()
        .with_header("openai-processing-ms", "12")
        .with_header("openai-version", "2020-10-01")
        .with_header("openai-organization", "the-operators-organisation")
        .with_header("set-cookie", "a=b")
        .with_header("server", "simulated")
        .with_header("x-request-id", "theirs")
        .with_header("x-ratelimit-limit-requests", "999")
        .with_header("x-ratelimit-remaining-tokens", "999")
        .with_header("x-secret", "x");
    gw.model.set(script);
    let ours = ["content-type", "date", "openai-processing-ms", "openai-version"];
    let ids = ["x-baseten-request-id", "x-request-id"];
    for (body, more) in [
        (chat(M1), &["content-length"][..]),
        (streamed(M1), &["cache-control", "transfer-encoding", "x-accel-buffering"]),
    ] {
        let reply = gw.chat_with(&key, body).await.expect(200);
        let expected: BTreeSet<&str> = ours.iter().chain(&ids).chain(more).copied().collect();
        assert_eq!(names(&reply.headers), expected);
        assert_eq!(reply.header("openai-processing-ms"), "12");
        assert_ne!(reply.header("x-request-id"), "theirs");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[("REQUEST", "DAY", 2)])).await.key;
    let mut ids = BTreeSet::new();
    let replies = [
        gw.chat(&key, M1).await.expect(200),
        gw.chat_with(&key, streamed(M1)).await.expect(200),
        gw.chat(&key, M1).await.expect(429),
        gw.chat(&key, M2).await.expect(403),
        gw.chat("nobody", M1).await.expect(401),
        gw.request(http::Method::GET, "/nowhere").send().await.expect(404),
    ];
    for reply in &replies {
        let id = reply.header("x-request-id").to_owned();
        assert_eq!(id, reply.header("x-baseten-request-id"));
        let form: String = id.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
        assert_eq!(form, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "{id}");
        // RFC 9562, 5.7: milliseconds since 1970, version 7, variant 10.
        assert_eq!(u64::from_str_radix(&id.replace('-', "")[..12], 16), Ok(1_778_673_600_000));
        assert!(&id[14..15] == "7" && ["8", "9", "a", "b"].contains(&&id[19..20]), "{id}");
        assert!(ids.insert(id), "each its own");
    }
}

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let body = chat(M1).to_string();
    let call = |more: &str| chat_head(&key, &format!("content-length: {}\r\n{more}", body.len())) + &body;
    let mut raw = Raw::open(&gw).await;
    raw.send(call("") + &call("") + &call("connection: close\r\n")).await;
    assert_eq!(raw.rest().await.matches("HTTP/1.1 200 OK").count(), 3);
}

#[tokio::test]
async fn an_error_after_admission_carries_the_callers_limits_too() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[("REQUEST", "MINUTE", 5)])).await.key;
    gw.model.set(Script::failing(401, "our credential is wrong"));
    let failed = gw.chat(&key, M1).await.expect(502);
    assert_eq!(failed.header("x-ratelimit-remaining-requests"), "4");
    let stranger = gw.chat("nobody", M1).await.expect(401);
    assert_eq!(stranger.header("x-ratelimit-remaining-requests"), "", "nobody has no limits");
}

#[tokio::test]
async fn a_wrong_method_says_which_would_do() {
    let gw = Gateway::start().await;
    for (method, path, allowed) in [
        (http::Method::GET, "/v1/chat/completions", "POST"),
        (http::Method::POST, "/v1/models", "GET"),
        (http::Method::DELETE, "/v1/models/acme/m1", "GET"),
    ] {
        let refused = gw.request(method, path).send().await.expect(405);
        assert_eq!(refused.header("allow"), allowed, "{path}");
    }
}
