//! What is delivered: cases 200 to 210 and 217 to 219.

use serde_json::{Value, json};
use testkit::{Gateway, Receiver};

use crate::support::Billed;

#[tokio::test]
async fn case_200_201_203_one_call_is_one_delivery_of_one_event_with_every_field() {
    let billed = Billed::start().await;
    billed.call().await;
    let received = billed.receiver.wait_for(1).await;
    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(body["type"], "API_BILLING_USAGE");
    let [event] = &received[0].events()[..] else { panic!("one event: {body}") };
    assert_eq!(event["tokens"], json!({ "inputTokens": 10, "outputTokens": 9, "cachedInputTokens": 0 }));
    assert_eq!((&event["modelSlug"], &event["sequence"]), (&json!("acme/m1"), &json!(1)));
    let key = event["idempotencyKey"].as_str().unwrap();
    assert_eq!(key.len(), 26, "a ULID: {key}");
    let request = event["requestId"].as_str().unwrap();
    assert!(billed.gw.entry(request).await.is_some(), "it is the request id of the ledger");
}

#[tokio::test]
async fn case_202_204_205_an_event_names_the_calling_group_and_its_key() {
    let billed = Billed::start().await;
    let models = json!([{ "slug": "acme/m1" }]);
    let parent = billed.gw.group("parent", models.clone(), "CASCADING", None).await;
    let child = billed.gw.member("child", models, "CASCADING", Some(&parent)).await;
    billed.gw.chat(&child.key, "acme/m1").await.expect(200);
    let event = &billed.receiver.wait_for(1).await[0].events()[0];
    assert_eq!(
        (&event["externalEntityId"], &event["externalCustomerId"]),
        (&json!("child"), &json!("child"))
    );
    assert_eq!(event["apiKeyPrefix"], child.key.split_once('.').unwrap().0);
}

#[tokio::test]
async fn case_206_207_metadata_is_passed_on_and_null_where_there_is_none() {
    let billed = Billed::start().await;
    billed.call().await;
    let messages = json!([{ "role": "user", "content": "Say hello." }]);
    let metadata = json!({ "order": "17", "nested": { "a": [1, 2.50] } });
    let body = json!({ "model": "acme/m1", "max_tokens": 9, "messages": messages, "metadata": metadata });
    billed.receiver.wait_for(1).await;
    billed.gw.chat_with(&billed.customer.key, body).await.expect(200);
    let received = billed.receiver.wait_for(2).await;
    let events: Vec<Value> = received.iter().flat_map(testkit::Received::events).collect();
    assert!(events[0].as_object().unwrap().contains_key("requestMetadata"));
    assert_eq!((&events[0]["requestMetadata"], &events[1]["requestMetadata"]), (&Value::Null, &metadata));
    assert!(events.iter().all(|event| event["timestamp"].as_str().unwrap().ends_with('Z')));
}

#[tokio::test]
async fn case_208_209_210_every_delivery_is_signed_twice_and_has_an_id_of_its_own() {
    let billed = Billed::start().await;
    billed.call().await;
    billed.call().await;
    let received = billed.receiver.wait_for(2).await;
    for delivery in &received {
        assert!(delivery.is_signed_by(&billed.secret) && delivery.is_standard_signed_by(&billed.secret));
        assert!(!delivery.is_signed_by("whsec_AAAA") && !delivery.is_standard_signed_by("whsec_AAAA"));
        let mut altered = delivery.clone();
        altered.body = [b" ", &delivery.body[..]].concat().into();
        assert!(!altered.is_signed_by(&billed.secret) && !altered.is_standard_signed_by(&billed.secret));
        assert_eq!(delivery.header("x-baseten-request-id"), delivery.header("webhook-id"));
        assert_eq!(delivery.header("content-type"), "application/json");
        assert_eq!(delivery.target, "/hook");
    }
    assert_ne!(received[0].header("webhook-id"), received[1].header("webhook-id"));
}

#[tokio::test]
async fn case_217_two_calls_have_two_keys() {
    let billed = Billed::start().await;
    billed.call().await;
    billed.call().await;
    let received = billed.receiver.wait_for(2).await;
    assert_ne!(received[0].keys(), received[1].keys());
}

#[tokio::test]
async fn case_218_rejections_are_no_events() {
    let billed = Billed::start().await;
    let limit = json!({ "type": "REQUEST", "unit": "DAY", "threshold": 1 });
    let models = json!([{ "slug": "acme/m1", "usage_limits": [limit] }]);
    let limited = billed.gw.customer("limited", models).await;
    billed.gw.chat("sky_nobody.nobody", "acme/m1").await.expect(401);
    billed.gw.chat(&limited.key, "acme/m1").await.expect(200);
    billed.gw.chat(&limited.key, "acme/m1").await.expect(429);
    billed.gw.chat(&limited.key, "acme/m2").await.expect(403);
    billed.call().await;
    // The sequence shows that there is none in between.
    let received = billed.receiver.wait_for(2).await;
    let mut sequences: Vec<u64> = sequences(&received);
    sequences.sort_unstable();
    assert_eq!(sequences, [1, 2]);
}

