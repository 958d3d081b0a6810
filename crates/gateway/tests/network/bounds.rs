//! Everything a caller can send has a bound, and going past it costs that caller alone.

use http::Method;
use testkit::{Gateway, Script};

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

#[tokio::test]
async fn http_2_without_asking_is_400_with_a_reason() {
    let gw = Gateway::start().await;
    let mut raw = Raw::open(gw.addr()).await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let answer = raw.answer().await.unwrap();
    answer.is(400, "invalid_request");
    assert!(answer.body.contains("HTTP/1.1"), "{answer:?}");
    assert!(raw.is_closed().await);
}

#[tokio::test]
async fn a_wish_to_upgrade_is_passed_over_and_the_call_is_served() {
    let gw = Gateway::start().await;
    let key = counted(&gw).await.key;
    let body = chat();
    let lines = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    let mut raw = Raw::open(gw.addr()).await;
    for _ in 0..2 {
        raw.send(head(&key, &format!("{lines}content-length: {}\r\n", body.len())) + &body).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    let seen = gw.model.last_request().unwrap();
    assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None));
}

#[tokio::test]
async fn an_http_1_0_caller_gets_a_stream_that_ends_with_its_connection() {
    let gw = Gateway::start().await;
    let key = counted(&gw).await.key;
    let body = chat().replacen('{', r#"{"stream":true,"#, 1);
    let mut raw = Raw::open(gw.addr()).await;
    raw.send(call(&key, &body).replacen("HTTP/1.1", "HTTP/1.0", 1)).await;
    let answer = raw.answer().await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(!answer.head.to_ascii_lowercase().contains("transfer-encoding"), "{}", answer.head);
    assert!(raw.rest().await.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn trailers_name_nobody_and_have_a_bound() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    let body = chat();
    let chunked = |trailers: &str| {
        let head = head("nobody", "transfer-encoding: chunked\r\n");
        let head = head.replace("nobody", &customer.key);
        format!("{head}{:x}\r\n{body}\r\n0\r\n{trailers}\r\n", body.len())
    };
    let mut raw = Raw::open(gw.addr()).await;
    raw.send(chunked("authorization: Bearer nobody\r\ncontent-length: 9\r\n")).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    raw.send(chunked("")).await;
    assert_eq!(raw.answer().await.unwrap().status, 200, "the connection goes on");
    raw.try_send(chunked(&format!("x: {}\r\n", "x".repeat(200_000)))).await;
    let answer = raw.answer().await.unwrap();
    answer.is(400, "invalid_request");
    assert!(answer.closes());
}

#[tokio::test]
async fn a_caller_that_closes_its_sending_side_has_left_and_pays_for_a_whole_answer() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    gw.model.set(Script { first_byte: SHORT, ..Script::default() });
    let mut raw = Raw::open(gw.addr()).await;
    raw.send(call(&customer.key, &chat())).await;
    until("the model server has the call", || gw.model.served().started == 1).await;
    raw.half_close().await;
    assert!(raw.is_closed().await);
    gw.quiet().await;
    assert_eq!(gw.used(&customer.id, M1, "TOKEN").await, 19);
}
