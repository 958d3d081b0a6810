//! A receiver that is down for an hour, then slow, then flapping.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use storage::DeliveryState;
use testkit::{Answering, Receiver};

use crate::support::Billed;

const SECOND: Duration = Duration::from_secs(1);
/// Calls made during the outage.
const CALLS: u64 = 12;

/// Steps through time until no delivery waits, looking at each of them after every step.
async fn settle(billed: &Billed, events: u64, step: Duration) {
    let mut attempts: BTreeMap<u64, u32> = BTreeMap::new();
    loop {
        let mut waiting = 0;
        for sequence in 1..=events {
            let before = attempts.get(&sequence).copied().unwrap_or(1);
            let last = billed.gw.attempted(sequence, before).await.pop().unwrap();
            attempts.insert(sequence, last.attempts.max(1));
            waiting += usize::from(last.state == DeliveryState::Pending);
        }
        if waiting == 0 {
            return;
        }
        billed.gw.pass(step);
    }
}

fn bodies_by_key(receiver: &Receiver) -> BTreeMap<Vec<String>, BTreeSet<Vec<u8>>> {
    let mut bodies: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for delivery in receiver.received() {
        bodies.entry(delivery.keys()).or_default().insert(delivery.body.to_vec());
    }
    bodies
}

fn sequences(receiver: &Receiver) -> BTreeMap<u64, usize> {
    let mut seen = BTreeMap::new();
    for event in receiver.received().iter().flat_map(testkit::Received::events) {
        *seen.entry(event["sequence"].as_u64().unwrap()).or_default() += 1;
    }
    seen
}

#[tokio::test]
async fn by_default_an_hours_outage_ends_in_dead_letters_and_one_redrive_delivers_each_as_it_was() {
    let billed = Billed::start().await;
    billed.receiver.answer(Answering::Status(503));
    for sequence in 1..=CALLS {
        billed.call().await;
        billed.gw.attempted(sequence, 1).await;
        billed.gw.pass(300 * SECOND);
    }
    settle(&billed, CALLS, SECOND).await;
    let dead = billed.gw.dead_letters().await;
    assert_eq!(dead.len() as u64, CALLS);
    let tried = billed.receiver.received().len();

    billed.receiver.answer(Answering::Status(200));
    assert_eq!(billed.gw.redrive(json!({})).await, CALLS);
    let received = billed.receiver.wait_for(tried + usize::try_from(CALLS).unwrap()).await;
    for sequence in 1..=CALLS {
        assert_eq!(billed.gw.attempted(sequence, 1).await.last().unwrap().state, DeliveryState::Done);
    }
    let bodies = bodies_by_key(&billed.receiver);
    assert_eq!(bodies.len() as u64, CALLS, "every key that was sent first was sent again, and no other");
    assert!(bodies.values().all(|bodies| bodies.len() == 1), "exactly as they were kept");
    let old: BTreeSet<_> = received[..tried].iter().map(|one| one.header("webhook-id")).collect();
    assert!(received[tried..].iter().all(|one| !old.contains(one.header("webhook-id"))), "in new deliveries");
    assert!(
        received
            .iter()
            .all(|one| one.is_signed_by(&billed.secret) && one.is_standard_signed_by(&billed.secret))
    );
    assert_eq!(billed.gw.dead_letters().await, Vec::<Value>::new());
    assert_eq!(billed.gw.redrive(json!({})).await, 0, "there is nothing more to redrive");
}

#[tokio::test]
async fn with_a_longer_schedule_everything_arrives_by_itself_through_an_outage_and_flapping() {
    let billed = Billed::with(|config| {
        config.webhooks.schedule = [1, 300, 3_600, 3_600].map(Duration::from_secs).into();
    })
    .await;
    // Down for an hour.
    billed.receiver.answer(Answering::Status(503));
    for sequence in 1..=CALLS {
        billed.call().await;
        billed.gw.attempted(sequence, 1).await;
        billed.gw.pass(300 * SECOND);
    }
    // Back, but down again for three minutes out of seven.
    let mut attempts = 0;
    while sequences_that_arrived(&billed).await < CALLS {
        billed.receiver.answer(if attempts % 7 < 3 { Answering::Closed } else { Answering::Status(200) });
        attempts += 1;
        billed.gw.pass(60 * SECOND);
        quiet(&billed).await;
        assert!(attempts < 1_000, "it never arrives");
    }
    assert_eq!(billed.gw.dead_letters().await, Vec::<Value>::new());
    let seen = sequences(&billed.receiver);
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (1..=CALLS).collect::<Vec<_>>(), "at least once");
    assert!(bodies_by_key(&billed.receiver).values().all(|bodies| bodies.len() == 1));
    let received = billed.receiver.received();
    assert!(
        received
            .iter()
            .all(|one| one.is_signed_by(&billed.secret) && one.is_standard_signed_by(&billed.secret))
    );
}

async fn sequences_that_arrived(billed: &Billed) -> u64 {
    let mut arrived = 0;
    for sequence in 1..=CALLS {
        let last = billed.gw.attempted(sequence, 1).await.pop().unwrap();
        arrived += u64::from(last.state == DeliveryState::Done);
    }
    arrived
}

/// Until whatever is due at this moment has been tried.
async fn quiet(billed: &Billed) {
    let now_ms = domain_now(billed);
    for sequence in 1..=CALLS {
        loop {
            let last = billed.gw.attempted(sequence, 1).await.pop().unwrap();
            if last.next_attempt_ms.is_none_or(|next_ms| next_ms > now_ms) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn domain_now(billed: &Billed) -> u64 {
    use domain::Clock as _;
    billed.gw.clock.now().wall_ms
}

#[tokio::test]
async fn case_165_a_receiver_that_never_answers_delays_neither_calls_nor_other_receivers() {
    let billed = Billed::start().await;
    billed.receiver.answer(Answering::Never);
    let other = billed.gw.tenant("other", &["other"]).await;
    let second = Receiver::start().await;
    let body = json!({ "url": second.url() });
    billed.gw.send_as(&other.key, http::Method::PUT, "/v1/gateway/webhook", body).await.expect(200);
    // More than may be under way at once.
    for _ in 0..40 {
        billed.call().await;
    }
    billed.receiver.wait_for(16).await;
    let target = json!({
        "provider": "OPENAI_COMPATIBLE", "base_url": billed.gw.model.base_url(), "target_model": "simulated",
    });
    let endpoint = json!({ "slug": "other/m", "targets": [target] });
    // Written by an operator, so that it may lie on this machine.
    let made = billed.gw.manage(http::Method::POST, "/v1/gateway/endpoints");
    made.header("x-tollgate-workspace", &other.id).json(&endpoint).send().await.expect(200);
    let group = json!({
        "metadata": { "external_entity_id": "theirs" }, "models": [{ "slug": "other/m" }],
        "hierarchy": { "limit_enforcement": "INDEPENDENT", "parent_group_id": null },
    });
    let group =
        billed.gw.send_as(&other.key, http::Method::POST, "/v1/gateway/groups", group).await.expect(200);
    let path = format!("/v1/gateway/groups/{}/api_keys", group.body["id"].as_str().unwrap());
    let key = billed.gw.send_as(&other.key, http::Method::POST, &path, json!({})).await.expect(200);
    billed.gw.chat(key.body["api_key"].as_str().unwrap(), "other/m").await.expect(200);
    assert_eq!(second.wait_for(1).await[0].events()[0]["externalEntityId"], "theirs");
    billed.call().await;
    assert_eq!(billed.receiver.received().len(), 16, "one workspace has its share of places, and no more");
}
