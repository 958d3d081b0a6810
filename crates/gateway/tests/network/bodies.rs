//! Request bodies: all of them together have a bound, and large ones never take the room of small ones.

use std::time::Duration;

use modelsim::Act;
use testkit::{Gateway, Script};

use crate::support::*;

const MIB: usize = 1024 * 1024;

/// Room for 32 MiB of bodies, of which large ones may take 28.
async fn narrow() -> Gateway {
    Gateway::with(|config| {
        config.server.max_buffered_mb = 32;
        config.server.max_body_mb = 8;
    })
    .await
}

/// A caller that has the room for its body, and sends nothing of it.
async fn holding(gw: &Gateway, key: &str, length: usize) -> Raw {
    let mut raw = Raw::open(gw.addr()).await;
    raw.send(head(key, &format!("content-length: {length}\r\nexpect: 100-continue\r\n"))).await;
    assert_eq!(raw.answer().await.unwrap().status, 100, "its room is taken and its body asked for");
    raw
}

/// Calls until the room that somebody left is found.
async fn room_comes_back(gw: &Gateway, key: &str, body: &str) {
    for _ in 0..10_000 {
        let mut raw = Raw::open(gw.addr()).await;
        raw.try_send(call(key, body)).await;
        let answer = raw.answer().await.unwrap();
        if answer.status == 200 {
            return;
        }
        answer.is(503, "overloaded");
    }
    panic!("the room is never given back");
}

#[tokio::test]
async fn a_flood_of_large_bodies_leaves_an_eighth_of_the_room_to_small_ones() {
    let gw = narrow().await;
    let customer = counted(&gw).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(holding(&gw, &customer.key, 7 * MIB).await);
    }
    let mut large = Raw::open(gw.addr()).await;
    large.try_send(call(&customer.key, &chat_of(MIB + 1))).await;
    large.answer().await.unwrap().is(503, "overloaded");
    for length in [200, MIB] {
        let mut small = Raw::open(gw.addr()).await;
        small.send(call(&customer.key, &chat_of(length))).await;
        assert_eq!(small.answer().await.unwrap().status, 200, "{length} bytes");
    }
    assert_eq!(held.len(), 4);
}

#[tokio::test]
async fn when_the_room_is_full_a_call_is_503_before_its_body_is_asked_for() {
    let gw = narrow().await;
    let customer = counted(&gw).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(holding(&gw, &customer.key, 7 * MIB).await);
    }
    let mut raw = Raw::open(gw.addr()).await;
    let lines = format!("content-length: {}\r\nexpect: 100-continue\r\n", 2 * MIB);
    raw.send(head(&customer.key, &lines)).await;
    let answer = raw.answer().await.unwrap();
    answer.is(503, "overloaded");
    assert!(answer.head.contains("retry-after: 1\r\n"), "{answer:?}");
    assert!(raw.is_closed().await, "what it might send now must not be taken for a request");
    assert_eq!(gw.model.served().started, 0);
}

#[tokio::test]
async fn the_room_of_a_caller_that_leaves_in_the_middle_comes_back() {
    let gw = narrow().await;
    let customer = counted(&gw).await;
    let body = chat_of(8 * MIB);
    // For as long as the test: what a round left behind would stand in the way of the next one.
    let _held = [holding(&gw, &customer.key, 8 * MIB).await, holding(&gw, &customer.key, 8 * MIB).await];
    for sent in [0, 100_000, 7 * MIB] {
        let mut leaving = holding(&gw, &customer.key, 8 * MIB).await;
        leaving.send(&body[..sent]).await;
        drop(leaving);
        room_comes_back(&gw, &customer.key, &body).await;
    }
    gw.quiet().await;
}

