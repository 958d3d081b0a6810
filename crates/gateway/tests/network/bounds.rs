//! Everything a caller can send has a bound, and going past it costs that caller alone.

use http::Method;
use testkit::Gateway;

use crate::support::*;

#[tokio::test]
async fn a_header_section_over_64_kib_is_431_with_a_reason() {
    let gw = Gateway::start().await;
    for length in [64 * 1024, 1024 * 1024] {
        let mut raw = Raw::open(gw.addr()).await;
        raw.send("GET /v1/models HTTP/1.1\r\nhost: gateway\r\nx-long: ").await;
        raw.try_send("x".repeat(length)).await;
        let answer = raw.answer().await.unwrap();
        answer.is(431, "headers_too_large");
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
        assert!(answer.closes());
    }
    let mut raw = Raw::open(gw.addr()).await;
    let long = "x".repeat(60 * 1024);
    raw.send(format!("GET /healthz/live HTTP/1.1\r\nhost: gateway\r\nx-long: {long}\r\n\r\n")).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn more_than_a_hundred_header_fields_are_431() {
    let gw = Gateway::start().await;
    for (fields, status) in [(100, 200), (101, 431), (5_000, 431)] {
        let mut raw = Raw::open(gw.addr()).await;
        let more = "x: y\r\n".repeat(fields - 1);
        raw.send(format!("GET /healthz/live HTTP/1.1\r\nhost: gateway\r\n{more}\r\n")).await;
        assert_eq!(raw.answer().await.unwrap().status, status, "{fields} fields");
    }
}

#[tokio::test]
async fn what_is_no_request_is_400_with_a_reason_and_the_connection_ends() {
    let gw = Gateway::start().await;
    for garbage in [
        "\u{1}\u{2}\u{3}\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nno colon here\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nhost: gateway\r\ncontent-length: five\r\n\r\n",
    ] {
        let mut raw = Raw::open(gw.addr()).await;
        raw.send(garbage).await;
        let answer = raw.answer().await.unwrap();
        answer.is(400, "invalid_request");
        assert!(answer.closes() && raw.is_closed().await, "{garbage:?}");
    }
}

#[tokio::test]
async fn what_is_no_request_after_one_that_was_answered_is_400_once() {
    let gw = Gateway::start().await;
    for together in [true, false] {
        let mut raw = Raw::open(gw.addr()).await;
        let good = "GET /healthz/live HTTP/1.1\r\nhost: gateway\r\n\r\n";
        if together {
            raw.send(format!("{good}\u{1}\r\n\r\n")).await;
            assert_eq!(raw.answer().await.unwrap().status, 200);
        } else {
            raw.send(good).await;
            assert_eq!(raw.answer().await.unwrap().status, 200);
            raw.send("\u{1}\r\n\r\n").await;
        }
        raw.answer().await.unwrap().is(400, "invalid_request");
        assert!(raw.is_closed().await);
    }
}

#[tokio::test]
async fn connections_past_the_bound_wait_and_are_served_when_a_place_is_free() {
    let gw = Gateway::with(|config| config.server.max_connections = 2).await;
    let request = "GET /healthz/live HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::open(gw.addr()).await;
        raw.send(request).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
        held.push(raw);
    }
    // As many as both workers could hold on to without a place, and more.
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut raw = Raw::open(gw.addr()).await;
        raw.send(request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
        waiting.push(raw);
    }
    for raw in &mut held {
        raw.send(request).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    drop(held);
    for raw in &mut waiting {
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    gw.request(Method::GET, "/healthz/ready").send().await.expect(200);
}
