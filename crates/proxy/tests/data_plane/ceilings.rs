//! Ceilings on calls in flight: a slot lives exactly as long as its call.

use serde_json::{Value, json};
use testkit::{Gateway, Script, Streaming};

use crate::support::*;

/// `acme/m1` with a ceiling.
fn ceiling(calls: u64) -> Value {
    let mut model = model(M1, &[]);
    model["max_concurrent_requests"] = calls.into();
    json!([model])
}

/// A stream that the model server does not end.
async fn open(gw: &Gateway, key: &str) -> Streaming {
    gw.model.set(Script::ending(modelsim::End::StallAfter(4)));
    let mut stream = gw.chat_request(key).json(&streamed(M1)).open().await;
    stream.piece().await.unwrap();
    stream
}

#[tokio::test]
async fn one_call_more_than_the_ceiling_is_refused_until_one_has_ended() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", ceiling(2)).await;
    let (first, _second) = (open(&gw, &customer.key).await, open(&gw, &customer.key).await);
    gw.model.set(Script::default());
    let reply = gw.chat(&customer.key, M1).await;
    refused(&reply, 429, "concurrency_limit_exceeded");
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), ("1", "true"));
    let note = &reply.body["error"]["limit"];
    let expected = json!({
        "type": "CONCURRENCY", "threshold": 2, "scope": "group", "source_group": customer.id, "used": 2, "retry_after_s": 1,
    });
    assert_eq!(*note, expected);
    assert_eq!(reply.body["type"], "rate_limited");
    drop(first);
    until("the caller's leaving was noticed", || gw.node().in_flight() == 1).await;
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [200, 200, 200]);
}

#[tokio::test]
async fn every_end_of_a_call_gives_its_slot_back() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", ceiling(1)).await;
    for end in [
        modelsim::End::Complete,
        modelsim::End::WithoutDone,
        modelsim::End::CutAfter(3),
        modelsim::End::ErrorAfter(3),
    ] {
        for body in [chat(M1), streamed(M1)] {
            gw.model.set(Script::ending(end));
            let reply = gw.chat_with(&customer.key, body).await;
            assert_ne!(reply.status, 429, "{end:?}");
        }
    }
    gw.model.set(Script { act: modelsim::Act::Refuse, ..Script::default() });
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [502, 502, 502]);
    gw.model
        .set(Script { act: modelsim::Act::Error { status: 500, message: "no".into() }, ..Script::default() });
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [500, 500, 500]);
}

#[tokio::test]
async fn an_ancestors_ceiling_is_shared_in_cascading_and_a_template_in_independent() {
    for (mode, second) in [("CASCADING", 429), ("INDEPENDENT", 200)] {
        let gw = Gateway::start().await;
        let root = gw.group("root", ceiling(1), mode, None).await;
        let one = gw.member("one", models(M1, &[]), mode, Some(&root)).await;
        let other = gw.member("other", models(M1, &[]), mode, Some(&root)).await;
        let held = open(&gw, &one.key).await;
        gw.model.set(Script::default());
        let reply = gw.chat(&other.key, M1).await.expect(second);
        if second == 429 {
            refused(&reply, 429, "concurrency_limit_exceeded");
            let limit = &reply.body["error"]["limit"];
            assert_eq!((&limit["scope"], &limit["source_group"]), (&json!("ancestor"), &json!(root)));
            assert!(limit.get("used").is_none(), "siblings' traffic is not shown");
        }
        gw.chat(&one.key, M1).await.expect(429);
        drop(held);
    }
}

#[tokio::test]
async fn calls_in_flight_are_shown_as_pending_and_only_those_admitted_under_the_ceiling() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[])).await;
    let before = open(&gw, &customer.key).await;
    gw.patch(&format!("/v1/gateway/groups/{}", customer.id), json!({ "models": ceiling(2) }))
        .await
        .expect(200);
    let after = open(&gw, &customer.key).await;
    let rows = gw.get(&format!("/v1/gateway/groups/{}/limits", customer.id)).await.expect(200).body;
    let row = &rows["limits"][0];
    assert_eq!(
        (&row["type"], &row["used"], &row["pending"], &row["remaining"]),
        (&json!("CONCURRENCY"), &json!(0), &json!(1), &json!(1))
    );
    drop((before, after));
    gw.quiet().await;
    let rows = gw.get(&format!("/v1/gateway/groups/{}/limits", customer.id)).await.expect(200).body;
    assert_eq!(rows["limits"][0]["pending"], 0);
}