#[tokio::test]
async fn the_room_of_a_body_is_held_until_its_call_is_answered_and_no_longer() {
    let gw = narrow().await;
    let customer = counted(&gw).await;
    let body = chat_of(8 * MIB);
    let _held = [holding(&gw, &customer.key, 8 * MIB).await, holding(&gw, &customer.key, 8 * MIB).await];
    gw.model.set(Script { act: Act::Hang, ..Script::default() });
    let mut first = Raw::open(gw.addr()).await;
    first.send(call(&customer.key, &body)).await;
    until("the model server has it", || gw.model.served().started == 1).await;
    let mut second = Raw::open(gw.addr()).await;
    second.try_send(call(&customer.key, &body)).await;
    second.answer().await.unwrap().is(503, "overloaded");
    gw.model.set(Script::default());
    drop(first);
    room_comes_back(&gw, &customer.key, &body).await;
}

#[tokio::test]
async fn a_body_that_does_not_announce_its_length_arrives_whole_and_counts_as_it_grows() {
    let gw = narrow().await;
    let customer = counted(&gw).await;
    for length in [100, 70_000, MIB, 5 * MIB, 8 * MIB] {
        let body = chat_of(length);
        let mut raw = Raw::open(gw.addr()).await;
        raw.send(head(&customer.key, "transfer-encoding: chunked\r\n")).await;
        for piece in body.as_bytes().chunks(30_000) {
            raw.send(format!("{:x}\r\n", piece.len())).await;
            raw.send(piece).await;
            raw.send("\r\n").await;
        }
        raw.send("0\r\n\r\n").await;
        assert_eq!(raw.answer().await.unwrap().status, 200, "{length} bytes");
        let (seen, sent) = (gw.model.last_request().unwrap(), body.replace(M1, "simulated"));
        assert_eq!(usize::try_from(seen.body_len).unwrap(), sent.len(), "{length} bytes");
        // The model server keeps the beginning of a long body only.
        assert!(
            sent.as_bytes().starts_with(&seen.body) && seen.body.len() >= length.min(MIB),
            "{length} bytes"
        );
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(holding(&gw, &customer.key, 8 * MIB).await);
    }
    let mut raw = Raw::open(gw.addr()).await;
    raw.send(head(&customer.key, "transfer-encoding: chunked\r\n")).await;
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    // Not as much as a body may have, but more than is left.
    for _ in 0..127 {
        raw.try_send(&piece).await;
    }
    raw.answer().await.unwrap().is(503, "overloaded");
}

#[tokio::test]
async fn a_body_is_not_asked_for_where_it_would_not_be_read() {
    let gw = narrow().await;
    let customer = counted(&gw).await;
    let expecting = |length: usize| format!("content-length: {length}\r\nexpect: 100-continue\r\n");
    let compressed = expecting(100) + "content-encoding: gzip\r\n";
    for (key, lines, status, code) in [
        ("sky_nobody.knows", expecting(100), 401, "invalid_api_key"),
        (&customer.key, expecting(8 * MIB + 1), 413, "request_too_large"),
        (&customer.key, compressed, 415, "invalid_request"),
    ] {
        let mut raw = Raw::open(gw.addr()).await;
        raw.send(head(key, &lines)).await;
        let answer = raw.answer().await.unwrap();
        answer.is(status, code);
        assert!(answer.closes() && raw.is_closed().await);
    }
    let body = chat();
    let mut raw = Raw::open(gw.addr()).await;
    raw.send(head(&customer.key, &expecting(body.len()))).await;
    assert_eq!(raw.answer().await.unwrap().status, 100);
    raw.send(&body).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn an_answer_reaches_a_caller_that_is_still_sending() {
    let gw = narrow().await;
    let length = 3 * MIB;
    let mut raw = Raw::open(gw.addr()).await;
    raw.send(head("sky_nobody.knows", &format!("content-length: {length}\r\n"))).await;
    // Sent piece by piece, most of it after the answer has gone out.
    for _ in 0..length / 0x10000 {
        assert!(raw.try_send(vec![b'x'; 0x10000]).await, "the connection is not reset");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    raw.answer().await.unwrap().is(401, "invalid_api_key");
}