#[tokio::test]
async fn case_219_a_streamed_call_has_the_same_counts() {
    let billed = Billed::start().await;
    let messages = json!([{ "role": "user", "content": "Say hello." }]);
    let body = json!({ "model": "acme/m1", "max_tokens": 9, "stream": true, "messages": messages });
    billed.gw.chat_with(&billed.customer.key, body).await.expect(200);
    let event = &billed.receiver.wait_for(1).await[0].events()[0];
    assert_eq!(event["tokens"], json!({ "inputTokens": 10, "outputTokens": 9, "cachedInputTokens": 0 }));
}

#[tokio::test]
async fn case_229_what_is_listed_is_what_was_pushed_but_for_the_metadata() {
    let billed = Billed::start().await;
    billed.call().await;
    billed.call().await;
    let mut pushed: Vec<Value> =
        billed.receiver.wait_for(2).await.iter().flat_map(testkit::Received::events).collect();
    pushed.sort_by_key(|event| event["sequence"].as_u64());
    for event in &mut pushed {
        event.as_object_mut().unwrap().remove("requestMetadata").expect("pushed with it");
    }
    let listed = billed.gw.get("/v1/gateway/events?after_sequence=0").await.expect(200);
    assert_eq!(listed.body["items"], json!(pushed));
}

#[tokio::test]
async fn a_batch_takes_what_has_gathered_and_no_more_than_its_bound() {
    let gw = Gateway::with_webhooks().await;
    let receiver = Receiver::start().await;
    let customer = gw.customer("cust_42", json!([{ "slug": "acme/m1" }])).await;
    let nobody = Receiver::start().await;
    let nowhere = nobody.url();
    drop(nobody);
    // What is made while nobody answers waits; a redrive makes it anew, in batches of the present size.
    gw.put_webhook(json!({ "url": nowhere })).await.expect(200);
    for _ in 0..5 {
        gw.chat(&customer.key, "acme/m1").await.expect(200);
    }
    gw.node().recorded().await;
    gw.delete("/v1/gateway/webhook").await.expect(200);
    gw.hook(&receiver, 2).await;
    let dead = gw.dead_letters().await;
    let events: u64 = dead.iter().map(|letter| letter["events"].as_u64().unwrap()).sum();
    assert_eq!(events, 5, "{dead:?}");
    assert!(gw.redrive(json!({})).await >= 1);
    let mut received = Vec::new();
    while sequences(&received).len() < 5 {
        received = receiver.wait_for(received.len() + 1).await;
    }
    assert!(received.iter().all(|delivery| delivery.events().len() <= 2));
    let mut sequences = sequences(&received);
    sequences.sort_unstable();
    assert_eq!(sequences, [1, 2, 3, 4, 5], "each once");
}

#[tokio::test]
async fn a_new_webhook_begins_with_the_next_event() {
    let gw = Gateway::with_webhooks().await;
    let customer = gw.customer("cust_42", json!([{ "slug": "acme/m1" }])).await;
    gw.chat(&customer.key, "acme/m1").await.expect(200);
    gw.node().recorded().await;
    let receiver = Receiver::start().await;
    gw.hook(&receiver, 10).await;
    gw.chat(&customer.key, "acme/m1").await.expect(200);
    assert_eq!(sequences(&receiver.wait_for(1).await), [2]);
}

fn sequences(received: &[testkit::Received]) -> Vec<u64> {
    let events = received.iter().flat_map(testkit::Received::events);
    events.map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_correction_is_delivered_like_a_call_and_the_ledger_tells_of_both_deliveries() {
    let billed = Billed::start().await;
    billed.call().await;
    let call = billed.receiver.wait_for(1).await[0].events()[0].clone();
    let path = format!("/v1/gateway/ledger/{}", call["requestId"].as_str().unwrap());
    let change = json!({ "output_tokens": -4, "reason": "counted twice" });
    billed.gw.post(&format!("{path}/corrections"), change).await.expect(200);
    let correction = billed.receiver.wait_for(2).await[1].events()[0].clone();
    assert_eq!(correction["corrects"], call["requestId"]);
    assert_eq!((&correction["tokens"]["outputTokens"], &correction["sequence"]), (&json!(-4), &json!(2)));
    assert_ne!(correction["idempotencyKey"], call["idempotencyKey"]);
    billed.gw.attempted(1, 1).await;
    let told = billed.gw.get(&path).await.expect(200).body;
    let [delivery] = &told["deliveries"].as_array().unwrap()[..] else { panic!("one delivery: {told}") };
    assert_eq!((&delivery["state"], &delivery["last_status"]), (&json!("done"), &json!(200)));
    assert_eq!(delivery["id"], billed.receiver.received()[0].header("webhook-id"));
}
