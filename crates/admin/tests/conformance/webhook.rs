//! The webhook of a workspace: its shapes, who may, and its dead letters.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Answering, Gateway, Receiver};

use crate::support::{fields, refused, send};

const WEBHOOK: &str = "/v1/gateway/webhook";
const DEAD_LETTERS: &str = "/v1/gateway/webhook/dead_letters";
const REDRIVE: &str = "/v1/gateway/webhook/dead_letters/redrive";

#[tokio::test]
async fn a_webhook_shows_its_secret_once_and_keeps_it_while_it_is_changed() {
    let gw = Gateway::start().await;
    refused(&gw.get(WEBHOOK).await, 404, "none yet");
    let put = gw.put_webhook(json!({ "url": "https://bills.example.com/hook?x=1" })).await.expect(200).body;
    let shown = ["batch_max", "created_at", "description", "updated_at", "url"];
    assert_eq!(fields(&put), [&shown[..3], &["secret"], &shown[3..]].concat());
    assert!(put["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!((&put["description"], &put["batch_max"]), (&Value::Null, &json!(1)));

    gw.pass(Duration::from_secs(5));
    let body = json!({ "url": "https://bills.example.com/", "description": "Billing", "batch_max": 1000 });
    let changed = gw.put_webhook(body).await.expect(200).body;
    assert_eq!(fields(&changed), shown, "no secret the second time");
    assert_eq!(changed["created_at"], put["created_at"]);
    assert_ne!(changed["updated_at"], put["updated_at"]);
    assert_eq!(gw.get(WEBHOOK).await.expect(200).body, changed);
    // What is left out is not kept.
    let replaced = gw.put_webhook(json!({ "url": "https://bills.example.com/" })).await.expect(200).body;
    assert_eq!((&replaced["description"], &replaced["batch_max"]), (&Value::Null, &json!(1)));

    let deleted = gw.delete(WEBHOOK).await.expect(200).body;
    assert_eq!(deleted, json!({ "url": "https://bills.example.com/" }));
    refused(&gw.get(WEBHOOK).await, 404, "deleted");
    refused(&gw.delete(WEBHOOK).await, 404, "deleted");
    let anew = gw.put_webhook(json!({ "url": "https://bills.example.com/" })).await.expect(200).body;
    assert_ne!(anew["secret"], put["secret"]);
}

#[tokio::test]
async fn webhooks_that_cannot_or_must_not_be_called_are_refused() {
    let gw = Gateway::start().await;
    let url = "https://bills.example.com/";
    for body in [
        json!({}),
        json!({ "url": "" }),
        json!({ "url": 7 }),
        json!({ "url": "http://bills.example.com/" }),
        json!({ "url": "https://127.0.0.1/" }),
        json!({ "url": "https://10.0.0.7:8443/" }),
        json!({ "url": "https://169.254.169.254/" }),
        json!({ "url": "https://[::1]/" }),
        json!({ "url": "https://user:secret@bills.example.com/" }),
        json!({ "url": "https://bills.example.com/#here" }),
        json!({ "url": format!("{url}{}", "x".repeat(2_048)) }),
        json!({ "url": url, "batch_max": 0 }),
        json!({ "url": url, "batch_max": 1_001 }),
        json!({ "url": url, "batch_max": 1.5 }),
        json!({ "url": url, "batch_max": "2" }),
        json!({ "url": url, "description": "x".repeat(1_001) }),
        json!([url]),
    ] {
        let reply = gw.put_webhook(body.clone()).await;
        refused(&reply, 400, &body.to_string());
        assert!(!reply.text.contains("secret@"), "{}", reply.text);
    }
    refused(&gw.get(WEBHOOK).await, 404, "nothing was made");
}

#[tokio::test]
async fn readers_read_and_change_nothing_and_workspaces_do_not_see_each_others_webhooks() {
    let gw = Gateway::start().await;
    gw.put_webhook(json!({ "url": "https://bills.example.com/" })).await.expect(200);
    let viewer = gw.management_key(&gw.first_workspace().await, "view").await;
    for path in [WEBHOOK, DEAD_LETTERS] {
        gw.send_as(&viewer, Method::GET, path, Value::Null).await.expect(200);
    }
    for (method, path) in [
        (Method::PUT, WEBHOOK),
        (Method::DELETE, WEBHOOK),
        (Method::POST, "/v1/gateway/webhook/rotate_secret"),
        (Method::POST, "/v1/gateway/webhook/test"),
        (Method::POST, REDRIVE),
    ] {
        refused(&gw.send_as(&viewer, method.clone(), path, json!({})).await, 403, path);
    }
    let other = gw.tenant("other", &["other"]).await;
    refused(&gw.send_as(&other.key, Method::GET, WEBHOOK, Value::Null).await, 404, "another's");
    refused(&gw.send_as(&other.key, Method::DELETE, WEBHOOK, Value::Null).await, 404, "another's");
    let customer = gw.customer("cust_42", json!([{ "slug": "acme/m1" }])).await;
    refused(&gw.send_as(&customer.key, Method::GET, WEBHOOK, Value::Null).await, 403, "a customer's key");
}

#[tokio::test]
async fn a_rotation_answers_the_new_secret_and_until_when_the_former_signs() {
    let gw = Gateway::start().await;
    let path = "/v1/gateway/webhook/rotate_secret";
    refused(&gw.post(path, json!({})).await, 404, "no webhook");
    let put = gw.put_webhook(json!({ "url": "https://bills.example.com/" })).await.expect(200).body;
    let rotated = gw.manage(Method::POST, path).send().await.expect(200).body;
    assert_eq!(fields(&rotated), ["previous_valid_until", "secret"]);
    assert_ne!(rotated["secret"], put["secret"]);
    assert_eq!(rotated["previous_valid_until"], "2026-05-14T12:00:00Z", "a day from noon");
}

#[tokio::test]
async fn a_test_sends_a_signed_sample_and_shows_what_came_of_it() {
    let gw = Gateway::with_webhooks().await;
    let path = "/v1/gateway/webhook/test";
    refused(&gw.post(path, json!({})).await, 404, "no webhook");
    let receiver = Receiver::start().await;
    let secret = gw.hook(&receiver, 1).await;
    receiver.answer(Answering::Whole(418, String::new(), "x".repeat(5_000)));
    let tested = gw.post(path, json!({})).await.expect(200).body;
    assert_eq!(fields(&tested), ["body", "duration_ms", "error", "status"]);
    assert_eq!((&tested["status"], tested["body"].as_str().unwrap().len()), (&json!(418), 1_024));
    let sample = &receiver.received()[0];
    assert!(sample.is_signed_by(&secret) && sample.is_standard_signed_by(&secret));
    let event = &sample.events()[0];
    assert_eq!(event["tokens"], json!({ "inputTokens": 0, "outputTokens": 0, "cachedInputTokens": 0 }));
    assert_eq!(gw.get(DEAD_LETTERS).await.expect(200).body["items"], json!([]), "nothing of it is kept");

    receiver.answer(Answering::Closed);
    let tested = gw.post(path, json!({})).await.expect(200).body;
    assert_eq!((&tested["status"], &tested["body"]), (&Value::Null, &json!("")));
    assert!(tested["error"].as_str().unwrap().contains("connection"), "{tested}");
}

#[tokio::test]
async fn dead_letters_page_and_are_redriven_all_or_by_id_or_none() {
    let gw = Gateway::with_webhooks().await;
    let receiver = Receiver::start().await;
    gw.hook(&receiver, 1).await;
    receiver.answer(Answering::Status(400));
    let customer = gw.customer("cust_42", json!([{ "slug": "acme/m1" }])).await;
    for sequence in 1..=5 {
        gw.chat(&customer.key, "acme/m1").await.expect(200);
        gw.attempted(sequence, 1).await;
        gw.pass(Duration::from_secs(1));
    }
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = gw.get(&format!("{DEAD_LETTERS}?limit=2{cursor}")).await.expect(200).body;
        let items = page["items"].as_array().unwrap();
        let shown = ["attempts", "events", "id", "last_attempt_at", "last_error", "last_status"];
        assert!(items.iter().all(|item| fields(item) == shown), "{page}");
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["pagination"]["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let sent: Vec<String> =
        receiver.received().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, sent, "oldest first, each once");
    refused(&gw.get(&format!("{DEAD_LETTERS}?cursor=Z2FyYmFnZQ")).await, 400, "nobody's cursor");

    receiver.answer(Answering::Status(200));
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    refused(&gw.post(REDRIVE, json!({ "ids": [ids[0], unknown] })).await, 400, "one is unknown");
    refused(&gw.post(REDRIVE, json!({ "ids": ["garbage"] })).await, 400, "no id at all");
    refused(&gw.post(REDRIVE, json!({ "ids": "all" })).await, 400, "no list");
    refused(&gw.post(REDRIVE, json!({ "id": [ids[0]] })).await, 400, "another name is not taken for all");
    assert_eq!(gw.dead_letters().await.len(), 5, "none was redriven");
    assert_eq!(gw.redrive(json!({ "ids": [ids[0], ids[3], ids[0]] })).await, 2);
    receiver.wait_for(7).await;
    refused(&gw.post(REDRIVE, json!({ "ids": [ids[0]] })).await, 400, "it is none any more");
    let rest = send(&gw, Method::POST, REDRIVE, b"").await.expect(200).body;
    assert_eq!(rest, json!({ "redriven": 3 }));
    let received = receiver.wait_for(10).await;
    let mut keys: Vec<_> = received.iter().flat_map(testkit::Received::keys).collect();
    keys.sort_unstable();
    assert!(keys.chunks(2).all(|pair| pair[0] == pair[1]), "each key twice: refused, and redriven");
    assert_eq!(gw.dead_letters().await, Vec::<Value>::new());
}
