//! Which receivers are called, and how long they may take: case 213.

use std::sync::Arc;
use std::time::Duration;

use domain::{DeliveryId, SecretValue, Webhook, WorkspaceId};
use serde_json::json;
use storage::DeliveryState;
use testkit::{Answering, Gateway, ManualClock, Received, Receiver};
use tokio::time::Instant;
use webhooks::{ATTEMPT_MAX, Ending, Post, Tried, Way};

use crate::support::Billed;

fn post(own_listeners: Vec<std::net::SocketAddr>) -> Post {
    post_by(Way { allow_private: true, own_listeners, attempt_max: ATTEMPT_MAX })
}

fn post_by(way: Way) -> Post {
    Post::new(way, Arc::<ManualClock>::default()).unwrap()
}

async fn send(post: &Post, url: &str) -> Tried {
    let webhook = Webhook {
        workspace: WorkspaceId(1),
        url: url.parse().unwrap(),
        description: None,
        batch_max: 1,
        secret: SecretValue::new("whsec_AAAA"),
        previous: None,
        created_s: 0,
        updated_s: 0,
    };
    post.send(&webhook, DeliveryId::from_bytes([7; 16]), "{}".into()).await
}

#[tokio::test]
async fn case_213_an_attempt_is_cut_at_ten_seconds() {
    let receiver = Receiver::start().await;
    receiver.answer(Answering::Never);
    let (post, url) = (post(Vec::new()), receiver.url());
    let began = Instant::now();
    let attempt = tokio::spawn(async move { send(&post, &url).await });
    receiver.wait_for(1).await;
    // From here on time passes only where everybody waits for it.
    tokio::time::pause();
    let waited = Instant::now();
    let tried = attempt.await.unwrap();
    assert_eq!((tried.ending, tried.status), (Ending::TimedOut, None));
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(waited.elapsed() <= Duration::from_millis(10_001), "{:?}", waited.elapsed());
}

#[tokio::test]
async fn an_answer_is_read_as_far_as_its_bound_and_its_beginning_is_kept() {
    let receiver = Receiver::start().await;
    receiver.answer(Answering::Whole(200, String::new(), "é".repeat(1 << 20)));
    let tried = send(&post(Vec::new()), &receiver.url()).await;
    assert_eq!((tried.ending, tried.status), (Ending::Delivered, Some(200)));
    assert_eq!(tried.body, "é".repeat(512));
}

#[tokio::test]
async fn private_receivers_and_plain_http_are_refused_when_they_are_called() {
    let receiver = Receiver::start().await;
    let port = receiver.addr().port();
    let public = post_by(Way { allow_private: false, own_listeners: Vec::new(), attempt_max: ATTEMPT_MAX });
    for url in [
        receiver.url(),
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
    ] {
        let tried = send(&public, &url).await;
        assert_eq!((tried.ending, tried.status), (Ending::Unreachable, None), "{url}");
        let error = tried.error.unwrap();
        assert!(error.contains("must not be dialled") || error.contains("plain http"), "{url}: {error}");
    }
    assert_eq!(receiver.received().len(), 0);
    assert_eq!(send(&post(Vec::new()), "http://169.254.169.254/").await.ending, Ending::Unreachable);
}

#[tokio::test]
async fn the_gateway_never_calls_itself() {
    let receiver = Receiver::start().await;
    let tried = send(&post(vec![receiver.addr()]), &receiver.url()).await;
    assert!(tried.error.unwrap().contains("own listener"));
    assert_eq!(receiver.received().len(), 0);

    let gw = Gateway::with_webhooks().await;
    gw.put_webhook(json!({ "url": format!("http://{}/v1/gateway/webhook", gw.addr()) })).await.expect(200);
    let tested = gw.post("/v1/gateway/webhook/test", json!({})).await.expect(200).body;
    assert!(tested["error"].as_str().unwrap().contains("own listener"), "{tested}");
}

#[tokio::test]
async fn what_still_waits_goes_to_a_new_url_and_is_signed_with_the_same_secret() {
    let billed = Billed::start().await;
    billed.receiver.answer(Answering::Status(500));
    billed.call().await;
    billed.gw.attempted(1, 1).await;
    let moved = Receiver::start().await;
    assert_eq!(billed.gw.hook(&moved, 5).await, "", "no new secret");
    billed.gw.pass(Duration::from_secs(1));
    let [again] = &moved.wait_for(1).await[..] else { panic!("one attempt") };
    assert!(again.is_signed_by(&billed.secret));
    assert_eq!(again.header("webhook-id"), billed.receiver.received()[0].header("webhook-id"));
}

#[tokio::test]
async fn what_a_deleted_webhook_has_not_delivered_is_dead_and_can_be_redriven_later() {
    let billed = Billed::start().await;
    billed.receiver.answer(Answering::Status(500));
    billed.call().await;
    billed.gw.attempted(1, 1).await;
    billed.gw.delete("/v1/gateway/webhook").await.expect(200);
    let [letter] = &billed.gw.dead_letters().await[..] else { panic!("one dead letter") };
    assert_eq!(letter["attempts"], 1);
    billed.gw.pass(Duration::from_secs(60));
    assert_eq!(billed.gw.attempted(1, 1).await[0].state, DeliveryState::Dead);
    let refused = billed.gw.post("/v1/gateway/webhook/dead_letters/redrive", json!({})).await;
    assert_eq!(refused.status, 404, "there is nowhere to send them");

    billed.receiver.answer(Answering::Status(200));
    let secret = billed.gw.hook(&billed.receiver, 1).await;
    assert_ne!(secret, billed.secret, "a new webhook has a new secret");
    assert_eq!(billed.gw.redrive(json!({ "ids": [letter["id"]] })).await, 1);
    let received = billed.receiver.wait_for(2).await;
    assert_eq!(received[0].keys(), received[1].keys());
    assert!(received[1].is_signed_by(&secret) && !Received::is_signed_by(&received[1], &billed.secret));
}
