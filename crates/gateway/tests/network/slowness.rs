//! Callers that are slow or silent lose their connection, and only they.

use http::Method;
use serde_json::json;
use testkit::{Gateway, Script};

use crate::support::*;

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_without_a_word() {
    let gw = Gateway::with(|config| config.server.first_byte_timeout = SHORT).await;
    let mut raw = Raw::open(gw.addr()).await;
    assert!(raw.is_closed().await);
    gw.request(Method::GET, "/healthz/live").send().await.expect(200);
}

#[tokio::test]
async fn a_header_that_stays_incomplete_is_408_and_closed() {
    let gw = Gateway::with(|config| {
        config.server.header_timeout = SHORT;
        config.server.first_byte_timeout = LONG;
        config.server.idle_timeout = LONG;
    })
    .await;
    for partial in ["G", "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nx-slow: "] {
        let mut raw = Raw::open(gw.addr()).await;
        raw.send(partial).await;
        let answer = raw.answer().await.unwrap();
        answer.is(408, "request_timeout");
        assert!(answer.closes() && raw.is_closed().await);
    }
}

#[tokio::test]
async fn a_further_header_that_stays_incomplete_is_408_too() {
    let gw = Gateway::with(|config| {
        config.server.header_timeout = SHORT;
        config.server.idle_timeout = LONG;
    })
    .await;
    let mut raw = Raw::open(gw.addr()).await;
    raw.send("GET /healthz/live HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    raw.send("GET /healthz/live HTTP/1.1\r\nhost: ga").await;
    raw.answer().await.unwrap().is(408, "request_timeout");
    assert!(raw.is_closed().await);
}

#[tokio::test]
async fn a_kept_alive_connection_is_closed_after_idle_timeout() {
    let gw = Gateway::with(|config| config.server.idle_timeout = SHORT).await;
    let customer = counted(&gw).await;
    let mut raw = Raw::open(gw.addr()).await;
    for _ in 0..2 {
        raw.send(call(&customer.key, &chat())).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    assert!(raw.is_closed().await);
}

#[tokio::test]
async fn a_call_may_take_longer_than_any_of_these_times() {
    let gw = Gateway::with(|config| {
        let server = &mut config.server;
        (server.first_byte_timeout, server.header_timeout) = (SHORT, SHORT);
        (server.idle_timeout, server.write_timeout) = (SHORT, SHORT);
    })
    .await;
    let customer = counted(&gw).await;
    gw.model.set(Script { first_byte: SHORT * 5, ..Script::default() });
    let mut raw = Raw::open(gw.addr()).await;
    raw.send(call(&customer.key, &chat())).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_caller_that_reads_nothing_of_its_stream_is_gone_and_charged_for_what_was_seen() {
    let gw = Gateway::with(|config| config.server.write_timeout = SHORT).await;
    let customer = counted(&gw).await;
    let word = "x".repeat(4 * 1024);
    gw.model.set(Script { completion_tokens: 8_192, word, ..Script::default() });
    let mut raw = Raw::open(gw.addr()).await;
    let body = json!({ "model": M1, "stream": true, "messages": [] }).to_string();
    raw.send(call(&customer.key, &body)).await;
    until("the call begins", || gw.model.served().started == 1).await;
    until("the model server is left", || gw.model.served().aborted == 1).await;
    gw.quiet().await;
    assert_eq!(gw.used(&customer.id, M1, "REQUEST").await, 1);
    let tokens = gw.used(&customer.id, M1, "TOKEN").await.as_u64().unwrap();
    assert!((1..8_192 * 1_024).contains(&tokens), "what was seen, and not what was asked for: {tokens}");
}
